//! Decides which paths a pattern such as `nilearn/datasets/data/fsaverage5/*.gii.gz` means.
//!
//! Patterns are those of `globset`, as in `in:` of a pipeline: `*` and `?` stay within one folder, `?`, `[a-c]` and `[!a]` are one
//! ASCII character, `**` as a whole component is any number of folders, `{a,b}` is one of several. Paths are text with `/`; case matters;
//! nothing is looked up on disk.

use globset::{GlobBuilder, GlobMatcher};
use pipe_contract::Failure;

/// A pattern, checked.
#[derive(Clone, Debug)]
pub struct Pattern {
    written: String,
    matcher: GlobMatcher,
}

impl Pattern {
    /// Checks a pattern.
    ///
    /// # Errors
    /// Input: empty, absolute, with `.`, `..` or empty components, or with a bracket that nothing closes.
    pub fn parse(written: &str) -> Result<Self, Failure> {
        let bad = |why: &str| Err(Failure::input(format!("the pattern `{written}` {why}")));
        if written.is_empty() {
            return bad("is empty");
        }
        for component in written.split('/') {
            match component {
                "" => return bad("has an empty component; it must be relative, without `//` or a final `/`"),
                "." | ".." => return bad("must not hold `.` or `..`"),
                _ => {}
            }
        }
        match GlobBuilder::new(written).literal_separator(true).backslash_escape(true).build() {
            Ok(glob) => Ok(Self { written: written.to_owned(), matcher: glob.compile_matcher() }),
            Err(error) => bad(&format!("cannot be read: {}", error.kind())),
        }
    }

    /// Whether a path, relative and with `/`, matches as a whole.
    pub fn matches(&self, path: &str) -> bool {
        self.matcher.is_match(path)
    }

    /// The folder part before the first component with a special character, without final `/`; the parent folder of
    /// a pattern that has none. Files that match are named relative to it.
    pub fn prefix(&self) -> &str {
        let components: Vec<&str> = self.written.split('/').collect();
        let plain = components.iter().take_while(|component| !is_special(component)).count();
        let kept = plain.min(components.len() - 1);
        let length = components[..kept].iter().map(|component| component.len() + 1).sum::<usize>();
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
    component.contains(['*', '?', '[', '{', '\\'])
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
        assert!(matches("é?", "éb") && matches("é*", "éß"));
        assert!(!matches("?", ""));
        // A separator is none of the characters that are not in a class.
        assert!(!matches("a[!b]c", "a/c"));
    }

    #[test]
    fn alternatives_and_escapes() {
        assert!(matches("a/{lh,rh}.curv", "a/rh.curv"));
        assert!(!matches("a/{lh,rh}.curv", "a/xh.curv"));
        assert!(matches(r"a/\[b\]", "a/[b]"));
        assert_eq!(Pattern::parse("a/{b,c/d}/x").unwrap().prefix(), "a");
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
        for bad in ["", "/a", "a//b", "a/", "../a", "a/./b", "a[b", "a/{b"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_handled(pattern in "[a*?\\[\\]{},!:/é\\\\-]{0,12}", path in "[aé/b]{0,12}") {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                let _ = pattern.matches(&path);
                let _ = pattern.relative(&path);
            }
        }
    }
}
