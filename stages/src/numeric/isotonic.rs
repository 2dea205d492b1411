//! Isotonic regression: the numbers nearest to given ones that do not fall along an order.
//!
//! Least squares with weight 1, by pooling adjacent violators in one pass (Barlow, Bartholomew, Bremner and Brunk, 1972). Places that the
//! order ties get one number, the mean of theirs (Kruskal's secondary approach, 1964). Buffers are kept, so that a loop allocates nothing.

use super::counts::real;

/// An order with ties, along which numbers are made not to fall.
#[derive(Clone, Debug)]
pub struct IsotonicOrder {
    /// Places by rising value.
    order: Vec<usize>,
    /// Where each run of tied places begins in `order`, and at the end how many places there are.
    starts: Vec<usize>,
    /// Pooled runs: the mean of each, how many numbers it has, and where it ends in `order`.
    pools: Vec<Pool>,
}

#[derive(Clone, Copy, Debug)]
struct Pool {
    sum: f64,
    count: f64,
    end: usize,
}

impl Pool {
    fn mean(self) -> f64 {
        self.sum / self.count
    }
}

impl IsotonicOrder {
    /// The order of these places by `values`; equal values are tied.
    ///
    /// # Panics
    /// A place is not in `values`.
    pub fn new(values: &[f64], places: impl IntoIterator<Item = usize>) -> Self {
        let mut order: Vec<usize> = places.into_iter().collect();
        // Adding 0 makes a negative zero a plain one.
        let value = |place: usize| values[place] + 0.0;
        order.sort_by(|a, b| value(*a).total_cmp(&value(*b)).then(a.cmp(b)));
        let begins = |at: &usize| *at == 0 || value(order[*at]) != value(order[*at - 1]);
        let mut starts: Vec<usize> = (0..order.len()).filter(begins).collect();
        starts.push(order.len());
        let pools = Vec::with_capacity(starts.len());
        Self { order, starts, pools }
    }

    /// How many places it has.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether it has no place.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The regression of `numbers` at the places of the order, into the same places of `fitted`; others are left as they are.
    ///
    /// # Panics
    /// A place is not in `numbers` or in `fitted`.
    pub fn fit(&mut self, numbers: &[f64], fitted: &mut [f64]) {
        self.pools.clear();
        for run in self.starts.windows(2) {
            let (start, end) = (run[0], run[1]);
            let sum = self.order[start..end].iter().map(|place| numbers[*place]).sum();
            let mut pool = Pool { sum, count: real(end - start), end };
            while let Some(before) = self.pools.pop_if(|before| before.mean() >= pool.mean()) {
                pool = Pool { sum: before.sum + pool.sum, count: before.count + pool.count, end };
            }
            self.pools.push(pool);
        }
        let mut start = 0;
        for pool in &self.pools {
            self.order[start..pool.end].iter().for_each(|place| fitted[*place] = pool.mean());
            start = pool.end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(values: &[f64], numbers: &[f64]) -> Vec<f64> {
        let mut fitted = vec![0.0; numbers.len()];
        IsotonicOrder::new(values, 0..values.len()).fit(numbers, &mut fitted);
        fitted
    }

    #[test]
    fn numbers_are_those_of_scikit_learn() {
        // python -c "from sklearn.isotonic import IsotonicRegression as I; print(I().fit_transform([1,2,3,4,5,6,7,8],[2,1,4,3,3,7,6,9]))"
        let rising: Vec<f64> = (1..=8).map(f64::from).collect();
        let found = fit(&rising, &[2.0, 1.0, 4.0, 3.0, 3.0, 7.0, 6.0, 9.0]);
        let third = 10.0 / 3.0;
        assert_eq!(found, [1.5, 1.5, third, third, third, 6.5, 6.5, 9.0]);
        // python -c "from sklearn.isotonic import IsotonicRegression as I; print(I().fit_transform([3,1,2,2,5,5],[4,2,6,1,0,5]))"
        assert_eq!(
            fit(&[3.0, 1.0, 2.0, 2.0, 5.0, 5.0], &[4.0, 2.0, 6.0, 1.0, 0.0, 5.0]),
            [3.2, 2.0, 3.2, 3.2, 3.2, 3.2]
        );
    }

    #[test]
    fn an_order_is_kept_and_only_its_places_are_fitted() {
        assert_eq!(fit(&[1.0, 2.0, 3.0], &[1.0, 5.0, 5.0]), [1.0, 5.0, 5.0]);
        assert_eq!(fit(&[-0.0, 0.0], &[1.0, 3.0]), [2.0, 2.0], "the two zeros are tied");
        let mut order = IsotonicOrder::new(&[1.0, f64::NAN, 0.0], [0, 2]);
        let mut fitted = [9.0; 3];
        order.fit(&[1.0, 5.0, 2.0], &mut fitted);
        assert_eq!((fitted, order.len()), ([1.5, 9.0, 1.5], 2));
        order.fit(&[2.0, 5.0, 1.0], &mut fitted);
        assert_eq!(fitted, [2.0, 9.0, 1.0], "a second fit begins anew");
    }
}
