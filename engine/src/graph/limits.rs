//! How large a graph each format can show. What cannot be shown is refused; what the usual programs only show with effort
//! gets a note. Both name what to use instead.
//!
//! | format | refused | note |
//! |---|---|---|
//! | Mermaid | more than 500 edges or 50,000 characters: its own limits (`maxEdges`, `maxTextSize`), which GitHub and others keep | |
//! | DOT | | more than 2,000 edges: Graphviz' `dot` takes minutes, then hours |
//! | SVG | more than 100,000 edges, or edges that cross more than 1,000,000 columns together: our own layout | wider or higher than 32,767 pixels, where viewers and converters end |
//! | all | more than 1,000,000 edges | |

use pipe_contract::Failure;

use super::graph_view::{Format, GraphView};
use super::layered_layout;
use super::picture::Picture;
use crate::ids::InstanceId;
use crate::plan::{Plan, Source};

const MAX_EDGES: usize = 1_000_000;
const MAX_EDGES_SVG: usize = 100_000;
const MAX_CROSSED_SVG: usize = 1_000_000;
const MAX_EDGES_MERMAID: usize = 500;
const MAX_CHARACTERS_MERMAID: usize = 50_000;
const PRACTICAL_EDGES_DOT: usize = 2_000;
const PRACTICAL_PIXELS_SVG: f64 = 32_767.0;

/// The limits of one drawing.
pub(super) struct GraphLimits<'a> {
    pub view: GraphView<'a>,
    pub format: Format,
}

impl GraphLimits<'_> {
    /// Refuses an expanded plan whose picture would be too large to be made.
    pub fn check_plan(&self, plan: &Plan) -> Result<(), Failure> {
        let most = if self.format == Format::Svg { MAX_EDGES_SVG } else { MAX_EDGES };
        let edges = if self.view.expand { self.count_edges(plan) } else { 0 };
        if edges <= most {
            return Ok(());
        }
        Err(self.refused(&format!("{} edges; at most {} are shown", grouped(edges), grouped(most))))
    }

    /// Refuses a picture that the format, or any program that reads it, cannot show.
    pub fn check_picture(&self, picture: &Picture) -> Result<(), Failure> {
        let edges = picture.edges.len();
        if self.format == Format::Mermaid && edges > MAX_EDGES_MERMAID {
            let size = format!("{} edges; Mermaid draws at most {}", grouped(edges), grouped(MAX_EDGES_MERMAID));
            return Err(self.refused(&size));
        }
        if self.format != Format::Svg {
            return Ok(());
        }
        let edges: Vec<(usize, usize)> = picture.edges.iter().map(|edge| (edge.from, edge.to)).collect();
        let crossed = layered_layout::crossed(picture.nodes.len(), &edges);
        if crossed > MAX_CROSSED_SVG {
            let (crossed, most) = (grouped(crossed), grouped(MAX_CROSSED_SVG));
            return Err(self.refused(&format!("edges that cross {crossed} columns together; at most {most} are shown")));
        }
        Ok(())
    }

    /// How many artifacts the instances read that are to be shown, those of instances that are not left out.
    fn count_edges(&self, plan: &Plan) -> usize {
        let is_shown = |id: InstanceId| self.view.wanted.is_none_or(|wanted| wanted[id.index()]);
        let count = |source: &Source| plan.links(source).filter(|link| link.producer().is_none_or(is_shown)).count();
        // A gather that many read is walked once.
        let mut of_gathers: Vec<Option<usize>> = vec![None; plan.gathers.len()];
        let sources = plan.ids().filter(|id| is_shown(*id)).flat_map(|id| plan.instance(id).inputs.values());
        let counts = sources.map(|source| match source {
            Source::One(_) => count(source),
            Source::Many(gather) => *of_gathers[gather.index()].get_or_insert_with(|| count(source)),
        });
        counts.sum()
    }

    /// Refuses a text that the programs for its format refuse; a note if they hardly show it.
    pub fn check_text(&self, picture: &Picture, text: &str) -> Result<Option<String>, Failure> {
        let edges = picture.edges.len();
        let note = match self.format {
            Format::Text => None,
            Format::Mermaid => {
                // As JavaScript counts them.
                let characters = text.encode_utf16().count();
                if characters > MAX_CHARACTERS_MERMAID {
                    let (found, most) = (grouped(characters), grouped(MAX_CHARACTERS_MERMAID));
                    return Err(self.refused(&format!("{found} characters; Mermaid reads at most {most}")));
                }
                None
            }
            Format::Dot => (edges > PRACTICAL_EDGES_DOT).then(|| {
                format!("this graph has {} edges, for which Graphviz' `dot` takes minutes or more", grouped(edges))
            }),
            Format::Svg => too_large_to_view(text).map(|(width, height)| {
                format!("this picture has {width} x {height} pixels, which many viewers do not show")
            }),
        };
        Ok(note.map(|note| format!("{note}; {}", self.instead())))
    }

    fn refused(&self, size: &str) -> Failure {
        Failure::input(format!("this graph has {size}")).hint(self.instead())
    }

    /// What shows a graph that is too large for the format.
    fn instead(&self) -> String {
        let mut ways = Vec::new();
        if self.view.expand {
            ways.push("leave out `--expand` (one node a stage)");
        }
        if self.view.wanted.is_none() {
            ways.push("name the stages to show (`pipe graph FILE STAGE`, `--only STAGE`)");
        }
        match self.format {
            Format::Mermaid => ways.push("use `--format svg`"),
            Format::Dot => ways.push("use `sfdp` of Graphviz, or `--format svg`"),
            Format::Svg => ways.push("use `--format text`"),
            Format::Text => {}
        }
        ways.join(", or ")
    }
}

/// Width and height of a picture, if one is too large.
fn too_large_to_view(svg: &str) -> Option<(&str, &str)> {
    let attribute = |name: &str| svg.split_once(&format!(" {name}=\"")).and_then(|(_, rest)| rest.split('"').next());
    let (width, height) = (attribute("width")?, attribute("height")?);
    let is_large = |size: &str| size.parse::<f64>().is_ok_and(|size| size > PRACTICAL_PIXELS_SVG);
    (is_large(width) || is_large(height)).then_some((width, height))
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
