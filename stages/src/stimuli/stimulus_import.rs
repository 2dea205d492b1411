//! `stimuli/import`: pictures of a folder as stimuli, with what a table says of them.
//!
//! Decides names and order: with a table, its rows are the stimuli in their order, each with the place of its file; without one, every
//! PNG and JPEG file of the folder is a stimulus, sorted by its place, which is its name. Files stay as they are, and each is decoded
//! once, so that a damaged one is found here and not in the middle of a network's run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use pipe_contract::{
    Arity, ColumnMeaning, Context, Ended, Failure, InputColumns, Kind, Progress, StageKind, Task, Value, parameters,
};
use polars::prelude::{Column, DataFrame};

use crate::formats::data_table;
use crate::formats::matrix::ID;
use crate::formats::picture_file::read_bytes;
use crate::formats::stimulus_set::{PATH, STIMULUS_COLUMNS, StimulusWriter};

/// The kind.
pub(super) struct StimulusImport;

parameters! {
    struct Parameters {
        /// the column of the table that holds the place of each file, from the folder on
        path_column: String = PATH.to_owned();
        /// the column of the table that holds the ids; empty: `id` if it has one, else the places of the files without their endings
        id_column: String = String::new();
    }
}

/// The variable that says in which folder a file was.
const FOLDER: &str = "folder";

/// Endings of names of pictures, in small letters.
const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];

impl StageKind for StimulusImport {
    fn kind(&self) -> Kind {
        Kind::new("stimuli/import", 1, "pictures (PNG, JPEG) of a folder as stimuli with names and variables")
            .input("images", &[], "a folder with the pictures, in any folders below it, or one picture")
            .port(
                "table",
                &["table"],
                Arity::One,
                true,
                "a row a stimulus: the place of its file, and variables such as `object` or `colour`",
            )
            .folder(
                "stimuli",
                "stimuli",
                "the pictures as they were, and the table of their names, digests and variables",
            )
            .described(data_table::FILES, STIMULUS_COLUMNS)
            .others(meaning)
            .parameters::<Parameters>()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: Parameters = task.parameters()?;
        let images = task.one("images")?;
        let (sources, notes) = match task.maybe("table") {
            Some(folder) => {
                let sources = Sources::of_table(images, &data_table::read(folder)?, &parameters);
                (sources.map_err(|failure| failure.at(folder.display().to_string()))?, Vec::new())
            }
            None => Sources::of_folder(images)?,
        };
        sources.write(task.output("stimuli")?, context)?;
        notes.iter().for_each(|note| context.log(note));
        Ok(Ended::noted(notes))
    }
}

fn meaning(name: &str, _: &BTreeMap<String, Value>, inputs: &InputColumns<'_>) -> ColumnMeaning {
    let about = match name {
        FOLDER => "the folder of its file, from the folder of all on",
        _ => "a variable of the stimuli, from the table that was imported",
    };
    let otherwise = || ColumnMeaning { about: about.to_owned(), ..ColumnMeaning::default() };
    inputs("table", name).unwrap_or_else(otherwise)
}

/// What is to be imported.
struct Sources {
    ids: Vec<String>,
    files: Vec<PathBuf>,
    variables: Vec<Column>,
}

impl Sources {
    /// The rows of a table.
    fn of_table(images: &Path, table: &DataFrame, parameters: &Parameters) -> Result<Self, Failure> {
        let paths = data_table::texts(table, &parameters.path_column)?;
        let has_ids = table.get_column_names().iter().any(|name| name.as_str() == ID);
        let id_column = match parameters.id_column.as_str() {
            "" if has_ids => Some(ID),
            "" => None,
            named => Some(named),
        };
        let ids = match id_column {
            Some(column) => data_table::words(table, column)?,
            None => paths.iter().map(|path| without_ending(path)).collect(),
        };
        let leaves = |(row, path): (usize, &String)| {
            let stays =
                Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            if stays && !path.is_empty() { Ok(images.join(path)) } else { Err(not_below(row, path)) }
        };
        let files = paths.iter().enumerate().map(leaves).collect::<Result<_, _>>()?;
        let is_variable = |column: &&Column| {
            let name = column.name().as_str();
            name != parameters.path_column && Some(name) != id_column
        };
        let variables = table.columns().iter().filter(is_variable).cloned().collect();
        Ok(Self { ids, files, variables })
    }

    /// The pictures in a folder and in those below it, and a note of what else is there.
    fn of_folder(images: &Path) -> Result<(Self, Vec<String>), Failure> {
        if images.is_file() {
            let name = images.file_name().unwrap_or_default().to_string_lossy();
            let only =
                Self { ids: vec![without_ending(&name)], files: vec![images.to_path_buf()], variables: Vec::new() };
            return Ok((only, Vec::new()));
        }
        let (mut places, mut others) = (Vec::new(), 0);
        for entry in walkdir::WalkDir::new(images).sort_by_file_name() {
            let unlisted =
                |error: walkdir::Error| Failure::environment(format!("could not list `{}`: {error}", images.display()));
            let entry = entry.map_err(unlisted)?;
            let path = entry.path();
            let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
            let is_picture = ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()));
            match path.is_file() {
                true if is_picture => places.push(path.strip_prefix(images).unwrap_or(path).to_path_buf()),
                true => others += 1,
                false => {}
            }
        }
        if places.is_empty() {
            return Err(Failure::input(format!("there is no picture among {others} files, expected PNG or JPEG"))
                .at(images.display().to_string())
                .hint("names of pictures end with `.png`, `.jpg` or `.jpeg`"));
        }
        let note = || format!("{others} files that are not pictures by the endings of their names are left out");
        let notes = if others > 0 { vec![note()] } else { Vec::new() };
        Ok((Self::of_places(images, &places), notes))
    }

    /// Files by their places in a folder; where some are in folders below it, the folder of each is a variable.
    fn of_places(images: &Path, places: &[PathBuf]) -> Self {
        let text = |path: &Path| {
            let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
            parts.join("/")
        };
        let folders: Vec<String> = places.iter().map(|place| place.parent().map(text).unwrap_or_default()).collect();
        let has_folders = folders.iter().any(|folder| !folder.is_empty());
        Self {
            ids: places.iter().map(|place| without_ending(&text(place))).collect(),
            files: places.iter().map(|place| images.join(place)).collect(),
            variables: if has_folders { vec![Column::new(FOLDER.into(), folders)] } else { Vec::new() },
        }
    }

    /// Copies the files and writes the table.
    fn write(self, folder: &Path, context: &dyn Context) -> Result<(), Failure> {
        let mut writer = StimulusWriter::create(folder)?;
        let (total, mut seen) = (self.files.len() as u64, BTreeSet::new());
        for ((done, id), file) in (1..).zip(&self.ids).zip(&self.files) {
            if context.cancelled() {
                return Err(Failure::stage("stopped before all pictures were read"));
            }
            if !seen.insert(id) {
                return Err(Failure::input(format!("`{id}` is the id of two stimuli, expected each once"))
                    .at(file.display().to_string())
                    .hint("rename a file, or give a table with ids: `id_column` names its column"));
            }
            let bytes = read_bytes(file)?;
            writer.add(id, &bytes).map_err(|failure| match failure.place {
                None => failure.at(format!("stimulus `{id}`, {}", file.display())),
                Some(_) => failure,
            })?;
            context.progress(Progress { done, total, unit: "pictures".into(), note: String::new() });
        }
        writer.finish(self.variables)
    }
}

fn not_below(row: usize, path: &str) -> Failure {
    Failure::input(format!("the path `{path}` in row {} is not below the folder of the pictures", row + 1))
        .hint("write paths from the folder at `images` on, without `..`, and not absolute")
}

fn without_ending(path: &str) -> String {
    match path.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && !stem.ends_with('/') && !ending.contains('/') => stem.to_owned(),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;
    use crate::formats::data_table::DataTable;
    use crate::formats::picture_file::encode_png;
    use crate::formats::rgb_picture::RgbPicture;
    use crate::formats::stimulus_set::StimulusSet;
    use crate::test_support::tasks;

    struct Case {
        folder: tempfile::TempDir,
        task: Task,
    }

    impl Case {
        /// A folder with pictures of one colour and of widths 1, 2, ...
        fn of(places: &[&str]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let images = folder.path().join("in");
            for (at, place) in places.iter().enumerate() {
                let path = images.join(place);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, encode_png(&RgbPicture::filled(at + 1, 1, [9; 3])).unwrap()).unwrap();
            }
            let mut task = tasks::task(&StimulusImport, folder.path());
            tasks::give(&mut task, "images", &images);
            Self { folder, task }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn table(mut self, table: DataTable) -> Self {
            let path = self.path("table");
            data_table::write(&path, &mut table.build().unwrap()).unwrap();
            tasks::give(&mut self.task, "table", &path);
            self
        }

        fn run(&self) -> Result<StimulusSet, Failure> {
            tasks::run(&StimulusImport, &self.task)?;
            StimulusSet::open(&self.path("stimuli"))
        }
    }

    #[test]
    fn the_pictures_of_a_folder_are_stimuli() {
        let case = Case::of(&["b.png", "a.PNG"]);
        fs::write(case.path("in/notes.txt"), "text").unwrap();
        let set = case.run().unwrap();
        assert_eq!(set.ids(), ["a", "b"]);
        assert_eq!((set.picture(0).unwrap().width, set.picture(1).unwrap().width), (2, 1));
        assert!(set.variable_names().is_empty());
        let notes = tasks::run(&StimulusImport, &case.task).unwrap();
        assert_eq!(notes, ["1 files that are not pictures by the endings of their names are left out"]);
    }

    #[test]
    fn folders_are_a_variable() {
        let set = Case::of(&["cup/1.png", "cup/2.png", "key/1.png"]).run().unwrap();
        assert_eq!(set.ids(), ["cup/1", "cup/2", "key/1"]);
        assert_eq!(data_table::words(set.variables(), FOLDER).unwrap(), ["cup", "cup", "key"]);
    }

    #[test]
    fn the_rows_of_a_table_are_stimuli_in_their_order() {
        let table = || DataTable::new().text("path", ["b.png", "x/a.png"]).text("object", ["cup", "key"]);
        let case = Case::of(&["x/a.png", "b.png"]).table(table());
        let set = case.run().unwrap();
        assert_eq!((set.ids(), set.variable_names()), (&["b", "x/a"].map(String::from)[..], vec!["object"]));
        assert_eq!(set.picture(0).unwrap().width, 2);
        let set = Case::of(&["x/a.png", "b.png"]).table(table().integers("id", [7, 5])).run().unwrap();
        assert_eq!((set.ids(), set.variable_names()), (&["7", "5"].map(String::from)[..], vec!["object"]));
    }

    #[test]
    fn what_cannot_be_imported_is_named() {
        let missing = Case::of(&["a.png"]).table(DataTable::new().text("path", ["a.png", "c.png"])).run().unwrap_err();
        assert!(missing.message.contains("does not exist") && missing.place.unwrap().ends_with("c.png"));
        for path in ["../a.png", "/a.png", ""] {
            let outside = Case::of(&["a.png"]).table(DataTable::new().text("path", [path])).run().unwrap_err();
            assert!(outside.message.contains("is not below the folder of the pictures"), "{outside}");
        }
        let twice = Case::of(&["a.png", "a.jpg"]).run().unwrap_err();
        assert_eq!(twice.message, "`a` is the id of two stimuli, expected each once");
        let none = Case::of(&[]);
        fs::create_dir_all(none.path("in")).unwrap();
        assert!(none.run().unwrap_err().message.starts_with("there is no picture among 0 files"));
        let text = Case::of(&["a.png"]);
        fs::write(text.path("in/b.png"), "text").unwrap();
        let failure = text.run().unwrap_err();
        assert!(
            failure.message.starts_with("expected a picture") && failure.place.unwrap().starts_with("stimulus `b`")
        );
    }
}
