//! What can never run on a machine: the one rule for planning and scheduling.

use super::resolved::Amounts;
use crate::spec::show_bytes;

impl Amounts {
    /// The first amount of which `all` is less, with both numbers; `None` if they fit. `cpu` always fits: it is clipped
    /// ([`Amounts::clipped_to`]).
    pub fn never_fits(&self, all: &Amounts) -> Option<String> {
        if self.gpu > all.gpu {
            return Some(format!("needs gpu {}, this machine has {}", self.gpu, all.gpu));
        }
        if self.mem > all.mem {
            let (wanted, there) = (show_bytes(self.mem), show_bytes(all.mem));
            return Some(format!("needs {wanted} of memory, this machine has {there}"));
        }
        (self.net > all.net).then(|| format!("needs net {}, this run offers {}", self.net, all.net))
    }

    /// With no more processors than there are.
    #[must_use]
    pub fn clipped_to(mut self, all: &Amounts) -> Self {
        self.cpu = self.cpu.min(all.cpu.max(1));
        self
    }
}
