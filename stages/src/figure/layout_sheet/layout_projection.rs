//! From coordinates of a layout to places in the square of a panel.
//!
//! A layout of three axes is seen in parallel projection from an azimuth and an elevation. Both axes of a panel have one scale, because
//! distances mean something. Independent of drawings.

use pipe_contract::choice;

choice! {
    /// How a layout is fitted into its panel.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum LayoutLook {
        /// Centred, without axes; a bar shows the scale.
        Paper = "paper",
        /// As in the guide of the published toolbox: the least of all coordinates is at 0 and the largest at 1 of both axes, which have ticks.
        Guide = "guide",
    }
}

/// Points as they are seen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SeenLayout {
    /// To the right and upwards, in units of the layout.
    pub points: Vec<[f64; 2]>,
    /// Nearness to the eye; 0 of layouts of two axes.
    pub nearness: Vec<f64>,
}

/// The direction from which a layout of three axes is seen, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ViewAngles {
    /// About the third axis, from the first one on.
    pub azimuth: f64,
    /// Above the plane of the first two axes.
    pub elevation: f64,
}

impl ViewAngles {
    /// Directions to the right, upwards and to the eye.
    fn directions(self) -> [[f64; 3]; 3] {
        let (sin_a, cos_a) = libm::sincos(self.azimuth.to_radians());
        let (sin_e, cos_e) = libm::sincos(self.elevation.to_radians());
        [[-sin_a, cos_a, 0.0], [-sin_e * cos_a, -sin_e * sin_a, cos_e], [cos_e * cos_a, cos_e * sin_a, sin_e]]
    }

    /// A point as it is seen: to the right, upwards, and its nearness.
    pub(super) fn seen(self, point: [f64; 3]) -> [f64; 3] {
        self.directions().map(|direction| direction.iter().zip(point).map(|(a, b)| a * b).sum())
    }
}

impl SeenLayout {
    /// Of points with two or three coordinates each.
    pub(super) fn new(points: &[[f64; 3]], dims: usize, angles: ViewAngles) -> Self {
        if dims < 3 {
            return Self {
                points: points.iter().map(|[x, y, _]| [*x, *y]).collect(),
                nearness: vec![0.0; points.len()],
            };
        }
        let seen: Vec<[f64; 3]> = points.iter().map(|point| angles.seen(*point)).collect();
        Self {
            points: seen.iter().map(|[right, up, _]| [*right, *up]).collect(),
            nearness: seen.iter().map(|[_, _, near]| *near).collect(),
        }
    }
}

/// The part of the plane that a panel shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PanelWindow {
    /// Left and lower end, in units of the layout.
    low: [f64; 2],
    /// Length of a side.
    length: f64,
}

/// Room on each side of the points, as a share of their extent.
const ROOM: f64 = 0.1;

impl PanelWindow {
    /// That shows these points. `extent` is how long the square around the points is at least, so that panels may share a scale.
    pub(super) fn around(points: &[[f64; 2]], look: LayoutLook, extent: f64) -> Self {
        let range = |axis: usize| {
            let of_axis = || points.iter().map(|point| point[axis]);
            (of_axis().fold(f64::INFINITY, f64::min), of_axis().fold(f64::NEG_INFINITY, f64::max))
        };
        let [x, y] = [range(0), range(1)];
        let (centres, found) = match look {
            LayoutLook::Paper => ([f64::midpoint(x.0, x.1), f64::midpoint(y.0, y.1)], (x.1 - x.0).max(y.1 - y.0)),
            LayoutLook::Guide => {
                let (low, high) = (x.0.min(y.0), x.1.max(y.1));
                ([f64::midpoint(low, high); 2], high - low)
            }
        };
        let longest = found.max(extent);
        // Points at one place are in the middle of a window of any size.
        let length = if longest > 0.0 { longest * (1.0 + 2.0 * ROOM) } else { 1.0 };
        Self { low: centres.map(|centre| centre - length / 2.0), length }
    }

    /// Length of the square around points without the room beside them, for [`around`](Self::around) of other panels.
    pub(super) fn extent(&self) -> f64 {
        self.length / (1.0 + 2.0 * ROOM)
    }

    /// Length of its side, in units of the layout.
    pub(super) fn length(&self) -> f64 {
        self.length
    }

    /// Where a point lies: shares of the side, from the left and from below.
    pub(super) fn share(&self, point: [f64; 2]) -> [f64; 2] {
        [0, 1].map(|axis| (point[axis] - self.low[axis]) / self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINTS: [[f64; 2]; 3] = [[-2.0, 0.0], [2.0, 1.0], [0.0, -1.0]];

    fn close(found: [f64; 2], expected: [f64; 2]) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {expected:?}");
    }

    #[test]
    fn windows_show_all_points_on_one_scale() {
        let window = PanelWindow::around(&POINTS, LayoutLook::Paper, 0.0);
        close(window.share(POINTS[0]), [0.1 / 1.2, 0.5]);
        close(window.share(POINTS[1]), [1.1 / 1.2, 0.5 + 0.25 / 1.2]);
        assert!((window.extent() - 4.0).abs() < 1e-12);
        let wide = PanelWindow::around(&POINTS, LayoutLook::Paper, 8.0);
        close(wide.share(POINTS[0]), [0.5 - 0.25 / 1.2, 0.5]);
        let one = PanelWindow::around(&[[3.0, 4.0]], LayoutLook::Guide, 0.0);
        close(one.share([3.5, 3.5]), [0.5, 0.5]);
    }

    #[test]
    fn the_guide_maps_the_least_coordinate_to_0_and_the_largest_to_1() {
        // Axes go from -0.1 to 1.1; (v + 2) / 4 of every coordinate.
        let window = PanelWindow::around(&POINTS, LayoutLook::Guide, 0.0);
        let expected = |point: [f64; 2]| point.map(|v| ((v + 2.0) / 4.0 + 0.1) / 1.2);
        POINTS.iter().for_each(|point| close(window.share(*point), expected(*point)));
    }

    #[test]
    fn space_is_seen_from_its_angles() {
        let near = |found: [f64; 3], expected: [f64; 3]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
        // From the first axis, level: the second axis to the right, the third upwards.
        let level = ViewAngles { azimuth: 0.0, elevation: 0.0 };
        assert!(near(level.seen([1.0, 2.0, 3.0]), [2.0, 3.0, 1.0]));
        // From above, with the first axis downwards.
        let above = ViewAngles { azimuth: 0.0, elevation: 90.0 };
        assert!(near(above.seen([1.0, 2.0, 3.0]), [2.0, -1.0, 3.0]));
        let points = [[1.0, 2.0, 3.0]];
        assert_eq!(SeenLayout::new(&points, 2, above).points, [[1.0, 2.0]]);
        let seen = SeenLayout::new(&points, 3, above);
        assert!((seen.nearness[0] - 3.0).abs() < 1e-12 && (seen.points[0][1] + 1.0).abs() < 1e-12);
    }
}
