//! Whose rules the kinds of this folder can follow instead of the sound ones.

use pipe_contract::choice;

choice! {
    /// Whose rules are followed, where they differ from the sound ones.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum MatrixCompat {
        /// Our own rules.
        None = "none",
        /// Those of the eighth lab of `CogAI_Fall2025`, on variance partitioning.
        Lab08 = "lab08",
    }
}
