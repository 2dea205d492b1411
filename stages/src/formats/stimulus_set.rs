//! Stimuli as artifacts: pictures with a name each, and what is known of them.
//!
//! A folder: `table.csv` and `table.parquet` with a row a stimulus (columns [`STIMULUS_COLUMNS`], then its variables, such as `object` or
//! `colour`), and `images/` with the files, byte for byte as they were imported or made. Decides this form, and that a stimulus is found by
//! its id. Sets of stimuli are no part of it: they are the rows with equal values of some variables, chosen where they are needed.

use std::path::{Component, Path, PathBuf};

use fs_err as fs;
use pipe_contract::{Column as Described, Failure};
use polars::prelude::{Column, DataFrame};

use super::data_table::{self, DataTable};
use super::matrix::{ID, MatrixAxis};
use super::picture_file::{PictureFormat, decode_picture, read_picture};
use super::rgb_picture::RgbPicture;

/// The folder of the pictures.
pub const IMAGES: &str = "images";
/// The column of their places.
pub const PATH: &str = "path";
/// The column of their digests.
pub const DIGEST: &str = "digest";
/// The column of their widths.
pub const WIDTH: &str = "width";
/// The column of their heights.
pub const HEIGHT: &str = "height";

/// The columns that any table of stimuli has, before the variables.
pub const STIMULUS_COLUMNS: &[Described] = &[
    Described::new(ID, "the stimulus"),
    Described::new(PATH, "its file, from the folder of the table"),
    Described::new(DIGEST, "the BLAKE3 digest of its file, 64 hexadecimal digits; equal files have equal ones"),
    Described::measured(WIDTH, "pixels", "how wide it is, turned upright"),
    Described::measured(HEIGHT, "pixels", "how high it is, turned upright"),
];

/// Letters of an id in the name of a file.
const NAME_LENGTH: usize = 80;

/// Stimuli, whose pictures are read when they are asked for.
#[derive(Debug)]
pub struct StimulusSet {
    /// Their ids and variables.
    pub axis: MatrixAxis,
    folder: PathBuf,
    paths: Vec<String>,
    digests: Vec<String>,
    sizes: Vec<[i64; 2]>,
}

impl StimulusSet {
    /// Opens the stimuli in a folder. Pictures are not read yet.
    ///
    /// # Errors
    /// Input: not such a folder, an id that is there twice, or a path that leaves the folder.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let at = |failure: Failure| failure.at(folder.display().to_string());
        let table = data_table::read(folder)?;
        let paths = data_table::texts(&table, PATH).map_err(at)?;
        let digests = data_table::texts(&table, DIGEST).map_err(at)?;
        let widths = data_table::integers(&table, WIDTH).map_err(at)?;
        let heights = data_table::integers(&table, HEIGHT).map_err(at)?;
        if let Some(path) = paths.iter().find(|path| !stays_below(path)) {
            return Err(at(Failure::input(format!(
                "`{path}` is the path of a stimulus, expected one below `{IMAGES}`"
            ))));
        }
        let sizes = widths.into_iter().zip(heights).map(|(width, height)| [width, height]).collect();
        let axis = MatrixAxis::new(table).map_err(at)?;
        Ok(Self { axis, folder: folder.to_path_buf(), paths, digests, sizes })
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.axis.len()
    }

    /// Never: there is at least one stimulus.
    pub fn is_empty(&self) -> bool {
        self.axis.is_empty()
    }

    /// Their ids, in order.
    pub fn ids(&self) -> &[String] {
        self.axis.ids()
    }

    /// The whole table: the columns that any has, and the variables.
    pub fn variables(&self) -> &DataFrame {
        self.axis.table()
    }

    /// The names of the variables.
    pub fn variable_names(&self) -> Vec<&str> {
        let names = self.axis.table().get_column_names();
        names.into_iter().map(|name| name.as_str()).filter(|name| !is_own(name)).collect()
    }

    /// The variables with their values.
    pub fn variable_columns(&self) -> Vec<Column> {
        self.axis.table().columns().iter().filter(|column| !is_own(column.name().as_str())).cloned().collect()
    }

    /// The digests of their files: those of equal files are equal.
    pub fn digests(&self) -> &[String] {
        &self.digests
    }

    /// The file of a stimulus.
    ///
    /// # Errors
    /// Internal: there is no stimulus at this position.
    pub fn file(&self, position: usize) -> Result<PathBuf, Failure> {
        let path = self.paths.get(position).map(|path| self.folder.join(path));
        path.ok_or_else(|| Failure::internal(format!("stimulus {position} of {} was asked for", self.len())))
    }

    /// The picture of a stimulus.
    ///
    /// # Errors
    /// Input: its file is missing or damaged, or the table states another size. Internal: there is no stimulus at this position.
    pub fn picture(&self, position: usize) -> Result<RgbPicture, Failure> {
        let path = self.file(position)?;
        let picture = read_picture(&path)?;
        let (found, stated) = ([picture.width, picture.height], self.sizes[position]);
        if found.map(whole) == stated {
            return Ok(picture);
        }
        let ([width, height], [stated_width, stated_height]) = (found, stated);
        Err(Failure::input(format!(
            "the picture has {width} x {height} pixels, but the table of stimuli says {stated_width} x {stated_height}"
        ))
        .at(path.display().to_string()))
    }
}

fn is_own(name: &str) -> bool {
    STIMULUS_COLUMNS.iter().any(|column| column.name == name)
}

fn stays_below(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    parts.next() == Some(Component::Normal(IMAGES.as_ref())) && parts.all(|part| matches!(part, Component::Normal(_)))
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Stimuli that are written one after the other.
#[derive(Debug)]
pub struct StimulusWriter {
    folder: PathBuf,
    ids: Vec<String>,
    paths: Vec<String>,
    digests: Vec<String>,
    widths: Vec<i64>,
    heights: Vec<i64>,
}

impl StimulusWriter {
    /// Makes the folder.
    ///
    /// # Errors
    /// Environment: it cannot be made.
    pub fn create(folder: &Path) -> Result<Self, Failure> {
        let images = folder.join(IMAGES);
        fs::create_dir_all(&images).map_err(|error| Failure::io("make the folder", &images, &error))?;
        let (ids, paths, digests, widths, heights) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(Self { folder: folder.to_path_buf(), ids, paths, digests, widths, heights })
    }

    /// Adds a stimulus, the bytes of its file as they are, and returns its picture.
    ///
    /// # Errors
    /// Input: they are not those of a whole PNG or JPEG file. Environment: the file cannot be written.
    pub fn add(&mut self, id: &str, bytes: &[u8]) -> Result<RgbPicture, Failure> {
        let picture = decode_picture(bytes)?;
        let path = format!("{IMAGES}/{}", self.file_name(id, PictureFormat::of(bytes)?));
        let file = self.folder.join(&path);
        fs::write(&file, bytes).map_err(|error| Failure::io("write", &file, &error))?;
        self.ids.push(id.to_owned());
        self.paths.push(path);
        self.digests.push(blake3::hash(bytes).to_hex().to_string());
        self.widths.push(whole(picture.width));
        self.heights.push(whole(picture.height));
        Ok(picture)
    }

    /// A name for the next file: its number makes it unique, letters of the id make it readable.
    fn file_name(&self, id: &str, format: PictureFormat) -> String {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        let plain: String =
            id.chars().take(NAME_LENGTH).map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
        format!("{:05}_{plain}.{}", self.ids.len(), format.ending())
    }

    /// Writes the table, with a value of every variable for each stimulus, in the order in which they were added.
    ///
    /// # Errors
    /// Input: no stimulus, an empty id or one twice, a variable that has the name of a column that any table of stimuli has.
    /// Internal: a variable with more or fewer values. Environment: the table cannot be written.
    pub fn finish(self, variables: impl IntoIterator<Item = Column>) -> Result<(), Failure> {
        let Self { folder, ids, paths, digests, widths, heights } = self;
        let table = DataTable::new().text(ID, ids).text(PATH, paths).text(DIGEST, digests);
        let mut table = table.integers(WIDTH, widths).integers(HEIGHT, heights).build()?;
        for variable in variables {
            let name = variable.name().as_str();
            if is_own(name) {
                return Err(Failure::input(format!(
                    "a variable of the stimuli is called `{name}`, as a column that they all have"
                ))
                .hint("rename that column of the table before it is imported"));
            }
            if variable.len() != table.height() {
                let (found, expected) = (variable.len(), table.height());
                return Err(Failure::internal(format!("`{name}` has {found} values, expected {expected}")));
            }
            table.with_column(variable).map_err(|error| Failure::internal(error.to_string()))?;
        }
        MatrixAxis::new(table.clone())?;
        data_table::write(&folder, &mut table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::picture_file::encode_png;

    fn png(width: usize) -> Vec<u8> {
        encode_png(&RgbPicture::filled(width, 2, [10, 20, 30])).unwrap()
    }

    fn written(folder: &Path, ids: &[&str]) -> Result<StimulusSet, Failure> {
        let mut writer = StimulusWriter::create(folder)?;
        for (at, id) in ids.iter().enumerate() {
            writer.add(id, &png(at + 1))?;
        }
        writer.finish([Column::new("object".into(), vec!["cup"; ids.len()])])?;
        StimulusSet::open(folder)
    }

    #[test]
    fn stimuli_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let set = written(folder.path(), &["a/b", "a c"]).unwrap();
        assert_eq!(
            (set.len(), set.ids(), set.variable_names()),
            (2, &["a/b", "a c"].map(String::from)[..], vec!["object"])
        );
        assert_eq!(set.picture(1).unwrap(), RgbPicture::filled(2, 2, [10, 20, 30]));
        assert_eq!(set.file(0).unwrap(), folder.path().join("images/00000_a_b.png"));
        assert_eq!(fs::read(set.file(1).unwrap()).unwrap(), png(2));
        assert_eq!(set.digests()[0], blake3::hash(&png(1)).to_hex().as_str());
        assert_eq!(data_table::words(set.variables(), "object").unwrap(), ["cup", "cup"]);
        assert!(set.picture(2).is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            written(folder.path(), &["a", "a"]).unwrap_err().message,
            "`a` is the id of rows 1 and 2, expected each id once"
        );
        assert!(written(folder.path(), &[]).unwrap_err().message.contains("there is no row"));
        let mut writer = StimulusWriter::create(folder.path()).unwrap();
        assert!(writer.add("text", b"text").unwrap_err().message.starts_with("expected a picture"));
        writer.add("a", &png(1)).unwrap();
        let message = writer.finish([Column::new(PATH.into(), vec!["x"])]).unwrap_err().message;
        assert_eq!(message, "a variable of the stimuli is called `path`, as a column that they all have");
    }

    #[test]
    fn a_picture_that_is_not_the_one_of_the_table_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let set = written(folder.path(), &["a"]).unwrap();
        fs::write(set.file(0).unwrap(), png(7)).unwrap();
        let failure = set.picture(0).unwrap_err();
        assert_eq!(failure.message, "the picture has 7 x 2 pixels, but the table of stimuli says 1 x 2");
        fs::remove_file(set.file(0).unwrap()).unwrap();
        assert_eq!(set.picture(0).unwrap_err().message, "the file does not exist");
    }

    #[test]
    fn paths_stay_in_the_folder_of_the_pictures() {
        assert!(stays_below("images/a.png"));
        for path in ["a.png", "images/../../a.png", "/images/a.png", "../images/a.png", ""] {
            assert!(!stays_below(path), "{path}");
        }
    }
}
