//! Work that consists of many short parallel parts, on rayon's threads as a whole.
//!
//! Decides nothing about results: a parallel part that is started from another thread wakes the pool and waits for it each time, which takes
//! longer than a short part itself.

/// Does some work on a thread of rayon's pool, whose parallel parts then start without a change of threads.
pub fn in_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_runs_in_the_pool_and_its_result_comes_back() {
        assert_eq!(rayon::current_thread_index(), None);
        let (place, sum) = in_pool(|| (rayon::current_thread_index(), 1 + 2));
        assert!(place.is_some() && sum == 3);
    }
}
