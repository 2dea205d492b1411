//! The graph as text: each stage with what it reads and what it publishes, in an order in which they could run.

use super::picture::{Edge, Picture, PictureNode};

pub(super) fn write(picture: &Picture) -> String {
    let (stages, instances, results) = picture.size;
    let sizes = [(stages, "stage"), (instances, "instance"), (results, "result")].map(counted);
    let mut text = format!("{}: {}\n", picture.title, sizes.join(", "));
    let mut reads: Vec<Vec<&Edge>> = vec![Vec::new(); picture.nodes.len()];
    picture.edges.iter().for_each(|edge| reads[edge.to].push(edge));
    for (node, reads) in picture.nodes.iter().zip(reads).filter(|(node, _)| !node.is_file) {
        let details: Vec<String> = node.lines().into_iter().skip(1).collect();
        text.push_str(&format!("\n{}  [{}]\n", node.name, details.join("; ")));
        let width = reads.iter().map(|edge| edge.input.chars().count()).max().unwrap_or(0);
        for edge in reads {
            text.push_str(&format!("  {:width$} <- {}\n", edge.input, source(&picture.nodes[edge.from], edge)));
        }
        for result in &node.results {
            text.push_str(&format!("  => {result}\n"));
        }
    }
    text
}

/// `1 stage`, `2 stages`.
fn counted((count, of): (usize, &str)) -> String {
    format!("{count} {of}{}", if count == 1 { "" } else { "s" })
}

fn source(from: &PictureNode, edge: &Edge) -> String {
    let port = if edge.output.is_empty() { from.name.clone() } else { format!("{}.{}", from.name, edge.output) };
    match edge.gathers {
        Some(counts) => format!("{port} (gathers {counts})"),
        None if from.is_file && !from.work.is_empty() => format!("{port} ({})", from.work),
        None => port,
    }
}
