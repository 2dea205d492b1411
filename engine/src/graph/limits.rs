//! How large a graph each format can show. What cannot be shown is refused; what the usual programs only show with effort
//! gets a note. Both name what to use instead.
//!
//! | format | refused | note |
//! |---|---|---|
//! | Mermaid | more than 500 edges or 50,000 characters: its own limits (`maxEdges`, `maxTextSize`), which GitHub and others keep | |
//! | DOT | | more than 2,000 edges: Graphviz' `dot` takes minutes, then hours |
//! | SVG | more than 100,000 edges | wider or higher than 32,767 pixels, where viewers and converters end |
//! | all | more than 1,000,000 edges | |

use pipe_contract::Failure;

use super::picture::Picture;
use super::view::{Format, View};
use crate::ids::InstanceId;
use crate::plan::Plan;

const MAX_EDGES: usize = 1_000_000;
const MAX_EDGES_SVG: usize = 100_000;
const MAX_EDGES_MERMAID: usize = 500;
const MAX_CHARACTERS_MERMAID: usize = 50_000;
const PRACTICAL_EDGES_DOT: usize = 2_000;
const PRACTICAL_PIXELS_SVG: f64 = 32_767.0;

/// Refuses a graph with more edges than the format, or any, can have. Folded graphs are never so large.
pub(super) fn check_edges(plan: &Plan, view: View<'_>, format: Format) -> Result<(), Failure> {
    let most = if format == Format::Svg { MAX_EDGES_SVG } else { MAX_EDGES };
    let edges = if view.expand { edges(plan, view) } else { 0 };
    if edges <= most {
        return Ok(());
    }
    Err(refused(&format!("{} edges; at most {} are shown", grouped(edges), grouped(most)), view, format))
}

/// How many artifacts the instances read that are to be shown.
fn edges(plan: &Plan, view: View<'_>) -> usize {
    let is_drawn = |id: &InstanceId| view.wanted.is_none_or(|wanted| wanted[id.index()]);
    let sources = plan.ids().filter(is_drawn).flat_map(|id| plan.instance(id).inputs.values());
    sources.map(|source| plan.count_links(source)).sum()
}

/// Refuses a drawing that the programs for its format refuse; a note if they take very long.
pub(super) fn check_drawing(
    picture: &Picture,
    view: View<'_>,
    format: Format,
    text: &str,
) -> Result<Option<String>, Failure> {
    let edges = picture.edges.len();
    match format {
        Format::Text => Ok(None),
        Format::Mermaid if edges > MAX_EDGES_MERMAID => {
            let size = format!("{} edges; Mermaid draws at most {MAX_EDGES_MERMAID}", grouped(edges));
            Err(refused(&size, view, format))
        }
        // As JavaScript counts them.
        Format::Mermaid if text.encode_utf16().count() > MAX_CHARACTERS_MERMAID => {
            let (found, most) = (grouped(text.encode_utf16().count()), grouped(MAX_CHARACTERS_MERMAID));
            Err(refused(&format!("{found} characters; Mermaid reads at most {most}"), view, format))
        }
        Format::Mermaid => Ok(None),
        Format::Dot => Ok((edges > PRACTICAL_EDGES_DOT).then(|| {
            let size = format!("this graph has {} edges, which takes Graphviz' `dot` minutes or more", grouped(edges));
            format!("{size}; {}", instead(view, format))
        })),
        Format::Svg => Ok(too_large_to_view(text).map(|(width, height)| {
            format!(
                "this picture has {width} x {height} pixels, which many viewers do not show; {}",
                instead(view, format)
            )
        })),
    }
}

/// Width and height of a picture, if one is too large.
fn too_large_to_view(svg: &str) -> Option<(&str, &str)> {
    let attribute = |name: &str| svg.split_once(&format!(" {name}=\"")).and_then(|(_, rest)| rest.split('"').next());
    let (width, height) = (attribute("width")?, attribute("height")?);
    let is_large = |size: &str| size.parse::<f64>().is_ok_and(|size| size > PRACTICAL_PIXELS_SVG);
    (is_large(width) || is_large(height)).then_some((width, height))
}

fn refused(size: &str, view: View<'_>, format: Format) -> Failure {
    Failure::input(format!("this graph has {size}")).hint(instead(view, format))
}

/// What shows a graph that is too large for a format.
fn instead(view: View<'_>, format: Format) -> String {
    let mut ways = Vec::new();
    if view.expand {
        ways.push("leave out `--expand` (one node a stage)");
    }
    if view.wanted.is_none() {
        ways.push("name the stages to draw (`pipe graph FILE STAGE`, `--only STAGE`)");
    }
    match format {
        Format::Mermaid => ways.push("use `--format svg`"),
        Format::Dot => ways.push("use `sfdp` of Graphviz, or `--format svg`"),
        Format::Svg => ways.push("use `--format text`"),
        Format::Text => {}
    }
    ways.join(", or ")
}

/// `1,234,567`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn the_size_of_a_picture_is_read_from_its_head() {
        let svg = |width: &str| format!("<svg xmlns=\"x\" width=\"{width}\" height=\"20\" viewBox=\"0 0 1 1\">");
        assert_eq!(too_large_to_view(&svg("32767")), None);
        assert_eq!(too_large_to_view(&svg("40000")), Some(("40000", "20")));
    }
}
