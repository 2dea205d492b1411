//! The graph in Mermaid's language, for Markdown.

use std::collections::BTreeSet;

use super::picture::Picture;

pub(super) fn write(picture: &Picture) -> String {
    let mut text = String::from("flowchart LR\n");
    for node in &picture.nodes {
        let label = escaped(&node.lines().join("\n"));
        let shape = if node.is_file { format!("[/\"{label}\"/]") } else { format!("(\"{label}\")") };
        text.push_str(&format!("  {}{shape}\n", node.id));
    }
    for edge in &picture.edges {
        let arrow = if edge.gathers.is_some() { "==>" } else { "-->" };
        let (from, to) = (&picture.nodes[edge.from].id, &picture.nodes[edge.to].id);
        text.push_str(&format!("  {from} {arrow}|\"{}\"| {to}\n", escaped(&edge.label())));
    }
    let states: BTreeSet<_> = picture.nodes.iter().filter_map(|node| node.state()).collect();
    for state in states {
        text.push_str(&format!("  classDef {} fill:{},stroke:#333,color:#000\n", state.word(), state.colour()));
        let ids: Vec<&str> =
            picture.nodes.iter().filter(|node| node.state() == Some(state)).map(|node| node.id.as_str()).collect();
        text.push_str(&format!("  class {} {}\n", ids.join(","), state.word()));
    }
    text
}

/// Mermaid reads `#name;` as a character and `<br>` as a line break.
fn escaped(text: &str) -> String {
    text.replace('#', "#35;")
        .replace('&', "&amp;")
        .replace('"', "#quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\n', "<br>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_mermaid_would_read_as_a_character_is_escaped() {
        assert_eq!(escaped("i=#35; <a>"), "i=#35;35; &lt;a&gt;");
    }
}
