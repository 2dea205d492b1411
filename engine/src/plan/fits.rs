//! What can never run on a machine: the one rule for planning and scheduling.

use std::fmt;

use super::resolved::Amounts;
use crate::spec::show_bytes;

/// An amount of which there is less than a stage needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// Its key in `resources:`.
    pub key: &'static str,
    /// How much is needed.
    pub wanted: String,
    /// How much there is.
    pub there: String,
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, wanted, there } = self;
        match *key {
            "mem" => write!(f, "needs {wanted} of memory, this machine has {there}"),
            "net" => write!(f, "needs net {wanted}, this run offers {there}"),
            _ => write!(f, "needs {key} {wanted}, this machine has {there}"),
        }
    }
}

impl Amounts {
    /// The first amount of which `all` is less; `None` if they fit. `cpu` always fits: it is clipped
    /// ([`Amounts::clipped_to`]).
    pub fn never_fits(&self, all: &Amounts) -> Option<Lacking> {
        let lacking = |key, wanted, there| Some(Lacking { key, wanted, there });
        if self.gpu > all.gpu {
            return lacking("gpu", self.gpu.to_string(), all.gpu.to_string());
        }
        if self.mem > all.mem {
            return lacking("mem", show_bytes(self.mem), show_bytes(all.mem));
        }
        if self.net > all.net {
            return lacking("net", self.net.to_string(), all.net.to_string());
        }
        None
    }

    /// With no more processors than there are.
    #[must_use]
    pub fn clipped_to(mut self, all: &Amounts) -> Self {
        self.cpu = self.cpu.min(all.cpu.max(1));
        self
    }
}
