//! Which pixels a closed outline of whole-number points covers, as the drawing library that pycortex uses (Pillow) fills polygons.
//!
//! An outline is a set of edges; their order and direction do not matter. A pixel is covered if on its row the line of the outline's
//! inside reaches nearer than half a pixel to its centre, where "inside" is between the odd and the even crossings from the left. Points
//! of the outline and its horizontal edges are always covered. Rows and columns outside of the picture are left out.

/// An edge between two points, each column and row.
pub type PolygonEdge = [[i64; 2]; 2];

/// Covers pixels: row by row, `true` for those inside the outline.
///
/// # Panics
/// Never: what lies outside of the picture is left out.
pub fn fill(edges: &[PolygonEdge], columns: usize, rows: usize) -> Vec<bool> {
    let mut mask = vec![false; columns * rows];
    let mut by_row: Vec<Vec<f64>> = vec![Vec::new(); rows];
    for &[a, b] in edges {
        let (low, high) = if a[1] <= b[1] { (a, b) } else { (b, a) };
        if low[1] == high[1] {
            cover(&mut mask, columns, low[1], low[0].min(high[0]), low[0].max(high[0]));
            continue;
        }
        for point in [low, high] {
            cover(&mut mask, columns, point[1], point[0], point[0]);
        }
        let slope = real(high[0] - low[0]) / real(high[1] - low[1]);
        // An edge has its lower end and not its upper one, so that a point between two edges is crossed once.
        for row in low[1].max(0)..high[1].min(whole(rows)) {
            if let Ok(index) = usize::try_from(row) {
                by_row[index].push(real(low[0]) + real(row - low[1]) * slope);
            }
        }
    }
    for (row, crossings) in by_row.iter_mut().enumerate() {
        crossings.sort_by(f64::total_cmp);
        for pair in crossings.chunks_exact(2) {
            let (first, last) = ((pair[0] + 0.5).floor(), (pair[1] - 0.5).ceil());
            #[expect(clippy::cast_possible_truncation, reason = "between whole numbers of the outline")]
            cover(&mut mask, columns, whole(row), first as i64, last as i64);
        }
    }
    mask
}

/// Covers the columns from `first` to `last` of a row, as far as they are in the picture.
fn cover(mask: &mut [bool], columns: usize, row: i64, first: i64, last: i64) {
    let (first, last) = (first.max(0), last.min(whole(columns) - 1));
    if let (Ok(row), Ok(first), Ok(last)) = (usize::try_from(row), usize::try_from(first), usize::try_from(last))
        && row < mask.len() / columns.max(1)
        && first <= last
    {
        mask[row * columns + first..=row * columns + last].fill(true);
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "columns and rows of a picture, far below 2^52")]
fn real(number: i64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(points: &[[i64; 2]]) -> Vec<PolygonEdge> {
        (0..points.len()).map(|at| [points[at], points[(at + 1) % points.len()]]).collect()
    }

    fn picture(edges: &[PolygonEdge], columns: usize, rows: usize) -> Vec<String> {
        let mask = fill(edges, columns, rows);
        mask.chunks(columns).map(|row| row.iter().map(|on| if *on { '#' } else { '.' }).collect()).collect()
    }

    #[test]
    fn both_ends_of_a_rectangle_are_covered() {
        let edges = closed(&[[1, 1], [3, 1], [3, 2], [1, 2]]);
        assert_eq!(picture(&edges, 5, 4), [".....", ".###.", ".###.", "....."]);
    }

    /// Painted by Pillow 13: `ImageDraw.Draw(Image.new("L", (9, 7))).polygon([0, 0, 8, 3, 2, 6], fill=255)`.
    #[test]
    fn slanted_edges_are_rounded_as_the_library_does() {
        let edges = closed(&[[0, 0], [8, 3], [2, 6]]);
        let expected = ["#........", "####.....", ".#####...", ".########", ".######..", "..###....", "..#......"];
        assert_eq!(picture(&edges, 9, 7), expected);
        let mut turned = edges.clone();
        turned.reverse();
        turned.iter_mut().for_each(|edge| edge.reverse());
        assert_eq!(fill(&turned, 9, 7), fill(&edges, 9, 7));
    }

    #[test]
    fn a_notch_is_left_out_and_what_lies_outside_is_cut() {
        let notched = closed(&[[0, 0], [8, 0], [8, 4], [4, 2], [0, 4]]);
        assert_eq!(picture(&notched, 9, 5), ["#########", "#########", "#########", "###...###", "#.......#"]);
        assert_eq!(picture(&closed(&[[-5, -5], [20, -5], [20, 20], [-5, 20]]), 3, 2), ["###", "###"]);
        assert!(fill(&closed(&[[9, 9], [12, 9], [12, 12]]), 3, 3).iter().all(|on| !on));
        assert!(fill(&[], 0, 0).is_empty());
    }
}
