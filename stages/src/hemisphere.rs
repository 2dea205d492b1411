//! The two hemispheres, their order and their names in files. Depends on nothing else, so that every other module can use it.

/// A hemisphere of the cortex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hemisphere {
    /// The left one, `lh` in FreeSurfer's names and `L` in those of the Human Connectome Project.
    Left,
    /// The right one, `rh` and `R`.
    Right,
}

/// Both hemispheres, left first: the order of every artifact.
pub const HEMISPHERES: [Hemisphere; 2] = [Hemisphere::Left, Hemisphere::Right];

impl Hemisphere {
    /// `lh` or `rh`.
    pub fn name(self) -> &'static str {
        match self {
            Hemisphere::Left => "lh",
            Hemisphere::Right => "rh",
        }
    }

    /// The one of this [name](Self::name).
    pub fn named(name: &str) -> Option<Self> {
        HEMISPHERES.into_iter().find(|hemisphere| hemisphere.name() == name)
    }

    /// `L` or `R`.
    pub fn letter(self) -> char {
        match self {
            Hemisphere::Left => 'L',
            Hemisphere::Right => 'R',
        }
    }
}
