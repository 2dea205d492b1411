//! The order in which figures show feature spaces, where a parameter asks for one.
//!
//! Tables have spaces in the order in which models were fitted, which is that of names where features came through a gather. Decides that
//! the spaces of a set are named in the asked order, and that a set comes after those with fewer spaces, then by the places of its spaces.
//! Independent of what is shown of a set.

use pipe_contract::Failure;

/// A set of spaces in the asked order.
#[derive(Debug, PartialEq)]
pub(super) struct OrderedSpaces {
    /// Their names.
    pub names: Vec<String>,
    /// By which sets are put in order: how many spaces there are, and the place of each in the asked order, ascending.
    pub rank: (usize, Vec<usize>),
}

impl OrderedSpaces {
    /// Of the names of a set, in any order.
    ///
    /// # Errors
    /// Input: a space that is not in the asked order.
    pub fn of(set: &[String], asked: &[String]) -> Result<Self, Failure> {
        let mut places = Vec::with_capacity(set.len());
        for name in set {
            places.push(asked.iter().position(|known| known == name).ok_or_else(|| {
                Failure::input(format!("`spaces` lacks `{name}`, which is in the table"))
                    .hint(format!("it has {}; name all spaces, in the order in which they are shown", asked.join(", ")))
            })?);
        }
        places.sort_unstable();
        let names = places.iter().map(|place| asked[*place].clone()).collect();
        Ok(Self { names, rank: (set.len(), places) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn sets_come_by_their_size_and_by_the_places_of_their_spaces() {
        let asked = texts(&["early", "middle", "late"]);
        // As sorting by name has them.
        let sets = [&["early", "late", "middle"][..], &["early", "late"], &["late", "middle"], &["late"], &["middle"]];
        let mut ordered: Vec<OrderedSpaces> =
            sets.iter().map(|set| OrderedSpaces::of(&texts(set), &asked).unwrap()).collect();
        ordered.sort_by(|a, b| a.rank.cmp(&b.rank));
        let names: Vec<String> = ordered.iter().map(|set| set.names.join("+")).collect();
        assert_eq!(names, ["middle", "late", "early+late", "middle+late", "early+middle+late"]);
        let failure = OrderedSpaces::of(&texts(&["early", "fc"]), &asked).unwrap_err();
        assert_eq!(failure.message, "`spaces` lacks `fc`, which is in the table");
    }
}
