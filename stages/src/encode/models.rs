//! Which sets of feature spaces are models.
//!
//! Decides how sets are written (`all`, `single`, `full`, or a list of names such as `A+B`) and in which order models come: by the
//! number of their spaces, then in the order of the spaces.

use std::collections::BTreeSet;

use pipe_contract::{Failure, IMPORTANT, Value};

use crate::formats::predictions::{JOINED_BY, Model};

/// With more spaces than these, all sets of them are a lot to compute and more to read.
const MANY_SPACES: usize = 6;
/// With more spaces than these, all sets of them are refused: the next has 2,047.
const MOST_SPACES: usize = 10;

/// Models as indices of spaces, ascending.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Models {
    pub sets: Vec<Vec<usize>>,
    /// What is to be said about their number.
    pub note: Option<String>,
}

impl Models {
    /// The models that a parameter asks for.
    ///
    /// # Errors
    /// Input: not one of the words, an unknown space, a model twice, or all sets of too many spaces.
    pub fn of(asked: &Value, spaces: &[String]) -> Result<Self, Failure> {
        let count = spaces.len();
        let full: Vec<usize> = (0..count).collect();
        let mut note = None;
        let mut sets = match asked {
            Value::Text(word) if word == "all" => {
                if count > MOST_SPACES {
                    return Err(Failure::input(format!("{count} spaces have {} sets", (1_u128 << count.min(100)) - 1))
                        .hint(format!(
                            "list the `models`, or join spaces: all sets of at most {MOST_SPACES} are fitted"
                        )));
                }
                if count > MANY_SPACES {
                    let all = (1 << count) - 1;
                    note = Some(format!("{IMPORTANT}{count} spaces have {all} models, each of them fitted and scored"));
                }
                (1..1_usize << count)
                    .map(|set| full.iter().copied().filter(|at| set >> at & 1 == 1).collect())
                    .collect()
            }
            Value::Text(word) if word == "single" => full.iter().map(|at| vec![*at]).collect(),
            Value::Text(word) if word == "full" => vec![full],
            Value::List(models) => models.iter().map(|model| parse(model, spaces)).collect::<Result<_, _>>()?,
            other => {
                return Err(Failure::input(format!("`models` is {other}, expected `all`, `single`, `full` or a list"))
                    .hint("a list has names of models: `[A, B, A+B]`"));
            }
        };
        sets.sort_by(|a: &Vec<usize>, b| (a.len(), a).cmp(&(b.len(), b)));
        if let Some(twice) = sets.windows(2).find(|two| two[0] == two[1]) {
            return Err(Failure::input(format!("the model `{}` is listed twice", name(&twice[0], spaces))));
        }
        match sets.is_empty() {
            true => Err(Failure::input("`models` is empty, expected at least one")),
            false => Ok(Self { sets, note }),
        }
    }

    /// Where the model with all spaces is.
    pub fn full(&self, spaces: usize) -> Option<usize> {
        self.sets.iter().position(|set| set.len() == spaces)
    }

    /// With names.
    pub fn named(&self, spaces: &[String]) -> Vec<Model> {
        self.sets.iter().map(|set| Model { spaces: set.iter().map(|at| spaces[*at].clone()).collect() }).collect()
    }
}

/// A set by its name, spaces in any order.
pub(super) fn parse(model: &Value, spaces: &[String]) -> Result<Vec<usize>, Failure> {
    let text =
        model.as_text().ok_or_else(|| Failure::input(format!("a model is {model}, expected a name such as `A+B`")))?;
    let mut set = BTreeSet::new();
    for name in text.split(JOINED_BY).map(str::trim) {
        let known = || spaces.iter().map(|space| format!("`{space}`")).collect::<Vec<_>>().join(", ");
        let at = spaces.iter().position(|space| space == name).ok_or_else(|| {
            Failure::input(format!("the model `{text}` has the unknown space `{name}`"))
                .hint(format!("spaces are {}", known()))
        })?;
        if !set.insert(at) {
            return Err(Failure::input(format!("the model `{text}` has the space `{name}` twice")));
        }
    }
    Ok(set.into_iter().collect())
}

fn name(set: &[usize], spaces: &[String]) -> String {
    set.iter().map(|at| spaces[*at].as_str()).collect::<Vec<_>>().join(JOINED_BY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(word: &str) -> Value {
        Value::Text(word.to_owned())
    }

    fn names(count: usize) -> Vec<String> {
        ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K"][..count].iter().map(|name| (*name).to_owned()).collect()
    }

    fn of(asked: &Value, count: usize) -> Vec<Vec<usize>> {
        Models::of(asked, &names(count)).unwrap().sets
    }

    #[test]
    fn words_and_lists_are_sets() {
        let all = of(&text("all"), 3);
        assert_eq!(all, [vec![0], vec![1], vec![2], vec![0, 1], vec![0, 2], vec![1, 2], vec![0, 1, 2]]);
        assert_eq!(of(&text("single"), 2), [[0], [1]]);
        assert_eq!(of(&text("full"), 2), [[0, 1]]);
        assert_eq!(of(&Value::List(vec![text("C + A"), text("B")]), 3), [vec![1], vec![0, 2]]);
        let models = Models::of(&text("all"), &names(2)).unwrap();
        assert_eq!((models.full(2), Models::of(&text("single"), &names(2)).unwrap().full(2)), (Some(2), None));
        assert_eq!(models.named(&names(2))[2].name(), "A+B");
    }

    #[test]
    fn many_spaces_are_noted_and_too_many_refused() {
        assert_eq!(Models::of(&text("all"), &names(6)).unwrap().note, None);
        let seven = Models::of(&text("all"), &names(7)).unwrap();
        assert_eq!((seven.sets.len(), seven.note.is_some()), (127, true));
        let failure = Models::of(&text("all"), &names(11)).unwrap_err();
        assert_eq!(failure.message, "11 spaces have 2047 sets");
        assert_eq!(of(&text("single"), 11).len(), 11);
    }

    #[test]
    fn mistakes_have_a_sentence() {
        let failure = |asked: Value| Models::of(&asked, &names(2)).unwrap_err().message;
        assert!(failure(text("pairs")).starts_with("`models` is pairs, expected `all`"));
        assert!(failure(Value::List(vec![text("A+X")])).contains("unknown space `X`"));
        assert!(failure(Value::List(vec![text("A+A")])).contains("the space `A` twice"));
        assert!(failure(Value::List(vec![text("A+B"), text("B+A")])).contains("`A+B` is listed twice"));
        assert!(failure(Value::List(Vec::new())).contains("empty"));
    }
}
