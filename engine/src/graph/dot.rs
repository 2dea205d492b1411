//! The graph in Graphviz' language.

use super::picture::{Picture, PictureNode};

pub(super) fn write(picture: &Picture) -> String {
    let mut text = format!(
        "digraph {} {{\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fillcolor=white];\n",
        quoted(&picture.title)
    );
    for node in &picture.nodes {
        text.push_str(&format!("  {} [label={}{}];\n", node.id, quoted(&node.lines().join("\n")), style(node)));
    }
    for edge in &picture.edges {
        let (from, to) = (&picture.nodes[edge.from].id, &picture.nodes[edge.to].id);
        let style = if edge.gathers.is_some() { ", style=bold" } else { "" };
        text.push_str(&format!("  {from} -> {to} [label={}{style}];\n", quoted(&edge.label())));
    }
    text.push_str("}\n");
    text
}

fn style(node: &PictureNode) -> String {
    match node.state() {
        _ if node.is_file => ", shape=note, style=filled".to_owned(),
        Some(state) => format!(", fillcolor=\"{}\"", state.colour()),
        None => String::new(),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
