//! The files of the project that the cells of a stage read: one name for all of them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::plan::ProjectFile;

/// The name of files in a picture, relative to the project: of several the pattern that they share.
pub(super) fn name_of(files: &BTreeSet<&ProjectFile>, project: &Path) -> String {
    let names: Vec<String> = files.iter().map(|file| shown(file, project)).collect();
    let Some((first, rest)) = names.split_first() else { return String::new() };
    rest.iter().fold(first.clone(), |pattern, name| common(&pattern, name))
}

/// A path relative to the project, with the rest of a glob.
fn shown(file: &ProjectFile, project: &Path) -> String {
    let path = file.path.strip_prefix(project).unwrap_or(&file.path);
    let path = file.only.as_ref().map_or_else(|| path.to_owned(), |only| path.join(only));
    path.display().to_string()
}

/// What two paths share, with `*` for the rest: part by part where they have equally many, else as a whole.
fn common(a: &str, b: &str) -> String {
    let (parts_a, parts_b): (Vec<&str>, Vec<&str>) = (a.split('/').collect(), b.split('/').collect());
    if parts_a.len() != parts_b.len() {
        return common_text(a, b).replace('*', "**");
    }
    parts_a.into_iter().zip(parts_b).map(|(a, b)| common_text(a, b)).collect::<Vec<_>>().join("/")
}

/// The common beginning and end of two texts, `*` between them.
fn common_text(a: &str, b: &str) -> String {
    if a == b {
        return a.to_owned();
    }
    let (a_chars, b_chars): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let shorter = a_chars.len().min(b_chars.len());
    let same = |(a, b): &(&char, &char)| a == b && **a != '*';
    let start = a_chars.iter().zip(&b_chars).take_while(same).count();
    let end = a_chars.iter().rev().zip(b_chars.iter().rev()).take(shorter - start).take_while(same).count();
    let text = |chars: &[char]| chars.iter().collect::<String>();
    format!("{}*{}", text(&a_chars[..start]), text(&a_chars[a_chars.len() - end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_files_have_the_pattern_that_they_share() {
        let name = |paths: &[&str]| {
            let files: Vec<ProjectFile> =
                paths.iter().map(|path| ProjectFile::new(Path::new("/p").join(path))).collect();
            name_of(&files.iter().collect(), Path::new("/p"))
        };
        assert_eq!(name(&["data/x.csv"]), "data/x.csv");
        assert_eq!(name(&["data/s1/t1.nii.gz", "data/s22/t1.nii.gz"]), "data/s*/t1.nii.gz");
        assert_eq!(name(&["a1.csv", "a2.csv", "b1.csv"]), "*.csv");
        assert_eq!(name(&["a.csv", "a.a.csv"]), "a.*csv");
        assert_eq!(name(&["a/x.csv", "a/b/x.csv"]), "a/**x.csv");
        assert_eq!(name(&["ä.csv", "ö.csv", "é.csv"]), "*.csv");
        let glob = ProjectFile { path: "/p/data".into(), only: Some("*.csv".into()), ignore: None };
        assert_eq!(name_of(&BTreeSet::from([&glob]), Path::new("/p")), "data/*.csv");
    }
}
