//! `NAME.json` beside a published table `NAME.csv`: what each of its columns means, in the form in which BIDS describes tables.
//!
//! Holds only what the key of the table fixes: columns with units and levels, the stage kind and its version, the stage's own
//! parameters, whether the data are simulated. What varies from run to run is in the [`super::Sidecar`]. It is made from the
//! declaration of the kind, so outputs of commands, whose columns are not declared, have none.

use std::collections::BTreeMap;
use std::path::Path;

use pipe_contract::{ColumnMeaning, Described, Failure, Kind, Value};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// The key beside the columns, which BIDS has for what made a file.
const GENERATED_BY: &str = "GeneratedBy";

/// The path of the dictionary of a table.
pub fn dictionary_path(table: &str) -> String {
    Path::new(table).with_extension("json").to_string_lossy().into_owned()
}

/// What the columns of a file of an output mean, if that is declared; `name` is its name in the output folder.
pub fn described<'d>(tables: &'d [Described], name: &str) -> Option<&'d Described> {
    tables.iter().find(|described| described.files.contains(&name))
}

/// What made a table, as far as its key fixes it.
pub struct TableOrigin<'o> {
    /// The stage kind.
    pub kind: &'o Kind,
    /// The parameters of the stage.
    pub parameters: &'o BTreeMap<String, Value>,
    /// Whether subjects and data are simulated.
    pub simulated: bool,
}

/// The text of the dictionary of a table that has these columns.
///
/// # Errors
/// Internal: a column is not declared.
pub fn dictionary(
    origin: &TableOrigin<'_>,
    names: &[String],
    meaning: impl Fn(&str) -> Option<ColumnMeaning>,
) -> Result<String, Failure> {
    let columns = names.iter().map(|name| {
        meaning(name).map(|meaning| (name.as_str(), meaning)).ok_or_else(|| {
            Failure::internal(format!("`{}` does not declare what its column `{name}` means", origin.kind.name))
        })
    });
    let dictionary = Dictionary { columns: columns.collect::<Result<_, _>>()?, origin };
    let json = serde_json::to_string_pretty(&dictionary)
        .map_err(|error| Failure::internal(format!("a data dictionary has no JSON form: {error}")))?;
    Ok(format!("{json}\n"))
}

struct Dictionary<'d> {
    columns: Vec<(&'d str, ColumnMeaning)>,
    origin: &'d TableOrigin<'d>,
}

/// The columns in their order, then what made them.
impl Serialize for Dictionary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.columns.len() + 1))?;
        for (name, meaning) in &self.columns {
            map.serialize_entry(name, &Meaning(meaning))?;
        }
        map.serialize_entry(GENERATED_BY, &[Maker(self.origin)])?;
        map.end()
    }
}

struct Meaning<'m>(&'m ColumnMeaning);

impl Serialize for Meaning<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ColumnMeaning { about, unit, levels } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("Description", about)?;
        if !unit.is_empty() {
            map.serialize_entry("Units", unit)?;
        }
        if !levels.is_empty() {
            map.serialize_entry("Levels", &Levels(levels))?;
        }
        map.end()
    }
}

struct Levels<'l>(&'l [(String, String)]);

impl Serialize for Levels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(value, about)| (value, about)))
    }
}

struct Maker<'m>(&'m TableOrigin<'m>);

impl Serialize for Maker<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let TableOrigin { kind, parameters, simulated } = self.0;
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("Name", kind.name)?;
        map.serialize_entry("Version", &kind.version.to_string())?;
        map.serialize_entry("Parameters", parameters)?;
        map.serialize_entry("Simulated", simulated)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use pipe_contract::Column;

    use super::*;

    const COLUMNS: &[Column] = &[
        Column::new("tag", "whose scores").levels(&[("anat", "anatomy"), ("prior", "a template")]),
        Column::measured("dice", "Dice score, 0 to 1", "mean score"),
        Column::new("simulated", "true: simulated"),
    ];

    fn text(names: &[&str]) -> Result<String, Failure> {
        let kind = Kind::new("score/summary", 2, "means");
        let parameters = BTreeMap::from([("comparisons".to_owned(), Value::Int(28))]);
        let origin = TableOrigin { kind: &kind, parameters: &parameters, simulated: false };
        let meaning = |name: &str| COLUMNS.iter().find(|column| column.name == name).map(ColumnMeaning::from);
        dictionary(&origin, &names.iter().map(ToString::to_string).collect::<Vec<_>>(), meaning)
    }

    #[test]
    fn a_dictionary_names_exactly_the_columns_that_are_there() {
        insta::assert_snapshot!(text(&["tag", "dice"]).unwrap(), @r#"
        {
          "tag": {
            "Description": "whose scores",
            "Levels": {
              "anat": "anatomy",
              "prior": "a template"
            }
          },
          "dice": {
            "Description": "mean score",
            "Units": "Dice score, 0 to 1"
          },
          "GeneratedBy": [
            {
              "Name": "score/summary",
              "Version": "2",
              "Parameters": {
                "comparisons": 28
              },
              "Simulated": false
            }
          ]
        }
        "#);
        assert!(text(&["tag", "other"]).unwrap_err().message.contains("column `other`"));
    }

    #[test]
    fn a_dictionary_lies_beside_its_table() {
        assert_eq!(dictionary_path("dice_area.csv"), "dice_area.json");
        assert_eq!(dictionary_path("models/anat_area/epochs.tsv"), "models/anat_area/epochs.json");
        let tables = [Described { files: &["table.csv", "table.parquet"], columns: COLUMNS, others: None }];
        assert!(described(&tables, "table.parquet").is_some() && described(&tables, "x.csv").is_none());
    }
}
