//! Positions of nodes: columns by longest path, rows by the middle of their neighbours, long edges through gaps.
//!
//! The usual layered drawing (Sugiyama) in its smallest useful form: a few sweeps, no exact crossing counts. Independent
//! of plans: only sizes and edges. The same input always gives the same picture.

/// A box to place; sizes in pixels.
#[derive(Clone, Copy)]
pub(super) struct BoxSize {
    pub width: f64,
    pub height: f64,
}

/// The result: the centre of every box, a line of points for every edge, and the size of the whole.
pub(super) struct GraphLayout {
    pub centres: Vec<(f64, f64)>,
    pub routes: Vec<Vec<(f64, f64)>>,
    pub width: f64,
    pub height: f64,
}

const COLUMN_GAP: f64 = 56.0;
const ROW_GAP: f64 = 16.0;
const MARGIN: f64 = 16.0;
/// An edge that passes a column takes this much of it.
const PASSAGE: f64 = 10.0;
const SWEEPS: usize = 8;

/// A box, or an edge on its way through a column.
struct Item {
    column: usize,
    height: f64,
    /// Neighbours in the columns beside it; their mean height is its target height.
    left: Vec<usize>,
    right: Vec<usize>,
    y: f64,
}

/// Places boxes; `edges` go from smaller to larger numbers, as in a topological order.
pub(super) fn place(sizes: &[BoxSize], edges: &[(usize, usize)]) -> GraphLayout {
    let columns = columns(sizes.len(), edges);
    let mut items: Vec<Item> = sizes
        .iter()
        .zip(&columns)
        .map(|(size, column)| Item {
            column: *column,
            height: size.height,
            left: Vec::new(),
            right: Vec::new(),
            y: 0.0,
        })
        .collect();
    let paths: Vec<Vec<usize>> = edges.iter().map(|(from, to)| thread(&mut items, *from, *to)).collect();
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); columns.iter().max().map_or(0, |last| last + 1)];
    for (number, item) in items.iter().enumerate() {
        rows[item.column].push(number);
    }
    arrange(&mut items, &mut rows);
    finish(sizes, &items, &rows, &paths)
}

/// How many columns all edges cross together, which is what a layout costs.
pub(super) fn crossed(count: usize, edges: &[(usize, usize)]) -> usize {
    let columns = columns(count, edges);
    edges.iter().map(|(from, to)| columns[*to].saturating_sub(columns[*from] + 1)).sum()
}

/// The longest path from a source, by which no edge goes backward; then sources move next to their first reader.
fn columns(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut columns = vec![0; count];
    let mut incoming = vec![Vec::new(); count];
    let mut outgoing = vec![Vec::new(); count];
    for (from, to) in edges {
        incoming[*to].push(*from);
        outgoing[*from].push(*to);
    }
    for node in 0..count {
        columns[node] = incoming[node].iter().map(|from: &usize| columns[*from] + 1).max().unwrap_or(0);
    }
    for node in 0..count {
        if incoming[node].is_empty() {
            columns[node] = outgoing[node]
                .iter()
                .map(|to: &usize| columns[*to])
                .min()
                .map_or(0, |first: usize| first.saturating_sub(1));
        }
    }
    columns
}

/// Routes an edge through the columns between its ends.
fn thread(items: &mut Vec<Item>, from: usize, to: usize) -> Vec<usize> {
    let mut path = vec![from];
    let (first, last) = (items[from].column, items[to].column);
    for column in first + 1..last {
        items.push(Item { column, height: PASSAGE, left: Vec::new(), right: Vec::new(), y: 0.0 });
        path.push(items.len() - 1);
    }
    path.push(to);
    for pair in path.windows(2) {
        items[pair[0]].right.push(pair[1]);
        items[pair[1]].left.push(pair[0]);
    }
    path
}

/// Orders every column by the mean height of the neighbours, sweeping right, then left.
fn arrange(items: &mut [Item], rows: &mut [Vec<usize>]) {
    rows.iter().for_each(|row| stack(items, row));
    for sweep in 0..SWEEPS {
        let rightward = sweep % 2 == 0;
        let order: Vec<usize> = if rightward { (0..rows.len()).collect() } else { (0..rows.len()).rev().collect() };
        for column in order {
            let target = |item: &Item| mean(items, if rightward { &item.left } else { &item.right }).unwrap_or(item.y);
            let mut targets: Vec<(f64, usize)> =
                rows[column].iter().map(|number| (target(&items[*number]), *number)).collect();
            targets.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            rows[column] = targets.iter().map(|(_, number)| *number).collect();
            settle(items, &targets);
        }
    }
}

fn mean(items: &[Item], neighbours: &[usize]) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a number of neighbours")]
    let count = neighbours.len() as f64;
    (count > 0.0).then(|| neighbours.iter().map(|number| items[*number].y).sum::<f64>() / count)
}

fn stack(items: &mut [Item], row: &[usize]) {
    let mut y = 0.0;
    for number in row {
        items[*number].y = y + items[*number].height / 2.0;
        y += items[*number].height + ROW_GAP;
    }
}

/// Puts each item of a column at its target height, pushed down by those above; then the column moves as a whole
/// so that the mean distance to the targets is 0.
fn settle(items: &mut [Item], targets: &[(f64, usize)]) {
    let mut lowest = f64::NEG_INFINITY;
    let mut excess = 0.0;
    for (target, number) in targets {
        let half = items[*number].height / 2.0;
        let y = target.max(lowest + half);
        items[*number].y = y;
        excess += y - target;
        lowest = y + half + ROW_GAP;
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of boxes")]
    let shift = excess / targets.len().max(1) as f64;
    targets.iter().for_each(|(_, number)| items[*number].y -= shift);
}

fn finish(sizes: &[BoxSize], items: &[Item], rows: &[Vec<usize>], paths: &[Vec<usize>]) -> GraphLayout {
    let top = items.iter().map(|item| item.y - item.height / 2.0).fold(f64::INFINITY, f64::min);
    let bottom = items.iter().map(|item| item.y + item.height / 2.0).fold(f64::NEG_INFINITY, f64::max);
    let widths: Vec<f64> = rows
        .iter()
        .map(|row| row.iter().filter_map(|number| sizes.get(*number)).map(|size| size.width).fold(0.0, f64::max))
        .collect();
    let mut lefts = Vec::with_capacity(widths.len());
    let mut x = MARGIN;
    for width in &widths {
        lefts.push(x);
        x += width + COLUMN_GAP;
    }
    let y = |item: &Item| item.y - top + MARGIN;
    let middle = |column: usize| lefts[column] + widths[column] / 2.0;
    let side = |number: usize, right: bool| {
        let item = &items[number];
        let half = sizes.get(number).map_or(widths[item.column], |size| size.width) / 2.0;
        (middle(item.column) + if right { half } else { -half }, y(item))
    };
    let route = |path: &Vec<usize>| {
        let mut points = Vec::new();
        for (position, number) in path.iter().enumerate() {
            if position > 0 {
                points.push(side(*number, false));
            }
            if position + 1 < path.len() {
                points.push(side(*number, true));
            }
        }
        points
    };
    let height = if items.is_empty() { 0.0 } else { bottom - top };
    GraphLayout {
        centres: items.iter().take(sizes.len()).map(|item| (middle(item.column), y(item))).collect(),
        routes: paths.iter().map(route).collect(),
        width: (x - COLUMN_GAP).max(0.0) + MARGIN,
        height: height + 2.0 * MARGIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_do_not_overlap_and_edges_go_right() {
        let sizes = vec![BoxSize { width: 80.0, height: 30.0 }; 8];
        let edges = [(0, 1), (0, 2), (1, 3), (2, 3), (0, 3), (4, 5), (5, 6), (0, 7), (3, 7)];
        let layout = place(&sizes, &edges);
        for (a, first) in layout.centres.iter().enumerate() {
            for second in &layout.centres[a + 1..] {
                let apart = (first.0 - second.0).abs() >= 80.0 || (first.1 - second.1).abs() >= 30.0;
                assert!(apart, "{first:?} {second:?}");
            }
        }
        for (from, to) in edges {
            assert!(layout.centres[from].0 < layout.centres[to].0);
        }
        assert!(
            layout.routes.iter().all(|route| route.len() >= 2 && route.windows(2).all(|pair| pair[0].0 <= pair[1].0))
        );
        assert!(layout.centres.iter().all(|(x, y)| *x > 0.0 && *y > 0.0 && *x < layout.width && *y < layout.height));
    }

    #[test]
    fn an_empty_graph_gives_a_small_picture() {
        let layout = place(&[], &[]);
        assert!(layout.width >= 0.0 && layout.height >= 0.0);
    }
}
