//! Nearest points of space by a k-d tree; of equally near ones the smallest number wins.
//!
//! Our own, because known libraries return an arbitrary one of equally near points, and a regular sphere has
//! many. The answer is a function of the points alone: it equals a search through all of them.

use rayon::prelude::*;

use super::vector::{Point, distance_squared};

/// Points below which a branch is searched one by one.
const LEAF: usize = 12;

/// Finds nearest points of a fixed set.
pub struct NearestPoint {
    points: Vec<Point>,
    /// Numbers of the points, such that each branch is a range with its dividing point in the middle.
    order: Vec<u32>,
    /// The axis on which the branch around each middle is divided, by position in `order`.
    axes: Vec<u8>,
}

impl NearestPoint {
    /// Prepares a search among `points`. Points that are not finite are never found.
    pub fn new(points: &[Point]) -> Self {
        let points = points.to_vec();
        let finite = |index: &u32| points[*index as usize].iter().all(|x| x.is_finite());
        let mut order: Vec<u32> = (0..points.len() as u32).filter(finite).collect();
        let mut axes = vec![0; order.len()];
        divide(&points, &mut order, &mut axes);
        Self { points, order, axes }
    }

    /// The number of the point nearest to `to`, the smallest number of equally near ones.
    ///
    /// Nothing if there are no points or `to` is not finite.
    pub fn nearest(&self, to: Point) -> Option<u32> {
        if !to.iter().all(|x| x.is_finite()) {
            return None;
        }
        let mut best = (f64::INFINITY, u32::MAX);
        self.search(to, 0, self.order.len(), &mut best);
        (best.1 != u32::MAX).then_some(best.1)
    }

    /// [`nearest`](Self::nearest) for many points, in their order.
    pub fn nearest_to_each(&self, to: &[Point]) -> Vec<Option<u32>> {
        to.par_iter().map(|&point| self.nearest(point)).collect()
    }

    fn search(&self, to: Point, start: usize, end: usize, best: &mut (f64, u32)) {
        if end - start <= LEAF {
            for &candidate in &self.order[start..end] {
                self.consider(to, candidate, best);
            }
            return;
        }
        let middle = start + (end - start) / 2;
        let divider = self.order[middle];
        let axis = usize::from(self.axes[middle]);
        let beyond = to[axis] - self.points[divider as usize][axis];
        let (near, far) =
            if beyond < 0.0 { ((start, middle), (middle + 1, end)) } else { ((middle + 1, end), (start, middle)) };
        self.search(to, near.0, near.1, best);
        self.consider(to, divider, best);
        // Equal distance is searched too: a smaller number may lie there.
        if beyond * beyond <= best.0 {
            self.search(to, far.0, far.1, best);
        }
    }

    fn consider(&self, to: Point, candidate: u32, best: &mut (f64, u32)) {
        let found = (distance_squared(to, self.points[candidate as usize]), candidate);
        if found.0 < best.0 || (found.0 == best.0 && found.1 < best.1) {
            *best = found;
        }
    }
}

/// Orders `order` so that each range has a middle point that divides it on the axis where it is widest.
fn divide(points: &[Point], order: &mut [u32], axes: &mut [u8]) {
    if order.len() <= LEAF {
        return;
    }
    let axis = widest(points, order);
    let middle = order.len() / 2;
    order.select_nth_unstable_by(middle, |&a, &b| {
        points[a as usize][axis].total_cmp(&points[b as usize][axis]).then(a.cmp(&b))
    });
    axes[middle] = axis as u8;
    let (low, high) = order.split_at_mut(middle);
    let (low_axes, high_axes) = axes.split_at_mut(middle);
    divide(points, low, low_axes);
    divide(points, &mut high[1..], &mut high_axes[1..]);
}

/// The axis on which these points are spread most.
fn widest(points: &[Point], order: &[u32]) -> usize {
    let spread = |axis: usize| {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for &index in order {
            low = low.min(points[index as usize][axis]);
            high = high.max(points[index as usize][axis]);
        }
        high - low
    };
    let spreads = [spread(0), spread(1), spread(2)];
    (0..3).fold(0, |best, axis| if spreads[axis] > spreads[best] { axis } else { best })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_search_through_all(points: &[Point], to: Point) -> Option<u32> {
        let distances = points.iter().map(|&p| distance_squared(p, to));
        distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0))).map(|(index, _)| index as u32)
    }

    /// Coordinates on a coarse lattice, so that ties are common.
    fn lattice() -> impl Strategy<Value = Point> {
        prop::array::uniform3((-4i8..=4).prop_map(|x| f64::from(x) * 0.5))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn agrees_with_a_search_through_all(
            points in prop::collection::vec(lattice(), 1..300),
            queries in prop::collection::vec(lattice(), 20),
        ) {
            let tree = NearestPoint::new(&points);
            for query in queries {
                let query = query.map(|x| x + 0.25);
                prop_assert_eq!(tree.nearest(query), by_search_through_all(&points, query));
            }
        }
    }

    #[test]
    fn many_equal_points_give_the_first() {
        let tree = NearestPoint::new(&[[1.0, 2.0, 3.0]; 500]);
        assert_eq!(tree.nearest([0.0; 3]), Some(0));
    }

    #[test]
    fn what_is_not_finite_is_not_found() {
        assert_eq!(NearestPoint::new(&[]).nearest([0.0; 3]), None);
        let tree = NearestPoint::new(&[[f64::NAN, 0.0, 0.0], [9.0, 0.0, 0.0]]);
        assert_eq!(tree.nearest([0.0; 3]), Some(1));
        assert_eq!(tree.nearest([f64::NAN, 0.0, 0.0]), None);
    }
}
