//! The guard of processes.

/// Serves as the guard if this process was started as one, and then never returns. Call it first in `main`.
pub fn serve_if_asked() {
}
