//! What a text in a pipeline file means: itself, a reference (`$images(*).images`), or a text with
//! references inside (`"${each.rater}/${each.sid}.hdf5"`). About the spelling only, not about what the names mean.
//!
//! A name in the path of a value may be the text of another value (`$params.plans.${each.inputs}.gamma`): the spelling that
//! entries of folders have (`$stage.port/${each.sid}`), so there is no second one for a lookup.

use super::node::Node;
use crate::diag::{Class, Diagnostic, SourceTexts, Span};

/// What a text means.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// Itself, with `$$` made `$`.
    Plain(String),
    /// A reference and nothing else: it keeps its type.
    Reference(Reference),
    /// A text that references are put into.
    Template(Vec<TextPiece>),
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq)]
pub enum TextPiece {
    /// As it is.
    Literal(String),
    /// The text of a value.
    Value(Reference),
}

/// `$name.name(selectors).name/entry`, or the path of a value: `$params.name.${each.axis}.name`.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// The names before the selector, or all names if there is none.
    pub names: Vec<String>,
    /// What follows the names of a value from the first `${...}` on: each piece is one name of the path.
    pub chosen: Vec<TextPiece>,
    /// The selectors in round brackets; empty if there are none.
    pub selectors: Vec<Selector>,
    /// Whether there are round brackets.
    pub selected: bool,
    /// The names after the selector.
    pub after: Vec<String>,
    /// What follows `/`.
    pub entry: Option<Vec<TextPiece>>,
    /// The whole of it.
    pub span: Span,
    /// As written.
    pub text: String,
}

/// One of the selectors in round brackets.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// The axis; `None` for a bare `*`.
    pub axis: Option<String>,
    /// Which coordinates.
    pub pick: Pick,
    /// Where.
    pub span: Span,
}

/// Which coordinates a selector takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Pick {
    /// All of them: a gather.
    All,
    /// This one.
    One(Vec<TextPiece>),
}

impl Reference {
    /// All names in order, ignoring the selector and what is chosen by values.
    pub fn path(&self) -> Vec<&str> {
        self.names.iter().chain(&self.after).map(String::as_str).collect()
    }

    /// Whether it is a value known at plan time (`$params...`, `$each...`) rather than an artifact.
    pub fn is_value(&self) -> bool {
        matches!(self.names.first().map(String::as_str), Some("params" | "each"))
    }
}

/// Reads a scalar.
///
/// # Errors
/// A `$` that begins nothing legal, brackets that do not close, and the like.
pub fn read(sources: &SourceTexts, node: &Node) -> Result<Written, Diagnostic> {
    let text = node.written().unwrap_or_default();
    read_text(sources, text, node.span)
}

/// Reads a text written at `span`.
///
/// # Errors
/// As [`read`].
pub fn read_text(sources: &SourceTexts, text: &str, span: Span) -> Result<Written, Diagnostic> {
    if !text.contains('$') {
        return Ok(Written::Plain(text.to_owned()));
    }
    let mut cursor = Cursor { text, at: 0, span, base: sources.text(span).find(text), in_path: false };
    if text.starts_with('$') && !text.starts_with("$$") && !text.starts_with("${") {
        let reference = cursor.reference(true)?;
        if cursor.at < text.len() {
            return Err(cursor.trailing(&reference));
        }
        return Ok(Written::Reference(reference));
    }
    let pieces = cursor.pieces(|_| false)?;
    match pieces.as_slice() {
        [] => Ok(Written::Plain(String::new())),
        [TextPiece::Literal(literal)] => Ok(Written::Plain(literal.clone())),
        _ => Ok(Written::Template(pieces)),
    }
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
    span: Span,
    /// Where the text begins inside the source of `span`; `None` if escapes make the two differ.
    base: Option<usize>,
    /// The cursor is in a `${...}` that is a name of a path. There is one level of these, so that no text can nest them without end.
    in_path: bool,
}

impl Cursor<'_> {
    fn part(&self, from: usize, to: usize) -> Span {
        match self.base {
            Some(base) => self.span.part(base + from, base + to),
            None => self.span,
        }
    }

    fn error(&self, from: usize, to: usize, message: impl Into<Box<str>>) -> Diagnostic {
        Diagnostic::new(Class::Reference, self.part(from, to.max(from + 1)), message)
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn eat(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        if found {
            self.at += prefix.len();
        }
        found
    }

    fn name(&mut self) -> Option<String> {
        let end =
            self.rest().find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).unwrap_or(self.rest().len());
        let name = self.rest()[..end].to_owned();
        self.at += end;
        (end > 0).then_some(name)
    }

    /// A reference at the cursor; `bare` ones begin with `$` and may have an entry, others are written in `${ }`.
    fn reference(&mut self, bare: bool) -> Result<Reference, Diagnostic> {
        let start = self.at;
        if bare {
            self.eat("$");
        }
        let names = self.names(start)?;
        let chosen = if self.rest().starts_with(".$") { self.chosen(start, &names)? } else { Vec::new() };
        let selected = self.rest().starts_with('(');
        let selectors = if selected { self.selectors()? } else { Vec::new() };
        let after = if selected && self.eat(".") { self.names(start)? } else { Vec::new() };
        let entry = if bare && self.eat("/") { Some(self.pieces(|_| false)?) } else { None };
        let text = self.text[start..self.at].to_owned();
        Ok(Reference { names, chosen, selectors, selected, after, entry, span: self.part(start, self.at), text })
    }

    /// The rest of the path of a value, from the first name that another value gives.
    fn chosen(&mut self, start: usize, names: &[String]) -> Result<Vec<TextPiece>, Diagnostic> {
        let from = self.at + 1;
        if self.in_path {
            return Err(self
                .error(from, from + 1, "a `${...}` in a path has no other one inside")
                .hint("between the braces is a plain reference, such as `${each.axis}`"));
        }
        if !matches!(names.first().map(String::as_str), Some("params" | "each")) {
            let name = names.join(".");
            return Err(self
                .error(from, from + 1, format!("`{name}` is not a value: names of stages and outputs are written out"))
                .hint(format!("a selector takes one cell by its coordinates: `${name}(axis=$each.axis).port`")));
        }
        let mut chosen = Vec::new();
        while self.rest().starts_with('.') && !self.rest().starts_with("..") {
            self.eat(".");
            if self.rest().starts_with('$') {
                self.in_path = true;
                let value = self.braced();
                self.in_path = false;
                chosen.push(TextPiece::Value(value?));
            } else {
                let name = self.name().ok_or_else(|| self.no_name_after_dot(start))?;
                chosen.push(TextPiece::Literal(name));
            }
        }
        Ok(chosen)
    }

    fn no_name_after_dot(&self, start: usize) -> Diagnostic {
        self.error(start, self.at, "a name is missing after the dot")
    }

    fn names(&mut self, start: usize) -> Result<Vec<String>, Diagnostic> {
        let mut names = Vec::new();
        loop {
            match self.name() {
                Some(name) => names.push(name),
                None if names.is_empty() => {
                    return Err(self
                        .error(start, self.at + 1, "a `$` must be followed by a name")
                        .hint("write `$stage.port`, `$params.name` or `$each.axis`; `$$` is a dollar"));
                }
                None => return Err(self.no_name_after_dot(start)),
            }
            // `a..b` is the syntax of ranges and is refused by the code that reads the rest.
            if self.rest().starts_with("..") || self.rest().starts_with(".$") || !self.eat(".") {
                return Ok(names);
            }
        }
    }

    fn selectors(&mut self) -> Result<Vec<Selector>, Diagnostic> {
        let open = self.at;
        self.eat("(");
        let mut selectors = Vec::new();
        loop {
            self.skip_spaces();
            if self.eat(")") {
                return Ok(selectors);
            }
            if self.rest().is_empty() {
                return Err(self
                    .error(open, self.at, "the round bracket of this selector is not closed")
                    .label("opened here")
                    .hint(
                        "inside `{ }` or `[ ]` a comma ends the value: put the reference in quotes, or use block style",
                    ));
            }
            selectors.push(self.selector()?);
            self.skip_spaces();
            if !self.rest().is_empty() && !self.eat(",") && !self.rest().starts_with(')') {
                return Err(self.error(self.at, self.at + 1, "expected `,` or `)` in this selector"));
            }
        }
    }

    fn selector(&mut self) -> Result<Selector, Diagnostic> {
        let start = self.at;
        if self.eat("*") {
            return Ok(Selector { axis: None, pick: Pick::All, span: self.part(start, self.at) });
        }
        let axis = self.name();
        self.skip_spaces();
        let (Some(axis), true) = (axis, self.eat("=")) else {
            return Err(self
                .error(start, self.at, "a selector is `*`, `axis=value` or `axis=*`")
                .hint("`*` gathers every axis that is neither named nor an axis of the reader"));
        };
        self.skip_spaces();
        if self.eat("*") {
            return Ok(Selector { axis: Some(axis), pick: Pick::All, span: self.part(start, self.at) });
        }
        let pieces = if self.rest().starts_with('$') && !self.rest().starts_with("$$") && !self.rest().starts_with("${")
        {
            vec![TextPiece::Value(self.reference(true)?)]
        } else {
            self.pieces(|c| c == ',' || c == ')')?
        };
        if pieces.is_empty() {
            return Err(self.error(start, self.at, format!("the selector for axis `{axis}` has no value")));
        }
        Ok(Selector { axis: Some(axis), pick: Pick::One(pieces), span: self.part(start, self.at) })
    }

    fn skip_spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Text with `${...}` inside, up to the end or a character that ends it; trailing space before such a character is dropped.
    fn pieces(&mut self, ends: impl Fn(char) -> bool) -> Result<Vec<TextPiece>, Diagnostic> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        while let Some(next) = self.rest().chars().next() {
            if ends(next) {
                literal.truncate(literal.trim_end().len());
                break;
            }
            if self.eat("$$") {
                literal.push('$');
            } else if self.rest().starts_with('$') {
                if !literal.is_empty() {
                    pieces.push(TextPiece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(TextPiece::Value(self.braced()?));
            } else {
                literal.push(next);
                self.at += next.len_utf8();
            }
        }
        if !literal.is_empty() {
            pieces.push(TextPiece::Literal(literal));
        }
        Ok(pieces)
    }

    fn braced(&mut self) -> Result<Reference, Diagnostic> {
        let start = self.at;
        if self.rest().starts_with("${{") {
            let inside = self.rest()[3..].split('}').next().unwrap_or_default().trim();
            return Err(self
                .error(start, start + 3, "a reference is written with single braces")
                .hint(format!("write `${inside}`, or \"${{{inside}}}\" inside a longer text")));
        }
        if !self.eat("${") {
            self.eat("$");
            let name: String =
                self.rest().chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-')).collect();
            let proposal = match name.split('.').collect::<Vec<_>>().as_slice() {
                ["each" | "params", name, ..] if !name.is_empty() => {
                    format!("${{{}.{name}}}", self.rest().split('.').next().unwrap_or_default())
                }
                _ => format!("${{{}}}", if name.is_empty() { "name" } else { name.trim_end_matches('.') }),
            };
            return Err(self
                .error(start, self.at + name.len(), "a `$` inside a longer text needs braces")
                .hint(format!("write `{proposal}` in a quoted text; `$$` is a dollar")));
        }
        let reference = self.reference(false)?;
        if !self.eat("}") {
            return Err(self.error(start, self.at, "this `${` is not closed by `}`").hint("write `${name.path}`"));
        }
        Ok(Reference { span: self.part(start, self.at), ..reference })
    }

    fn trailing(&self, reference: &Reference) -> Diagnostic {
        let rest = self.rest();
        let error = self.error(
            self.at,
            self.text.len(),
            format!("`{}` does not belong to a reference", super::node::shortened(rest)),
        );
        if let Some(inside) = rest.strip_prefix(['[', '{']) {
            let (inside, after) = inside.split_once([']', '}']).unwrap_or((inside, ""));
            if reference.is_value() {
                let field = inside.trim_matches(['"', '\'', ' ']);
                let by_value = field.trim_start_matches('$');
                let is_value = by_value.starts_with("each.") || by_value.starts_with("params.");
                let field = if is_value { format!("${{{by_value}}}") } else { field.to_owned() };
                return error.hint(format!("fields follow a dot: `{}.{field}{after}`", reference.text));
            }
            let after = if after.starts_with('.') { after } else { ".port" };
            let name = reference.names.join(".");
            return error.hint(format!("selectors are written in round brackets: `${name}({inside}){after}`"));
        }
        if reference.is_value() && rest.starts_with("${") {
            return error
                .hint(format!("a value gives a whole name of a path, after a dot: `{}.{rest}`", reference.text));
        }
        error.hint("a reference is the whole value; inside a longer text write \"${...}\"; `$$` is a dollar")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<Written, Diagnostic> {
        let mut sources = SourceTexts::default();
        let file = sources.add("/p".into(), "p".into(), text.to_owned());
        read_text(&sources, text, Span { file, start: 0, end: u32::try_from(text.len()).expect("short") })
    }

    fn reference(text: &str) -> Reference {
        match written(text) {
            Ok(Written::Reference(reference)) => reference,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn references_have_names_selectors_and_entries() {
        let plain = reference("$params.outputs.area.lr");
        assert_eq!((plain.path(), plain.is_value()), (vec!["params", "outputs", "area", "lr"], true));
        let gathered = reference("$prep.images(*).images");
        assert_eq!((gathered.names.len(), gathered.after[0].as_str(), gathered.selected), (2, "images", true));
        let picked = reference("$manual( sid = $params.example , rater=A1).labels");
        assert_eq!(picked.selectors.len(), 2);
        assert_eq!(picked.selectors[1].pick, Pick::One(vec![TextPiece::Literal("A1".into())]));
        let Some(entry) = reference("$subject.labels/${each.rater}/x.h5").entry else { panic!("an entry") };
        assert_eq!(entry.len(), 2);
    }

    #[test]
    fn values_give_names_of_a_path() {
        let plan = reference("$params.plans.${each.inputs}.${each.outputs}.rounds");
        assert_eq!((plan.path(), plan.chosen.len(), plan.selected), (vec!["params", "plans"], 3, false));
        assert_eq!(plan.chosen[2], TextPiece::Literal("rounds".into()));
        let TextPiece::Value(inputs) = &plan.chosen[0] else { panic!("a value") };
        assert_eq!((inputs.path(), inputs.text.as_str()), (vec!["each", "inputs"], "each.inputs"));
        let inside = written("lr_${params.plans.${each.inputs}.lr}.txt").expect("legal");
        let Written::Template(pieces) = inside else { panic!("{inside:?}") };
        assert!(matches!(&pieces[1], TextPiece::Value(reference) if reference.chosen.len() == 2), "{pieces:?}");
    }

    #[test]
    fn texts_keep_their_dollars() {
        assert_eq!(written("cost: 5$$").expect("legal"), Written::Plain("cost: 5$".into()));
        assert_eq!(written("$$HOME").expect("legal"), Written::Plain("$HOME".into()));
        assert!(matches!(written("a_${each.sid}.csv"), Ok(Written::Template(pieces)) if pieces.len() == 3));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, words) in [
            ("$", "followed by a name"),
            ("$a.", "missing after the dot"),
            ("$images[*].pixels", "does not belong"),
            ("$manual(sid=1", "not closed"),
            ("data/$each.sid.csv", "needs braces"),
            ("x${each.sid", "not closed"),
            ("$a(sid).b", "a selector is"),
            ("$a(sid=).b", "has no value"),
            ("$params.a.$each.b", "needs braces"),
            ("$params.a.${each.b}.", "missing after the dot"),
            ("$params.a.${each.b", "not closed"),
            ("$params.a${each.b}", "does not belong"),
            ("$params.a.${params.b.${each.c}}", "has no other one inside"),
            ("$a.${each.b}", "`a` is not a value"),
        ] {
            let error = written(text).expect_err(text);
            assert!(error.message.contains(words), "{text}: {}", error.message);
        }
    }
}
