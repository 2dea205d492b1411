//! `split/twins`: the study's own split, in which relatives are on the same side.
//!
//! Not random: fixed positions in lists of pairs of relatives and of the others, which are made from the restricted
//! table of families (section 1.6 of the analysis). The lists hold positions, not ids, because who is related to whom
//! must not be published; for the same reason errors here count subjects and name columns and lines, never ids.
//! The positions mean something only for the study's 163 subjects: 72 pairs and 19 others.
//!
//! A run on some of the study's subjects still has the study's split: `study` lists all 163, and the parts of those that are
//! there are taken. What is published of a run on few subjects is a matter of `release:`, as with all of them.
//!
//! The study links only members of a family who have the same zygosity code: a sibling of a pair of twins who is not a twin, or who
//! has no other such sibling, counts as unrelated, and can be on the other side than the twins. `strict_families` closes this gap
//! without moving a held-out subject, so that scores stay comparable with the study's: subjects of the training part who have a
//! family member of any kind among the held-out ones are in neither part.
//!
//! A second table says which subjects are of one family, for statistics that must not take relatives for independent: by numbers
//! that this kind gives, not by the ids of the restricted table. It says who is related, so it is as restricted as that table; a
//! `release:` must not name it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, parameters};

use super::random::present;
use crate::declared::hcp_study::EXCLUDED;
use crate::formats::data_table::{self, Partition, SplitCounts};

/// Pairs whose two members are held out, by position among the pairs.
const HELD_OUT_PAIRS: [usize; 15] = [3, 6, 19, 21, 24, 27, 28, 29, 31, 42, 50, 52, 54, 56, 69];

/// Others who are held out, by position among the others.
const HELD_OUT_OTHERS: [usize; 3] = [11, 12, 13];

/// How many pairs and others the study has.
const STUDY: (usize, usize) = (72, 19);

/// The kind.
pub struct Twins;

parameters! {
    struct Parameters {
        /// the 163 subjects of the study, where `subjects` are some of them; empty: `subjects` are all of them
        study: Vec<String> = Vec::new(), neutral Vec::new();
        /// leaves out of training who has any family member among the held-out subjects; the study links only members
        /// of one zygosity code, so that a sibling of held-out twins may train
        strict_families: bool = false, neutral false;
    }
}

impl StageKind for Twins {
    fn kind(&self) -> Kind {
        Kind::new("split/twins", 2, "the study's split of the 163 subjects, with relatives on the same side")
            .input(
                "families",
                &[],
                "the restricted table of the Human Connectome Project: CSV with `Subject`, `Family_ID`, `ZygosityGT`",
            )
            .gather("subjects", &[], "one artifact per subject, on the axis `sid`: the 163 subjects of the study, or some of them")
            .folder("table", "split", "who trains and who is held out: columns `sid`, `partition` (`trn`, `val`)")
            .described(data_table::FILES, data_table::SPLIT_COLUMNS)
            .folder(
                "families",
                "families",
                "which subjects are of one family: columns `sid`, `family` (a number); as restricted as the table of families",
            )
            .described(data_table::FILES, data_table::FAMILY_COLUMNS)
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let path = task.one("families")?;
        let at = |failure: Failure| failure.at(path.display().to_string());
        let families = Families::read(path).map_err(at)?;
        let Parameters { study, strict_families } = task.parameters()?;
        let gathered: BTreeSet<String> =
            task.many("subjects").iter().filter_map(|cell| cell.at.get("sid").cloned()).collect();
        let all = if study.is_empty() { gathered.clone() } else { study.into_iter().collect() };
        match gathered.difference(&all).count() {
            0 => {}
            others => {
                return Err(Failure::input(format!(
                    "{others} of {} subjects are none of the {} in `study`",
                    gathered.len(),
                    all.len()
                ))
                .hint("this split is defined for the subjects of the study only; for others take `split/random`"));
            }
        }
        let mut split = families.split(&all).map_err(at)?;
        let linked = families.across(&split);
        if strict_families {
            split.retain(|sid, _| !linked.contains(sid));
        }
        let present: BTreeSet<String> = present(task)?.into_iter().collect();
        split.retain(|sid, _| present.contains(sid));
        if ![Partition::Trn, Partition::Val].iter().all(|part| split.values().any(|of| of == part)) {
            return Err(Failure::input(format!(
                "the subjects that are present ({} of {}) are all in one part of the study's split",
                present.len(),
                all.len()
            ))
            .hint("take more subjects: about one in five is held out"));
        }
        context.log(&SplitCounts::of(&split).words());
        let mut notes = Vec::new();
        match gathered.difference(&present).count() {
            0 => {}
            1 => notes.push("1 subject is absent and in neither part".to_owned()),
            missing => notes.push(format!("{missing} subjects are absent and in neither part")),
        }
        match linked.len() {
            0 => {}
            linked if strict_families => notes.push(format!(
                "{linked} subjects of the study who have a family member among the held-out ones are in neither part"
            )),
            linked => notes.push(format!(
                "{linked} subjects of the study train although a family member is held out; `strict_families: true` leaves them out"
            )),
        }
        data_table::write_split(task.output("table")?, &split)?;
        data_table::write_families(task.output("families")?, &families.numbers(&split))?;
        Ok(Ended::noted(notes))
    }
}

/// What two members of a family are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Zygosity {
    Monozygotic,
    Dizygotic,
    /// Not a twin.
    Sibling,
}

/// Who belongs together: subjects of one family with one zygosity, in the order of the table. A sibling of a pair of
/// twins is therefore not linked to them; the study's split has this gap too.
struct Families(BTreeMap<(String, Zygosity), Vec<String>>);

impl Families {
    fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs_err::read(path).map_err(|error| Failure::io("read", path, &error))?;
        Self::parse(&text)
    }

    fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
        let unreadable = |error: csv::Error| {
            let line = error.position().map_or(0, csv::Position::line);
            Failure::input(format!("line {line} is not CSV with as many fields as the first line"))
        };
        let header = reader.headers().map_err(unreadable)?.clone();
        let column = |name: &str| {
            header.iter().position(|found| found.trim_start_matches('\u{feff}') == name).ok_or_else(|| {
                Failure::input(format!("the table has no column `{name}` among its {} columns", header.len()))
                    .hint("the restricted table has `Subject`, `Family_ID` and `ZygosityGT`")
            })
        };
        let (subject, family, zygosity) = (column("Subject")?, column("Family_ID")?, column("ZygosityGT")?);
        let mut families: BTreeMap<(String, Zygosity), Vec<String>> = BTreeMap::new();
        let mut known = BTreeSet::new();
        for record in reader.records() {
            let record = record.map_err(unreadable)?;
            let line = record.position().map_or(0, csv::Position::line);
            let zygosity = match &record[zygosity] {
                "MZ" => Zygosity::Monozygotic,
                "DZ" => Zygosity::Dizygotic,
                "" => Zygosity::Sibling,
                _ => return Err(Failure::input(format!("line {line}: `ZygosityGT` is neither `MZ`, `DZ` nor empty"))),
            };
            let sid = record[subject].to_owned();
            if sid.is_empty() || !known.insert(sid.clone()) {
                return Err(Failure::input(format!("line {line}: `Subject` is empty or was there before")));
            }
            families.entry((record[family].to_owned(), zygosity)).or_default().push(sid);
        }
        Ok(Self(families))
    }

    /// Pairs of relatives among those with retinotopic maps: monozygotic twins, dizygotic twins, other siblings, each
    /// sorted by ids as numbers. A subject with a relative outside of `known` is in no pair.
    fn pairs(&self, known: &BTreeSet<&str>) -> Vec<[String; 2]> {
        let mut kinds: BTreeMap<Zygosity, BTreeSet<[Id; 2]>> = BTreeMap::new();
        for ((_, zygosity), members) in &self.0 {
            for sid in members.iter().filter(|sid| known.contains(sid.as_str())) {
                let mut relatives: Vec<&String> = members.iter().filter(|other| *other != sid).collect();
                if *zygosity != Zygosity::Sibling {
                    relatives.truncate(1);
                }
                if relatives.iter().all(|relative| known.contains(relative.as_str())) {
                    for relative in relatives {
                        let (a, b) = (Id::of(sid), Id::of(relative));
                        kinds.entry(*zygosity).or_default().insert(if a <= b { [a, b] } else { [b, a] });
                    }
                }
            }
        }
        kinds.into_values().flatten().map(|pair| pair.map(|Id(_, sid)| sid)).collect()
    }

    /// A number for the family of every subject of a split, counted up in the order of the subjects. Full siblings, half-siblings and
    /// twins of one `Family_ID` are one family, whatever their zygosity.
    fn numbers(&self, split: &BTreeMap<String, Partition>) -> BTreeMap<String, i64> {
        let mut family_of: BTreeMap<&str, &str> = BTreeMap::new();
        for ((family, _), members) in &self.0 {
            family_of.extend(members.iter().map(|sid| (sid.as_str(), family.as_str())));
        }
        let mut numbers: BTreeMap<&str, i64> = BTreeMap::new();
        let mut found = BTreeMap::new();
        for sid in split.keys() {
            // A subject that the table does not list is a family of its own.
            let family = family_of.get(sid.as_str()).copied().unwrap_or(sid.as_str());
            let next = numbers.len() as i64 + 1;
            found.insert(sid.clone(), *numbers.entry(family).or_insert(next));
        }
        found
    }

    /// Subjects of the training part of a split who have a family member, of whatever zygosity, in the held-out part.
    fn across(&self, split: &BTreeMap<String, Partition>) -> BTreeSet<String> {
        let numbers = self.numbers(split);
        let held: BTreeSet<i64> =
            split.iter().filter(|(_, part)| !part.trains()).map(|(sid, _)| numbers[sid.as_str()]).collect();
        let is_linked = |(sid, part): &(&String, &Partition)| part.trains() && held.contains(&numbers[sid.as_str()]);
        split.iter().filter(is_linked).map(|(sid, _)| sid.clone()).collect()
    }

    fn split(&self, subjects: &BTreeSet<String>) -> Result<BTreeMap<String, Partition>, Failure> {
        let mut known: BTreeSet<&str> = EXCLUDED.into_iter().collect();
        known.extend(subjects.iter().map(String::as_str));
        let mut pairs = self.pairs(&known);
        pairs.retain(|pair| pair.iter().all(|sid| subjects.contains(sid)));
        let related: BTreeSet<&String> = pairs.iter().flatten().collect();
        let mut others: Vec<Id> = subjects.iter().filter(|sid| !related.contains(sid)).map(|sid| Id::of(sid)).collect();
        others.sort();
        if (pairs.len(), others.len()) != STUDY {
            return Err(Failure::input(format!(
                "{} subjects make {} pairs of relatives and {} others, but the study's 163 make {} and {}",
                subjects.len(),
                pairs.len(),
                others.len(),
                STUDY.0,
                STUDY.1
            ))
            .hint("this split is defined for the 163 subjects of the study only; for others take `split/random`"));
        }
        let trains = |held: &[usize], index: usize| !held.contains(&index);
        let paired = pairs.iter().enumerate().filter(|(i, _)| trains(&HELD_OUT_PAIRS, *i)).flat_map(|(_, pair)| pair);
        let single = others.iter().enumerate().filter(|(i, _)| trains(&HELD_OUT_OTHERS, *i)).map(|(_, Id(_, sid))| sid);
        let training: BTreeSet<&String> = paired.chain(single).collect();
        let side = |sid: &String| if training.contains(sid) { Partition::Trn } else { Partition::Val };
        Ok(subjects.iter().map(|sid| (sid.clone(), side(sid))).collect())
    }
}

/// An id that sorts as a number; others sort after all numbers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Id(u64, String);

impl Id {
    fn of(sid: &str) -> Self {
        Self(sid.parse().unwrap_or(u64::MAX), sid.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::test_support::tasks;

    /// Made-up subjects, 1001 to 1163, in a table that needs every rule: 40 + 25 pairs of twins (F0 to F64), 7 pairs of siblings
    /// (F65 to F71; F65 has a third one, who is excluded), 15 siblings of twins, who count as unrelated (F0 to F14), two
    /// siblings whose third is outside of everything and unlinks them, and two whose twin is outside or excluded.
    fn study() -> (String, BTreeSet<String>) {
        let mut csv = String::from("Subject,Age,Family_ID,ZygosityGT\n");
        let mut subjects = BTreeSet::new();
        let mut next = 1000;
        let mut add = |csv: &mut String, family: usize, zygosity: &str, count: usize| {
            for _ in 0..count {
                next += 1;
                writeln!(csv, "{next},30,F{family},{zygosity}").unwrap();
                subjects.insert(next.to_string());
            }
        };
        for pair in 0..72 {
            let zygosity = if pair < 40 {
                "MZ"
            } else if pair < 65 {
                " DZ "
            } else {
                ""
            };
            add(&mut csv, pair, zygosity, 2);
        }
        for family in 0..15 {
            add(&mut csv, family, "", 1);
        }
        add(&mut csv, 300, "", 2);
        csv.push_str("3001,30,F300,\n");
        add(&mut csv, 200, "MZ", 1);
        csv.push_str("2001,30,F200,MZ\n");
        add(&mut csv, 201, "DZ", 1);
        writeln!(csv, "{},30,F201,DZ", EXCLUDED[0]).unwrap();
        writeln!(csv, "{},30,F65,  ", EXCLUDED[1]).unwrap();
        (csv, subjects)
    }

    #[test]
    fn relatives_stay_together_and_counts_are_those_of_the_study() {
        let (csv, subjects) = study();
        assert_eq!(subjects.len(), 163);
        let split = Families::parse(csv.as_bytes()).unwrap().split(&subjects).unwrap();
        let held: Vec<&String> =
            split.iter().filter(|(_, side)| **side == Partition::Val).map(|(sid, _)| sid).collect();
        assert_eq!((split.len(), held.len()), (163, 33));
        // Pair 3 of the monozygotic twins is held out; the first of the others with position 11 is subject 1144 + 12.
        for sid in ["1007", "1008", "1156"] {
            assert_eq!(split[sid], Partition::Val, "{sid}");
        }
        assert_eq!(split["1001"], Partition::Trn);
    }

    #[test]
    fn every_rule_of_the_study_is_followed() {
        let (csv, subjects) = study();
        let families = Families::parse(csv.as_bytes()).unwrap();
        let mut known: BTreeSet<&str> = subjects.iter().map(String::as_str).collect();
        let without_excluded = families.pairs(&known);
        known.extend(EXCLUDED);
        let pairs = families.pairs(&known);
        let has = |pairs: &[[String; 2]], a: &str, b: &str| pairs.contains(&[a.to_owned(), b.to_owned()]);
        // Members of one family with one zygosity code are linked, and only they.
        assert!(has(&pairs, "1001", "1002") && !has(&pairs, "1001", "1145"));
        // A relative outside of those with maps unlinks all of them; an excluded one has maps.
        assert!(!has(&pairs, "1160", "1161") && !has(&pairs, "1162", "2001"));
        assert!(has(&pairs, "1131", "1132") && !has(&without_excluded, "1131", "1132"));
        assert!(has(&pairs, "1163", EXCLUDED[0]) && has(&pairs, "1131", EXCLUDED[1]));
        // Monozygotic pairs, dizygotic ones, siblings; each by ids as numbers, each pair once.
        let kinds = [pairs[..40].to_vec(), pairs[40..66].to_vec(), pairs[66..].to_vec()];
        assert_eq!(kinds.map(|kind| kind.len()), [40, 26, 9]);
        assert_eq!(pairs[0], ["1001", "1002"]);
        assert_eq!(pairs[40], ["1081", "1082"]);
        assert_eq!(pairs[65], ["1163", EXCLUDED[0]]);
        assert_eq!(pairs[66], ["1131", "1132"]);
        assert_eq!(pairs[67], ["1131", EXCLUDED[1]]);
        // With the excluded ones taken out, 72 pairs and 19 others are left, of whom 15 and 3 are held out by position.
        let split = families.split(&subjects).unwrap();
        let held = |sid: usize| split[&sid.to_string()] == Partition::Val;
        let pairs_held: Vec<usize> = (0..72).filter(|pair| held(1001 + 2 * pair)).collect();
        assert_eq!(pairs_held, HELD_OUT_PAIRS);
        assert!((0..72).all(|pair| held(1001 + 2 * pair) == held(1002 + 2 * pair)));
        let others_held: Vec<usize> = (0..19).filter(|other| held(1145 + other)).collect();
        assert_eq!(others_held, HELD_OUT_OTHERS);
    }

    #[test]
    fn a_twin_has_the_first_other_of_the_table_and_ids_sort_as_numbers() {
        let csv = "Family_ID,ZygosityGT,Subject\nF,MZ,100000\nF,MZ,99999\nF, MZ ,100001\n";
        let families = Families::parse(csv.as_bytes()).unwrap();
        let known = ["99999", "100000", "100001"].into_iter().collect();
        assert_eq!(families.pairs(&known), [["99999", "100000"], ["100000", "100001"]]);
        let csv = csv.replace("MZ", "");
        let siblings = Families::parse(csv.as_bytes()).unwrap().pairs(&known);
        assert_eq!(siblings, [["99999", "100000"], ["99999", "100001"], ["100000", "100001"]]);
    }

    fn run_kind(subjects: &[&str], present: &[&str], set: &[(&str, pipe_contract::Value)]) -> Result<Outcome, Failure> {
        let (csv, _) = study();
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("families.csv");
        fs_err::write(&table, csv).unwrap();
        let mut task = tasks::task(&Twins, folder.path());
        tasks::give(&mut task, "families", &table);
        for sid in subjects {
            tasks::gather(&mut task, "subjects", &[("sid", sid)], present.contains(sid).then_some(folder.path()));
        }
        for (name, value) in set {
            tasks::set(&mut task, name, value.clone());
        }
        let out = folder.path().join("out");
        for port in ["table", "families"] {
            task.outputs.insert(port.to_owned(), out.join(port));
        }
        let notes = tasks::run(&Twins, &task)?;
        let read = |port: &str| fs_err::read_to_string(out.join(port).join(data_table::CSV)).unwrap();
        Ok(Outcome { notes, split: read("table"), families: read("families") })
    }

    struct Outcome {
        notes: Vec<String>,
        split: String,
        families: String,
    }

    /// The gap of the study's rule: siblings of held-out twins train, and twins train whose sibling is held out.
    #[test]
    fn strict_families_close_the_gap_without_moving_who_is_held_out() {
        let (_, subjects) = study();
        let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
        let outcome = |set: &[_]| run_kind(&subjects, &subjects, set).unwrap();
        let (studied, strict) = (outcome(&[]), outcome(&[("strict_families", pipe_contract::Value::Bool(true))]));
        let part = |outcome: &Outcome, part: &str| -> BTreeSet<String> {
            let lines = outcome.split.lines().filter_map(|line| line.strip_suffix(part));
            lines.map(|line| line.trim_end_matches(',').to_owned()).collect()
        };
        assert_eq!(part(&studied, "val"), part(&strict, "val"));
        assert_eq!((part(&studied, "trn").len(), part(&strict, "trn").len()), (130, 122));
        let left_out: BTreeSet<String> = part(&studied, "trn").difference(&part(&strict, "trn")).cloned().collect();
        // Siblings of the twins F3 and F6; the twins F11 to F13, whose siblings are held out.
        let expected = ["1148", "1151", "1023", "1024", "1025", "1026", "1027", "1028"];
        assert_eq!(left_out, expected.map(str::to_owned).into());
        assert!(studied.notes[0].starts_with("8 subjects of the study train although a family member is held out"));
        assert!(
            strict.notes[0].starts_with("8 subjects of the study who have a family member among the held-out ones")
        );
        assert_eq!((studied.families.lines().count(), strict.families.lines().count()), (164, 156));
    }

    #[test]
    fn some_of_the_study_have_the_parts_that_they_have_in_all_of_it() {
        let (_, all) = study();
        let study: Vec<pipe_contract::Value> = all.iter().cloned().map(pipe_contract::Value::Text).collect();
        let set = [("study", pipe_contract::Value::List(study))];
        let outcome = run_kind(&["1001", "1007", "1156", "1002"], &["1001", "1007", "1156"], &set).unwrap();
        assert_eq!(outcome.split, "sid,partition\n1001,trn\n1007,val\n1156,val\n");
        assert_eq!(outcome.notes[0], "1 subject is absent and in neither part");
        let message = |subjects: &[&str]| run_kind(subjects, subjects, &set).err().unwrap().message;
        assert_eq!(message(&["1001", "77"]), "1 of 2 subjects are none of the 163 in `study`");
        assert!(message(&["1001", "1002"]).ends_with("(2 of 163) are all in one part of the study's split"));
    }

    #[test]
    fn families_are_numbered_without_the_ids_of_the_table() {
        let csv = "Subject,Family_ID,ZygosityGT\n11,52_A,MZ\n12,52_A,MZ\n13,52_A,\n14,9_B,\n15,52_C,DZ\n";
        let families = Families::parse(csv.as_bytes()).unwrap();
        let split: BTreeMap<String, Partition> =
            ["11", "13", "14", "12", "99"].map(|sid| (sid.to_string(), Partition::Val)).into();
        let numbers: Vec<(String, i64)> = families.numbers(&split).into_iter().collect();
        // The sibling of the twins is of their family; who is not in the table is alone.
        let expected = [("11", 1), ("12", 1), ("13", 1), ("14", 2), ("99", 3)];
        assert_eq!(numbers, expected.map(|(sid, number)| (sid.to_string(), number)));
    }

    /// What is released is made from these two tables: it must not say where a family is in the restricted one.
    #[test]
    fn the_order_of_families_in_the_table_changes_nothing() {
        let (csv, subjects) = study();
        let tables = |csv: &str| {
            let families = Families::parse(csv.as_bytes()).unwrap();
            let split = families.split(&subjects).unwrap();
            (families.numbers(&split), split)
        };
        let lines: Vec<&str> = csv.lines().collect();
        let family_of = |line: &str| line.split(',').nth(2).unwrap().to_owned();
        let (mut first, mut last, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for line in &lines[1..] {
            match family_of(line).as_str() {
                "F3" => &mut first,
                "F70" => &mut last,
                _ => &mut others,
            }
            .push(*line);
        }
        assert_eq!((first.len(), last.len()), (3, 2));
        let swapped = [&lines[..1], &last, &others, &first].concat().join("\n");
        assert_ne!(csv.trim_end(), swapped);
        assert!(tables(&csv) == tables(&swapped));
    }

    #[test]
    fn other_subjects_are_refused_without_naming_any() {
        let (csv, mut subjects) = study();
        subjects.remove("1001");
        let failure = Families::parse(csv.as_bytes()).unwrap().split(&subjects).unwrap_err();
        assert_eq!(
            failure.message,
            "162 subjects make 71 pairs of relatives and 20 others, but the study's 163 make 72 and 19"
        );
    }

    #[test]
    fn broken_tables_are_named_by_line_and_column() {
        let message = |text: &str| match Families::parse(text.as_bytes()) {
            Err(failure) => failure.message,
            Ok(_) => panic!("accepted"),
        };
        assert_eq!(message("Subject,Family_ID\n1,2\n"), "the table has no column `ZygosityGT` among its 2 columns");
        assert_eq!(
            message("Subject,Family_ID,ZygosityGT\n1,2,NotMZ\n"),
            "line 2: `ZygosityGT` is neither `MZ`, `DZ` nor empty"
        );
        assert_eq!(
            message("Subject,Family_ID,ZygosityGT\n1,2,MZ\n1,2,MZ\n"),
            "line 3: `Subject` is empty or was there before"
        );
        assert!(message("Subject,Family_ID,ZygosityGT\n1,2\n").starts_with("line 2 is not CSV"));
    }
}
