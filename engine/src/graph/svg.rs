//! The graph as an SVG picture.

use std::collections::BTreeMap;

use super::graph_view::NodeState;
use super::layered_layout::{BoxSize, GraphLayout, place};
use super::picture::{Edge, Picture, PictureNode};

const LINE: f64 = 15.0;
/// The width of a character at 12 pixels, generously: the viewer chooses the font.
const CHARACTER: f64 = 7.0;
const PADDING: f64 = 10.0;
const LEGEND: f64 = 26.0;

pub(super) fn write(picture: &Picture) -> String {
    let lines: Vec<Vec<String>> = picture.nodes.iter().map(PictureNode::lines).collect();
    let sizes: Vec<BoxSize> = lines.iter().map(|lines| size(lines)).collect();
    let mut edges: Vec<(usize, usize)> = picture.edges.iter().map(|edge| (edge.from, edge.to)).collect();
    edges.sort_unstable();
    edges.dedup();
    let layout = place(&sizes, &edges);
    let (width, height) = (layout.width.max(320.0), layout.height + LEGEND);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        escaped(&picture.title)
    );
    draw_edges(&mut svg, picture, &edges, &layout);
    for (number, node) in picture.nodes.iter().enumerate() {
        draw_node(&mut svg, node, &lines[number], layout.centres[number], sizes[number]);
    }
    draw_legend(&mut svg, picture, layout.height);
    svg.push_str("</svg>\n");
    svg
}

#[expect(clippy::cast_precision_loss, reason = "numbers of lines and characters")]
fn size(lines: &[String]) -> BoxSize {
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    BoxSize { width: longest as f64 * CHARACTER + 2.0 * PADDING, height: lines.len() as f64 * LINE + PADDING }
}

fn draw_edges(svg: &mut String, picture: &Picture, edges: &[(usize, usize)], layout: &GraphLayout) {
    svg.push_str("<g fill=\"none\" stroke=\"#777\">\n");
    let mut between: BTreeMap<(usize, usize), Vec<&Edge>> = BTreeMap::new();
    picture.edges.iter().for_each(|edge| between.entry((edge.from, edge.to)).or_default().push(edge));
    for ((from, to), route) in edges.iter().zip(&layout.routes) {
        let parallel = between.get(&(*from, *to)).map(Vec::as_slice).unwrap_or_default();
        let labels: Vec<String> = parallel.iter().map(|edge| edge.label()).collect();
        let width = if parallel.iter().any(|edge| edge.gathers.is_some()) { 2.0 } else { 1.0 };
        let words = format!("{} to {}: {}", picture.nodes[*from].name, picture.nodes[*to].name, labels.join(", "));
        svg.push_str(&format!(
            "<path d=\"{}\" stroke-width=\"{width}\"><title>{}</title></path>\n",
            curve(route),
            escaped(&words)
        ));
        if let Some((x, y)) = route.last() {
            svg.push_str(&format!("<path d=\"M{:.1} {:.1}l-7 -3.5v7z\" fill=\"#777\" stroke=\"none\"/>\n", x, y));
        }
    }
    svg.push_str("</g>\n");
}

/// Horizontal where it meets a box, straight where it crosses a column.
fn curve(route: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (number, (x, y)) in route.iter().enumerate() {
        match number {
            0 => path.push_str(&format!("M{x:.1} {y:.1}")),
            _ => {
                let (before_x, before_y) = route[number - 1];
                let middle = f64::midpoint(before_x, *x);
                path.push_str(&format!("C{middle:.1} {before_y:.1} {middle:.1} {y:.1} {x:.1} {y:.1}"));
            }
        }
    }
    path
}

fn draw_node(svg: &mut String, node: &PictureNode, lines: &[String], (x, y): (f64, f64), size: BoxSize) {
    let fill = node.state().map_or(if node.is_file { "#fff7d6" } else { "#ffffff" }, NodeState::colour);
    let radius = if node.is_file { 0 } else { 6 };
    let (left, top) = (x - size.width / 2.0, y - size.height / 2.0);
    svg.push_str(&format!(
        "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"{radius}\" fill=\"{fill}\" stroke=\"#333\"/>\n",
        size.width, size.height
    ));
    let mut baseline = top + PADDING / 2.0 + LINE - 4.0;
    for (number, line) in lines.iter().enumerate() {
        let style = if number == 0 { "font-weight=\"bold\"" } else { "fill=\"#555\"" };
        svg.push_str(&format!(
            "<text x=\"{x:.1}\" y=\"{baseline:.1}\" text-anchor=\"middle\" {style}>{}</text>\n",
            escaped(line)
        ));
        baseline += LINE;
    }
}

fn draw_legend(svg: &mut String, picture: &Picture, top: f64) {
    let mut x = 16.0;
    svg.push_str(&format!(
        "<text x=\"{x:.1}\" y=\"{:.1}\" fill=\"#555\">{}</text>\n",
        top + 14.0,
        escaped(&picture.title)
    ));
    #[expect(clippy::cast_precision_loss, reason = "a number of characters")]
    let title = picture.title.chars().count() as f64;
    x += title * CHARACTER + 24.0;
    let states: std::collections::BTreeSet<NodeState> =
        picture.nodes.iter().flat_map(|node| node.states.keys().copied()).collect();
    for state in states {
        svg.push_str(&format!(
            "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{}\" stroke=\"#333\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
            top + 4.0,
            state.colour(),
            x + 18.0,
            top + 14.0,
            state.word()
        ));
        x += 80.0;
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
