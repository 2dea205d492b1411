//! Who waits for whom, in flat arrays.
