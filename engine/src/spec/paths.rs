//! Paths as they are written.

/// A path without parts that are `.`: `./tables/./a.csv` is `tables/a.csv`. A path of nothing else stays as it is, so that
/// it is refused as it was written.
pub fn without_dots(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    // `./` is followed by nothing, and so is every other folder.
    let (last, above) = parts.split_last().unwrap_or((&"", &[]));
    let mut plain: Vec<&str> = Vec::with_capacity(parts.len());
    let mut after_dot = false;
    for part in above {
        // `.//a` begins with a `.`, not with the root.
        if *part != "." && !(after_dot && part.is_empty()) {
            plain.push(part);
        }
        after_dot = *part == ".";
    }
    if plain.is_empty() && matches!(*last, "" | ".") {
        return path.to_owned();
    }
    plain.push(if *last == "." { "" } else { last });
    plain.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_left_out_and_nothing_else() {
        let cases = [
            ("./r.txt", "r.txt"),
            ("././r.txt", "r.txt"),
            (".//r.txt", "r.txt"),
            ("a/./b.txt", "a/b.txt"),
            ("./a/", "a/"),
            ("a/.", "a/"),
            ("./a_${sid}.csv", "a_${sid}.csv"),
            ("r.txt", "r.txt"),
            (".hidden", ".hidden"),
            ("../r.txt", "../r.txt"),
            ("/r.txt", "/r.txt"),
            ("a//b", "a//b"),
            ("./", "./"),
            (".", "."),
            ("", ""),
        ];
        for (written, plain) in cases {
            assert_eq!(without_dots(written), plain, "{written}");
        }
    }
}
