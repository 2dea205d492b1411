//! Whose rules kinds of several folders can follow where the lab's differ from the sound ones; what differs, each kind says.

use pipe_contract::choice;

choice! {
    /// Whose rules are followed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum LabCompat {
        /// Sound ones.
        None = "none",
        /// Those of the eighth lab of `CogAI_Fall2025`, on variance partitioning.
        Lab08 = "lab08",
    }
}
