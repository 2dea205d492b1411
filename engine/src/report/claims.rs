//! Checks claims: one cell of a table against a number.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::plan::{Claim, Link};

/// A claim and what was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "ClaimJson", into = "ClaimJson")]
pub struct ClaimReport {
    /// Its text.
    pub text: String,
    /// The value found, or why there is none. (In JSON `found` with the number, or `why`.)
    pub found: Result<f64, String>,
    /// The claimed value.
    pub equals: f64,
    /// The largest accepted distance.
    pub within: f64,
    /// Whether it holds.
    pub holds: bool,
}

/// The form of a report in JSON.
#[derive(Serialize, Deserialize)]
struct ClaimJson {
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    found: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    equals: f64,
    within: f64,
    holds: bool,
}

impl From<ClaimReport> for ClaimJson {
    fn from(report: ClaimReport) -> Self {
        let ClaimReport { text, found, equals, within, holds } = report;
        let (found, why) = match found {
            Ok(found) => (Some(found), None),
            Err(why) => (None, Some(why)),
        };
        Self { text, found, why, equals, within, holds }
    }
}

impl From<ClaimJson> for ClaimReport {
    fn from(json: ClaimJson) -> Self {
        let ClaimJson { text, found, why, equals, within, holds } = json;
        Self { text, found: found.ok_or_else(|| why.unwrap_or_default()), equals, within, holds }
    }
}

/// Checks claims; `find` gives the path of a table (CSV) and its name in messages, or why there is none.
pub fn check_claims(
    claims: &[Claim],
    mut find: impl FnMut(&Link) -> Result<(PathBuf, String), String>,
) -> Vec<ClaimReport> {
    let check = |claim: &Claim| {
        let found = find(&claim.table).and_then(|(path, name)| cell(&path, &name, claim));
        let holds = found.as_ref().is_ok_and(|found| (found - claim.equals).abs() <= claim.within + ROUNDING);
        ClaimReport { text: claim.text.clone(), found, equals: claim.equals, within: claim.within, holds }
    };
    claims.iter().map(check).collect()
}

/// Decimal numbers have no exact binary form: 0.76 is to lie within 0.02 of 0.74.
const ROUNDING: f64 = 1e-9;

/// The number in the one row that a claim selects.
fn cell(path: &Path, name: &str, claim: &Claim) -> Result<f64, String> {
    let mut reader = csv::Reader::from_path(path).map_err(|error| format!("`{name}` cannot be read: {error}"))?;
    let header = reader.headers().map_err(|error| format!("`{name}` has no header: {error}"))?.clone();
    let position = |column: &str| {
        let columns = || header.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        header
            .iter()
            .position(|name| name == column)
            .ok_or_else(|| format!("`{name}` has no column `{column}` (it has {})", columns()))
    };
    let value = position(&claim.column)?;
    let filter = claim
        .filter
        .iter()
        .map(|(column, wanted)| Ok((position(column)?, wanted.as_str())))
        .collect::<Result<Vec<_>, String>>()?;
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| format!("`{name}` cannot be read: {error}"))?;
        if filter.iter().all(|(column, wanted)| row.get(*column) == Some(wanted)) {
            rows.push(row);
        }
    }
    let [row] = &rows[..] else {
        return Err(format!("`where` selects {} rows of `{name}`, not one", rows.len()));
    };
    let text = row.get(value).unwrap_or_default();
    let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| format!("`{}` of `{name}` is `{text}`, not a number", claim.column))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::plan::SourcePlace;

    fn claim(filter: &[(&str, &str)], column: &str) -> Claim {
        Claim {
            text: "it works".into(),
            table: Link::File(std::sync::Arc::default()),
            filter: filter
                .iter()
                .map(|(column, value)| ((*column).into(), (*value).into()))
                .collect::<BTreeMap<_, _>>(),
            column: column.into(),
            equals: 0.74,
            within: 0.02,
            place: SourcePlace { file: PathBuf::new(), line: 1, column: 1 },
        }
    }

    #[test]
    fn a_report_is_plain_json() {
        let report = |found| ClaimReport { text: "t".into(), found, equals: 1.0, within: 0.5, holds: false };
        let json = |found| serde_json::to_value(report(found)).unwrap();
        assert_eq!(json(Ok(0.25))["found"], 0.25);
        assert_eq!(json(Err("no such column".into()))["why"], "no such column");
    }

    #[test]
    fn exactly_one_row_is_claimed() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("t.csv");
        fs_err::write(&table, "tag,label,dice\nanat,V1,0.8\nanat,mean,0.75\nfunc,mean,x\n").unwrap();
        let check = |filter: &[(&str, &str)], column: &str| {
            check_claims(&[claim(filter, column)], |_| Ok((table.clone(), "t.table".to_owned()))).remove(0)
        };
        let good = check(&[("tag", "anat"), ("label", "mean")], "dice");
        assert_eq!((good.found, good.holds), (Ok(0.75), true));
        for (filter, column, says) in [
            (&[("tag", "anat")][..], "dice", "selects 2 rows"),
            (&[("tag", "none")], "dice", "selects 0 rows"),
            (&[("tag", "func")], "dice", "is `x`, not a number"),
            (&[("label", "V1")], "iou", "no column `iou` (it has `tag`, `label`, `dice`)"),
            (&[("rater", "A1")], "dice", "no column `rater`"),
        ] {
            let bad = check(filter, column);
            assert!(!bad.holds);
            assert!(bad.found.clone().unwrap_err().contains(says), "{:?} should say {says}", bad.found);
        }
    }
}
