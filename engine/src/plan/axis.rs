//! One axis of a stage and its values, and a point on axes.

use std::collections::{BTreeMap, BTreeSet};

use pipe_contract::Coordinates;

use crate::diag::{Class, Diagnostic, Span};
use crate::spec::Node;

/// One value of an axis.
pub(super) struct AxisValue {
    pub text: String,
    /// The fields, if the axis is a map.
    pub fields: Option<Node>,
}

/// One axis of a stage.
pub(super) struct Axis {
    pub name: String,
    pub values: Vec<AxisValue>,
    pub index: BTreeMap<String, u32>,
    /// Values that a profile narrowed away.
    pub narrowed: BTreeSet<String>,
}

/// A stage at one point of its axes.
#[derive(Clone, Copy)]
pub(super) struct AxisPoint<'a> {
    pub axes: &'a [Axis],
    pub at: &'a [u32],
}

impl AxisPoint<'_> {
    /// Its coordinates.
    pub fn coordinates(&self) -> Coordinates {
        let values = self.axes.iter().zip(self.at).map(|(axis, index)| (axis, &axis.values[*index as usize]));
        values.map(|(axis, value)| (axis.name.clone(), value.text.clone())).collect()
    }
}

impl Axis {
    /// The index of the value that a selector names.
    pub fn find(&self, text: &str, span: Span) -> Result<u32, Diagnostic> {
        let text = text.trim();
        self.index.get(text).copied().ok_or_else(|| self.no_value(span, text))
    }

    /// The error for a value that this axis does not have.
    pub fn no_value(&self, span: Span, text: &str) -> Diagnostic {
        Diagnostic::new(Class::UnknownName, span, format!("axis `{}` has no value `{text}`", self.name)).known(
            "its values",
            text,
            self.values.iter().map(|value| value.text.as_str()),
        )
    }
}
