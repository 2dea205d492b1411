//! The coordinates of an instance of a stage on its axes: `sid=s01, rater=A1`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// Axis name to coordinate, ordered by axis name; both are text as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Coordinates(pub BTreeMap<String, String>);

impl Coordinates {
    /// No axes at all.
    pub fn none() -> Self {
        Self::default()
    }
}

impl Deref for Coordinates {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<A: Into<String>, C: Into<String>> FromIterator<(A, C)> for Coordinates {
    fn from_iter<I: IntoIterator<Item = (A, C)>>(iter: I) -> Self {
        Self(iter.into_iter().map(|(axis, at)| (axis.into(), at.into())).collect())
    }
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (axis, at)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            [axis, "=", at].iter().try_for_each(|part| f.write_str(part))?;
        }
        Ok(())
    }
}
