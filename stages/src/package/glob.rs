//! Decides which paths a pattern such as `nilearn/datasets/data/fsaverage5/*.gii.gz` means.
//!
//! `*` and `?` stay within one folder, `[a-c]` and `[!a]` are one character, `**` as a whole component is any number
//! of folders. Paths are text with `/`; case matters; nothing is looked up on disk.

use pipe_contract::Failure;

/// A pattern, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    written: String,
    components: Vec<String>,
}

impl Pattern {
    /// Checks a pattern.
    ///
    /// # Errors
    /// Input: empty, absolute, with `.`, `..` or empty components, or with a `[` that nothing closes.
    pub fn parse(written: &str) -> Result<Self, Failure> {
        let components: Vec<String> = written.split('/').map(str::to_owned).collect();
        let bad = |why: &str| Err(Failure::input(format!("the pattern `{written}` {why}")));
        if written.is_empty() {
            return bad("is empty");
        }
        for component in &components {
            match component.as_str() {
                "" => return bad("has an empty component; it must be relative, without `//` or a final `/`"),
                "." | ".." => return bad("must not hold `.` or `..`"),
                _ if !brackets_close(component) => return bad("has a `[` that is never closed"),
                _ => {}
            }
        }
        Ok(Self { written: written.to_owned(), components })
    }

    /// Whether a path, relative and with `/`, matches as a whole.
    pub fn matches(&self, path: &str) -> bool {
        let components: Vec<&str> = path.split('/').collect();
        matches_components(&self.components, &components)
    }

    /// The folder part before the first component with a special character, without final `/`; the parent folder of
    /// a pattern that has none. Files that match are named relative to it.
    pub fn prefix(&self) -> &str {
        let plain = self.components.iter().take_while(|component| !is_special(component)).count();
        let kept = plain.min(self.components.len() - 1);
        let length = self.components[..kept].iter().map(|component| component.len() + 1).sum::<usize>();
        &self.written[..length.saturating_sub(1)]
    }

    /// The name of a path relative to [`Pattern::prefix`].
    pub fn relative<'p>(&self, path: &'p str) -> &'p str {
        let prefix = self.prefix();
        path.strip_prefix(prefix).map_or(path, |rest| rest.trim_start_matches('/'))
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.written
    }
}

fn is_special(component: &str) -> bool {
    component.contains(['*', '?', '['])
}

fn brackets_close(component: &str) -> bool {
    let mut rest: &str = component;
    while let Some(open) = rest.find('[') {
        match class(&rest[open + 1..]) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

fn matches_components(pattern: &[String], path: &[&str]) -> bool {
    match pattern.split_first() {
        None => path.is_empty(),
        Some((first, rest)) if first == "**" => {
            (0..=path.len()).any(|skipped| matches_components(rest, &path[skipped..]))
        }
        Some((first, rest)) => {
            path.split_first().is_some_and(|(name, below)| matches_name(first, name) && matches_components(rest, below))
        }
    }
}

fn matches_name(pattern: &str, name: &str) -> bool {
    let Some(special) = pattern.chars().next() else { return name.is_empty() };
    let after = &pattern[special.len_utf8()..];
    let first = name.chars().next();
    let name_after = first.map_or("", |c| &name[c.len_utf8()..]);
    match special {
        '*' => matches_name(after, name) || (first.is_some() && matches_name(pattern, name_after)),
        '?' => first.is_some() && matches_name(after, name_after),
        '[' => match (class(after), first) {
            (Some((class, after)), Some(c)) => class_holds(class, c) && matches_name(after, name_after),
            _ => false,
        },
        plain => first == Some(plain) && matches_name(after, name_after),
    }
}

/// Splits `a-c]rest` into the inside of the brackets and the rest; a `]` in first place is a member.
fn class(text: &str) -> Option<(&str, &str)> {
    let skip = usize::from(text.starts_with('!'));
    let from = skip + usize::from(text[skip..].starts_with(']'));
    let close = from + text[from..].find(']')?;
    Some((&text[..close], &text[close + 1..]))
}

fn class_holds(class: &str, c: char) -> bool {
    let (negated, members) = class.strip_prefix('!').map_or((false, class), |rest| (true, rest));
    let members: Vec<char> = members.chars().collect();
    let mut held = false;
    let mut at = 0;
    while at < members.len() {
        if at + 2 < members.len() && members[at + 1] == '-' {
            held |= (members[at]..=members[at + 2]).contains(&c);
            at += 3;
        } else {
            held |= members[at] == c;
            at += 1;
        }
    }
    held != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(path)
    }

    #[test]
    fn stars_stay_within_a_folder() {
        assert!(matches("a/*.gii.gz", "a/sulc_left.gii.gz"));
        assert!(!matches("a/*.gii.gz", "a/b/sulc_left.gii.gz"));
        assert!(!matches("a/*.gii.gz", "a/sulc_left.gii"));
        assert!(matches("surf/*benson14*", "surf/lh.benson14_angle.v4_0.mgz"));
        assert!(matches("surf/*benson14*", "surf/benson14"));
        assert!(!matches("surf/*benson14*", "surf/lh.wang15.mgz"));
    }

    #[test]
    fn double_stars_cross_folders_and_may_be_empty() {
        assert!(matches("a/**/c", "a/c"));
        assert!(matches("a/**/c", "a/b/b/c"));
        assert!(matches("**/*.mgz", "x.mgz"));
        assert!(!matches("a/**/c", "b/c"));
    }

    #[test]
    fn single_characters_and_classes() {
        assert!(matches("?h.[a-c]", "lh.b"));
        assert!(!matches("?h.[!a-c]", "lh.b"));
        assert!(matches("[]x]", "]"));
        assert!(matches("é?", "éß"));
        assert!(!matches("?", ""));
    }

    #[test]
    fn the_prefix_ends_before_the_first_special_component() {
        let prefix = |text: &str| Pattern::parse(text).unwrap().prefix().to_owned();
        assert_eq!(prefix("a/b/*.gz"), "a/b");
        assert_eq!(prefix("a/b/c.gz"), "a/b");
        assert_eq!(prefix("*.gz"), "");
        assert_eq!(prefix("c.gz"), "");
        assert_eq!(prefix("a/**/c"), "a");
        let pattern = Pattern::parse("a/**/c").unwrap();
        assert_eq!(pattern.relative("a/b/c"), "b/c");
        assert_eq!(Pattern::parse("*.gz").unwrap().relative("x.gz"), "x.gz");
    }

    #[test]
    fn patterns_that_could_lead_outside_are_refused() {
        for bad in ["", "/a", "a//b", "a/", "../a", "a/./b", "a[b"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_handled(pattern in "[a*?\\[\\]!/é-]{0,12}", path in "[aé/b]{0,12}") {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                let _ = pattern.matches(&path);
                let _ = pattern.relative(&path);
            }
        }
    }
}
