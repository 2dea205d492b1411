//! The few operations on points of space that the geometry needs.

/// A point or vector of space.
pub type Point = [f64; 3];

/// `a + b`.
pub fn add(a: Point, b: Point) -> Point {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

/// `a - b`.
pub fn subtract(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// `a` times a number.
pub fn scale(a: Point, by: f64) -> Point {
    a.map(|x| x * by)
}

/// The inner product.
pub fn dot(a: Point, b: Point) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// The cross product, right-handed.
pub fn cross(a: Point, b: Point) -> Point {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// The Euclidean length.
pub fn norm(a: Point) -> f64 {
    dot(a, a).sqrt()
}

/// The squared Euclidean distance.
pub fn distance_squared(a: Point, b: Point) -> f64 {
    let d = subtract(a, b);
    dot(d, d)
}

/// `a` at length one; nothing for a vector of length zero or one that is not finite.
pub fn unit(a: Point) -> Option<Point> {
    let length = norm(a);
    (length.is_finite() && length > 0.0).then(|| scale(a, 1.0 / length))
}

/// The mean distance of points from the origin: the radius of a sphere that is centred there.
///
/// NaN for no points at all.
pub fn mean_radius(points: &[Point]) -> f64 {
    points.iter().map(|&point| norm(point)).sum::<f64>() / points.len() as f64
}
