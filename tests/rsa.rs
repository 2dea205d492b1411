//! What networks see alike: the pipeline that ships on eight images, whose numbers are computed again from the features that it publishes; the
//! shapes of the guide's tables; and inputs that are refused, each in a sentence.

use std::path::Path;

use fs_err as fs;
use pipe_stages::formats::data_table;
use pipe_stages::formats::matrix::Matrix;
use pipe_stages::formats::picture_file::encode_png;
use pipe_stages::formats::rdm_set::RdmSet;
use pipe_stages::formats::rgb_picture::RgbPicture;

use crate::support::http_server::{Answer, HttpServer};
use crate::support::paper::worker;
use crate::support::{Shown, Space, workspace};

/// A published CSV file without quoted fields.
struct CsvRows {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl CsvRows {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let fields = |line: &str| line.split(',').map(str::to_owned).collect();
        let mut lines = text.lines().map(fields);
        Self { names: lines.next().expect("a line of names"), rows: lines.collect() }
    }

    fn column(&self, name: &str) -> usize {
        let found = self.names.iter().position(|known| known == name);
        found.unwrap_or_else(|| panic!("no column `{name}` in {:?}", self.names))
    }

    /// A column of the rows that have these words in others.
    fn texts(&self, wanted: &[(&str, &str)], name: &str) -> Vec<&str> {
        let wanted: Vec<(usize, &str)> = wanted.iter().map(|(name, word)| (self.column(name), *word)).collect();
        let column = self.column(name);
        let rows = self.rows.iter().filter(|row| wanted.iter().all(|(at, word)| row[*at] == *word));
        rows.map(|row| row[column].as_str()).collect()
    }

    fn numbers(&self, wanted: &[(&str, &str)], name: &str) -> Vec<f64> {
        let parse = |text: &str| text.parse().unwrap_or_else(|_| panic!("`{name}` has `{text}` at {wanted:?}"));
        self.texts(wanted, name).into_iter().map(parse).collect()
    }

    /// The number in the one row that has these words.
    fn number(&self, wanted: &[(&str, &str)], name: &str) -> f64 {
        match self.numbers(wanted, name)[..] {
            [only] => only,
            ref all => panic!("{} rows have {wanted:?}, expected one", all.len()),
        }
    }
}

#[track_caller]
fn assert_close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected} within {tolerance}");
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn centred(x: &[f64]) -> Vec<f64> {
    let middle = mean(x);
    x.iter().map(|x| x - middle).collect()
}

/// 1 - Pearson's correlation.
fn correlation_distance(x: &[f64], y: &[f64]) -> f64 {
    let (x, y) = (centred(x), centred(y));
    1.0 - dot(&x, &y) / (dot(&x, &x) * dot(&y, &y)).sqrt()
}

fn euclidean_distance(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
}

/// All pairs of a list in the order of an upper triangle by rows.
fn pairs<T>(list: &[T]) -> impl Iterator<Item = (&T, &T)> {
    list.iter().enumerate().flat_map(move |(at, one)| list[at + 1..].iter().map(move |other| (one, other)))
}

/// Ranks from 1; equal numbers share the mean of theirs.
fn ranks(numbers: &[f64]) -> Vec<f64> {
    let rank = |number: &f64| {
        let below = numbers.iter().filter(|other| *other < number).count() as f64;
        let equal = numbers.iter().filter(|other| *other == number).count() as f64;
        below + (equal + 1.0) / 2.0
    };
    numbers.iter().map(rank).collect()
}

/// Spearman's correlation without a correction for ties.
fn rho_a(x: &[f64], y: &[f64]) -> f64 {
    let n = x.len() as f64;
    12.0 * dot(&centred(&ranks(x)), &centred(&ranks(y))) / (n.powi(3) - n)
}

fn rdms(folder: &Path) -> RdmSet {
    RdmSet::read(folder).unwrap_or_else(|failure| panic!("{}: {failure}", folder.display()))
}

/// The upper triangle of the RDM with this id.
#[track_caller]
fn triangle<'a>(set: &'a RdmSet, id: &str) -> &'a [f64] {
    let place = set.index().position(id).unwrap_or_else(|| panic!("no RDM `{id}` among {:?}", set.index().ids()));
    set.triangle(place)
}

/// Features of all layers of the individuals, as they are published.
struct PublishedFeatures {
    networks: Vec<String>,
    layers: Vec<String>,
    features: Vec<i64>,
    stimuli: Vec<String>,
    /// One column after the other.
    values: Vec<f64>,
}

impl PublishedFeatures {
    fn read(folder: &Path) -> Self {
        let matrix = Matrix::open(folder).expect("a matrix of features");
        let table = matrix.columns().table();
        Self {
            networks: data_table::texts(table, "network").expect("networks"),
            layers: data_table::texts(table, "layer").expect("layers"),
            features: data_table::integers(table, "feature").expect("features"),
            stimuli: matrix.rows().ids().to_vec(),
            values: matrix.block(0..matrix.columns().len(), None).expect("numbers"),
        }
    }

    /// The patterns of all stimuli in a layer: of units, or of means over the units of a feature.
    fn patterns(&self, network: &str, layer: &str, of_means: bool) -> Vec<Vec<f64>> {
        let own = |column: &usize| self.networks[*column] == network && self.layers[*column] == layer;
        let columns: Vec<usize> = (0..self.layers.len()).filter(own).collect();
        assert!(!columns.is_empty(), "no features of {layer} of {network}");
        let pattern = |stimulus: usize| -> Vec<f64> {
            let value = |column: usize| self.values[column * self.stimuli.len() + stimulus];
            if !of_means {
                return columns.iter().map(|column| value(*column)).collect();
            }
            let alike = columns.chunk_by(|one, other| self.features[*one] == self.features[*other]);
            alike.map(|feature| mean(&feature.iter().map(|column| value(*column)).collect::<Vec<_>>())).collect()
        };
        (0..self.stimuli.len()).map(pattern).collect()
    }

    fn place(&self, stimulus: &str) -> usize {
        self.stimuli.iter().position(|known| known == stimulus).unwrap_or_else(|| panic!("no stimulus `{stimulus}`"))
    }
}

fn project() -> Space {
    worker();
    let space = Space::new();
    let shipped = workspace().join("pipelines/rsa.yaml");
    space.write("rsa.yaml", fs::read(&shipped).expect("a shipped file can be read"));
    space
}

/// A distance of two patterns.
type PatternDistance = fn(&[f64], &[f64]) -> f64;

/// RDMs of all layers are those of the features that `net/features` publishes of the same networks.
fn check_first_order(folder: &Path, features: &PublishedFeatures) {
    let distances: [(&str, PatternDistance); 2] =
        [("correlation", correlation_distance), ("euclidean", euclidean_distance)];
    for network in ["small_1", "small_2"] {
        let set = rdms(&folder.join("rdms").join(network));
        assert_eq!(set.entries().ids(), features.stimuli);
        for layer in ["original_rgb", "conv1", "fc1"] {
            for (activation, of_means) in [("unit_level", false), ("feature_means", true)] {
                let patterns = features.patterns(network, layer, of_means);
                for (word, distance) in distances {
                    let expected: Vec<f64> = pairs(&patterns).map(|(x, y)| distance(x, y)).collect();
                    let found = triangle(&set, &format!("{network}/{layer}/{word}/{activation}"));
                    let largest = expected.iter().copied().fold(0.0, f64::max);
                    assert!(largest > 1e-6, "{network} {layer} {word} {activation}: all patterns are alike");
                    found.iter().zip(&expected).for_each(|(x, y)| assert_close(*x, *y, 1e-4 * largest));
                }
            }
        }
    }
}

/// RDMs of sets are parts of those of all images; second and third order are distances of upper triangles one order below.
fn check_higher_orders(folder: &Path) {
    let images = rdms(&folder.join("rdms/small"));
    let sets = rdms(&folder.join("rdms/sets_of_small"));
    assert_eq!(sets.entries().ids(), ["000_0.5", "000_0.8", "180_0.5", "180_0.8"]);
    for object in ["house", "fish"] {
        let own: Vec<usize> =
            (0..images.entries().len()).filter(|entry| images.entries().ids()[*entry].starts_with(object)).collect();
        let part = images.part(&(0..images.len()).collect::<Vec<_>>(), &own).expect("a part");
        for id in ["small/conv2/correlation/unit_level", "small/fc2/euclidean/feature_means"] {
            let whole = triangle(&part, id);
            let largest = whole.iter().copied().fold(0.0, f64::max);
            let found = triangle(&sets, &format!("{object}/{id}"));
            found.iter().zip(whole).for_each(|(x, y)| assert_close(*x, *y, 1e-4 * largest));
        }
    }
    let objects = rdms(&folder.join("rdms/objects"));
    let trajectories = rdms(&folder.join("rdms/trajectories"));
    assert_eq!((objects.about().order, trajectories.about().order), (2, 2));
    assert_eq!(objects.entries().ids(), ["house", "fish"]);
    assert_eq!(trajectories.entries().len(), 2 * 14);
    for layer in ["original_rgb", "conv1", "fc1"] {
        for activation in ["unit_level", "feature_means"] {
            let of = |object: &str| triangle(&sets, &format!("{object}/small/{layer}/correlation/{activation}"));
            let expected = correlation_distance(of("house"), of("fish"));
            let found = triangle(&objects, &format!("small/{layer}/{activation}/correlation/correlation"));
            assert_close(found[0], expected, 1e-9);
            let expected = euclidean_distance(of("house"), of("fish"));
            let found = triangle(&objects, &format!("small/{layer}/{activation}/correlation/euclidean"));
            assert_close(found[0], expected, 1e-9);
            let both = triangle(&trajectories, &format!("small/{activation}/correlation/euclidean"));
            let place = |object: &str| trajectories.entries().position(&format!("{object}/{layer}")).expect("an entry");
            let (one, other) = (place("house"), place("fish"));
            let ids: Vec<usize> = (0..trajectories.entries().len()).collect();
            let pair = pairs(&ids).position(|(i, j)| (*i, *j) == (one, other)).expect("a pair");
            assert_close(both[pair], expected, 1e-9);
        }
    }
    let third = rdms(&folder.join("rdms/third"));
    assert_eq!((third.about().order, third.len(), third.entries().len()), (3, 8, 2));
    let of = |activation: &str| triangle(&trajectories, &format!("small/{activation}/euclidean/euclidean"));
    let expected = correlation_distance(of("unit_level"), of("feature_means"));
    assert_close(triangle(&third, "small/euclidean/euclidean/correlation")[0], expected, 1e-9);
}

/// Rows and columns of the data frames; the guide's have 16, 14, 13 and 13 columns.
fn check_frames(folder: &Path, expected: [(usize, usize); 4]) {
    for (name, shape) in ["sets", "objects", "trajectories", "third"].into_iter().zip(expected) {
        let path = folder.join(format!("frames/{name}.parquet"));
        let frame = data_table::read_parquet(&path).expect("a data frame");
        assert_eq!((frame.height(), frame.width()), shape, "{name}: {:?}", frame.get_column_names());
    }
}

/// Similarities of models are the means over individuals; models are 0 for equal values and 1 for different ones.
fn check_comparison(folder: &Path, features: &PublishedFeatures) {
    let (models, own) = (rdms(&folder.join("rdms/models")), rdms(&folder.join("rdms/individuals")));
    let differs = |place: usize| -> Vec<f64> {
        let word = |id: &String| id.split('_').nth(place).expect("a part of the name").to_owned();
        let words: Vec<String> = features.stimuli.iter().map(word).collect();
        pairs(&words).map(|(x, y)| f64::from(u8::from(x != y))).collect()
    };
    let table = CsvRows::read(&folder.join("comparison.csv"));
    for (place, model) in ["object", "colour", "size"].into_iter().enumerate() {
        let expected = differs(place);
        assert_eq!(triangle(&models, model), expected);
        for layer in ["original_rgb", "conv1", "fc1"] {
            let of = |network: &str| triangle(&own, &format!("{network}/{layer}/correlation"));
            let each = ["small_1", "small_2"].map(|network| rho_a(&expected, of(network)));
            let row = [("group", layer), ("measure", "rho_a"), ("model", model)];
            assert_close(table.number(&row, "similarity"), mean(&each), 1e-9);
            assert_eq!(table.number(&row, "subjects"), 2.0);
            assert!(table.number(&row, "ceiling_low") <= table.number(&row, "ceiling_high") + 1e-12);
        }
    }
}

/// Shares of variance of the units of `fc1` by hand, over the four stimuli of a size.
fn check_anova(folder: &Path, features: &PublishedFeatures) {
    let table = CsvRows::read(&folder.join("anova_small_1.csv"));
    let patterns = features.patterns("small_1", "fc1", false);
    for size in ["0.5", "0.8"] {
        let of = |object: &str, colour: &str| &patterns[features.place(&format!("{object}_{colour}_s{size}"))];
        let cells = [of("house", "000"), of("house", "180"), of("fish", "000"), of("fish", "180")];
        let (mut object, mut colour) = (Vec::new(), Vec::new());
        for unit in 0..cells[0].len() {
            let values = cells.map(|cell| cell[unit]);
            let all = centred(&values);
            let total = dot(&all, &all);
            if total > 0.0 {
                // Two levels of two stimuli: the sum of squares is 4 times the squared half of the difference of means.
                let between = |first: [usize; 2], second: [usize; 2]| {
                    let of = |pair: [usize; 2]| f64::midpoint(values[pair[0]], values[pair[1]]);
                    (of(first) - of(second)).powi(2) / total
                };
                object.push(between([0, 1], [2, 3]));
                colour.push(between([0, 2], [1, 3]));
            }
        }
        let row = |source| [("size", size), ("layer", "fc1"), ("source", source)];
        assert_eq!(table.number(&row("object"), "units"), object.len() as f64);
        assert_close(table.number(&row("object"), "eta2_mean"), mean(&object), 1e-6);
        assert_close(table.number(&row("colour"), "eta2_mean"), mean(&colour), 1e-6);
        let all = ["object", "colour", "interaction"].map(|source| table.number(&row(source), "eta2_mean"));
        assert_close(all.iter().sum(), 1.0, 1e-6);
    }
}

/// With one training stimulus on each side, a support vector machine names a stimulus after the nearer one.
fn check_decoding(folder: &Path, features: &PublishedFeatures) {
    let table = CsvRows::read(&folder.join("decoding_small_1.csv"));
    let patterns = features.patterns("small_1", "conv1", false);
    for size in ["0.5", "0.8"] {
        let of = |object: &str, colour: &str| &patterns[features.place(&format!("{object}_{colour}_s{size}"))];
        let is_right = |object: &str, other_object: &str, colour: &str, other_colour: &str| {
            let (own, other) = (of(object, other_colour), of(other_object, other_colour));
            euclidean_distance(of(object, colour), own) < euclidean_distance(of(object, colour), other)
        };
        let mut right = 0.0;
        for (object, other) in [("house", "fish"), ("fish", "house")] {
            for (colour, other_colour) in [("000", "180"), ("180", "000")] {
                right += f64::from(u8::from(is_right(object, other, colour, other_colour)));
            }
        }
        let row = [("size", size), ("layer", "conv1"), ("decoded", "object")];
        assert_eq!((table.number(&row, "accuracy"), table.number(&row, "tested")), (right / 4.0, 4.0));
    }
}

/// Raw stress of a layout is the sum of squared differences of its distances and the RDM.
fn check_layout(folder: &Path) {
    let alike = rdms(&folder.join("rdms/alike"));
    let table = CsvRows::read(&folder.join("layouts/layers.csv"));
    let points: Vec<[f64; 2]> =
        table.numbers(&[], "x").into_iter().zip(table.numbers(&[], "y")).map(|(x, y)| [x, y]).collect();
    assert_eq!(table.texts(&[], "id"), alike.entries().ids());
    assert_eq!(alike.entries().len(), 3 * 14, "layers of an untrained and two trained networks, and the image");
    let distances = pairs(&points).map(|(x, y)| euclidean_distance(x, y));
    let known = distances.zip(alike.triangle(0)).filter(|(_, apart)| !apart.is_nan());
    let stress: f64 = known.map(|(distance, apart)| (distance - apart).powi(2)).sum();
    let reported = table.numbers(&[], "stress")[0];
    assert_close(stress, reported, 1e-6 * reported.max(1e-3));
}

fn check_dominance(folder: &Path) {
    let table = CsvRows::read(&folder.join("dominance_small.csv"));
    let id = "fish/small/conv1/euclidean/unit_level";
    // Entries are 000_0.5, 000_0.8, 180_0.5 and 180_0.8.
    let set = rdms(&folder.join("rdms/sets_of_small"));
    let apart = triangle(&set, id);
    let (colours, sizes) = (f64::midpoint(apart[1], apart[4]), f64::midpoint(apart[0], apart[5]));
    let index = table.number(&[("rdm", id), ("variable", "colour")], "dominance");
    assert_close(index, (colours - sizes) / (colours + sizes), 1e-9);
    assert_close(table.number(&[("rdm", id), ("variable", "size")], "dominance"), -index, 1e-12);
}

#[test]
fn numbers_of_eight_images_are_those_of_their_features() {
    let space = project();
    space.pipe(["run", "rsa.yaml", "--profile", "tiny"]).exits(0);
    space.pipe(["run", "rsa.yaml", "--profile", "tiny"]).exits(0).shows("ran 0, hits 50");
    let folder = space.path("results/rsa/tiny");
    let layers = CsvRows::read(&folder.join("layers.csv"));
    assert_eq!(layers.texts(&[("layer", "conv1")], "address"), ["features.0"]);
    assert_eq!(layers.number(&[("layer", "fc2")], "rank"), 13.0);
    let features = PublishedFeatures::read(&folder.join("features"));
    assert_eq!(features.stimuli[..3], ["house_000_s0.5", "house_000_s0.8", "house_180_s0.5"]);
    check_first_order(&folder, &features);
    check_higher_orders(&folder);
    // Two objects, or 14 layers with the image, two types of activation and two or four dissimilarities.
    check_frames(&folder, [(2 * 14 * 4, 16), (14 * 8, 14), (8, 13), (8, 13)]);
    check_comparison(&folder, &features);
    check_anova(&folder, &features);
    check_decoding(&folder, &features);
    check_layout(&folder);
    check_dominance(&folder);
    let chosen = CsvRows::read(&folder.join("different_images_before_and_after.csv"));
    let [before, after] = ["all", "chosen"].map(|part| chosen.number(&[("part", part)], "mean_pairs"));
    assert!(after > before, "{after} of the chosen images, {before} of all");
    assert!(fs::read(folder.join("rsatoolbox.hdf5")).expect("a file").starts_with(b"\x89HDF"));
    let of_images = ["images", "sheet_of_layers", "rdms_of_small_2", "layers", "comparison"];
    for figure in ["set", "objects", "trajectories"].into_iter().chain(of_images) {
        for end in ["svg", "pdf", "png"] {
            assert!(folder.join(format!("figures/{figure}.{end}")).is_file(), "{figure}.{end}");
        }
    }
}

/// The two faults of the guide's program, each by its name, and nothing of them without it.
#[test]
fn faults_of_the_guide_are_there_where_they_are_asked_for() {
    let space = project();
    let of = |folder: &str, layer: &str, activation: &str| -> Vec<f64> {
        let set = rdms(&space.path(format!("results/rsa/{folder}/rdms/small")));
        triangle(&set, &format!("small/{layer}/correlation/{activation}")).to_vec()
    };
    space.pipe(["run", "rsa.yaml", "--profile", "tiny"]).exits(0);
    assert_ne!(of("tiny", "conv1", "unit_level"), of("tiny", "relu1", "unit_level"));
    space.pipe(["run", "rsa.yaml", "--profile", "tiny", "--set", "compat=[alias_inplace]"]).exits(0);
    let aliased = "tiny+compat=[alias_inplace]";
    assert_eq!(of(aliased, "conv1", "unit_level"), of(aliased, "relu1", "unit_level"));
    assert_eq!(of(aliased, "relu1", "unit_level"), of("tiny", "relu1", "unit_level"));
    space.pipe(["run", "rsa.yaml", "--profile", "tiny", "--set", "compat=[swap_rgb]"]).exits(0);
    let swapped = "tiny+compat=[swap_rgb]";
    assert_eq!(of(swapped, "original_rgb", "unit_level"), of("tiny", "original_rgb", "feature_means"));
    assert_eq!(of(swapped, "original_rgb", "feature_means"), of("tiny", "original_rgb", "unit_level"));
    assert_eq!(of(swapped, "conv1", "unit_level"), of("tiny", "conv1", "unit_level"));
}

#[test]
fn tables_of_the_guide_have_its_shapes() {
    let space = project();
    // Shapes do not depend on the size of images.
    let text = space.read("rsa.yaml");
    let made = "architecture: \"$params.known.${each.network}.architecture\", name: $each.network }";
    assert_eq!(text.matches(made).count(), 2);
    space.write("rsa.yaml", text.replace(made, &made.replace(" }", ", side: 64 }")));
    // Its claims hold too: the mean of 50 of 1,000 items before and after.
    let shown = space.pipe(["run", "rsa.yaml", "--profile", "guide-untrained", "--set", "side=64"]).exits(0);
    shown.hides("does not hold");
    let folder = space.path("results/rsa/guide-untrained+side=64");
    check_frames(&folder, [(3472, 16), (176, 14), (8, 13), (8, 13)]);
    let chosen = CsvRows::read(&folder.join("fifty_of_a_thousand.csv"));
    assert_eq!(chosen.rows.len(), 50);
    let fits = CsvRows::read(&folder.join("layouts/fits.csv"));
    assert_eq!(fits.numbers(&[], "entries"), [4.0; 22]);
}

#[test]
fn every_profile_can_be_planned() {
    let space = Space::new();
    space.pipe(["init", "rsa"]).exits(0).shows("pipe run rsa.yaml");
    let plan = space.pipe(["plan", "rsa.yaml", "--all-profiles"]).exits(0);
    let plan = plan.shows("tiny: 44 stages, 50 instances").shows("demo: 61 stages, 90 instances");
    let plan = plan.shows("published: 62 stages, 88 instances").shows("guide-untrained: 23 stages, 29 instances");
    plan.shows("guide: 22 stages, 26 instances");
}

/// Pictures through the small network; `LAYERS` is what a story writes there.
const PICTURES: &str = "
pipe: 1
pipeline: pictures
stages:
  stimuli: { uses: stimuli/import, in: { images: pictures } }
  network: { uses: net/random, with: { architecture: small } }
  rdms:
    uses: net/rdms
    in: { stimuli: $stimuli.stimuli, network: $network.network }
    with: { layers: [LAYERS] }
results: { rdms/: $rdms.rdms }
";

/// A picture of one grey with a brighter corner.
fn picture(grey: u8) -> Vec<u8> {
    let side = 64;
    let pixel = |at: usize| if at % side < 20 && at / side < 20 { 255 } else { grey };
    let rgb = (0..side * side).flat_map(|at| [pixel(at); 3]).collect();
    encode_png(&RgbPicture { width: side, height: side, rgb }).expect("a picture")
}

fn with_pictures(files: &[(&str, Vec<u8>)], layers: &str) -> Space {
    worker();
    let space = Space::with(&PICTURES.replace("LAYERS", layers));
    for (name, bytes) in files {
        space.write(&format!("pictures/{name}"), bytes);
    }
    space
}

fn shown_of(files: &[(&str, Vec<u8>)], layers: &str) -> Shown {
    with_pictures(files, layers).pipe(["run", "pipeline.yaml"])
}

#[test]
fn pictures_that_cannot_be_used_are_refused_in_a_sentence() {
    let good = || ("a.png", picture(90));
    let shown = shown_of(&[good(), ("b.png", b"not a picture".to_vec())], "conv1").exits(2);
    shown.shows("expected a picture, PNG or JPEG, but the file begins with 6e 6f 74 20").shows("b.png");
    let cut = picture(120);
    let shown = shown_of(&[good(), ("b.png", cut[..cut.len() / 2].to_vec())], "conv1").exits(2);
    shown.shows("not a whole PNG picture").shows("b.png");
    let jpeg = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00".to_vec();
    let shown = shown_of(&[good(), ("b.jpg", jpeg)], "conv1").exits(2);
    shown.shows("not a whole JPEG picture").shows("b.jpg");
    shown_of(&[good()], "conv1").exits(2).shows("an RDM of 1 stimuli has no pair, expected at least two");
    let shown = shown_of(&[good(), ("b.png", picture(120))], "con1").exits(2);
    shown.shows("`small` has no layer `con1`; most like it: by name `conv1`");
}

#[test]
fn identical_pictures_are_exactly_alike() {
    let space = with_pictures(&[("a.png", picture(90)), ("b.png", picture(90)), ("c.png", picture(30))], "conv1");
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    let set = rdms(&space.path("results/pictures/rdms"));
    for activation in ["unit_level", "feature_means"] {
        let [same, first, second] = triangle(&set, &format!("small_random/conv1/correlation/{activation}")) else {
            panic!("three pairs")
        };
        assert_eq!(*same, 0.0);
        assert_close(*first, *second, 1e-12);
        assert!(*first > 0.0);
    }
}

/// A constant pattern has no correlation: it is NaN and said so, or refused.
#[test]
fn constant_patterns_have_no_correlation() {
    let pipeline = "
pipe: 1
pipeline: constant
stages:
  matrix: { uses: matrix/import, in: { file: patterns.csv }, with: { id_column: id, space: layer } }
  rdms: { uses: rdm/from, in: { matrix: $matrix.matrix }, with: { undefined: keep } }
results: { rdms/: $rdms.rdms }
";
    let space = Space::with(pipeline);
    space.write("patterns.csv", "id,u1,u2,u3\na,1,2,4\nb,3,3,3\nc,2,1,0\n");
    let words = "dissimilarities are undefined in 1 RDMs: `layer/correlation` (2 pairs)";
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows(words);
    let set = rdms(&space.path("results/constant/rdms"));
    let [ab, ac, bc] = set.triangle(0) else { panic!("three pairs") };
    assert!(ab.is_nan() && bc.is_nan());
    assert_close(*ac, correlation_distance(&[1.0, 2.0, 4.0], &[2.0, 1.0, 0.0]), 1e-12);
    space.edit("pipeline.yaml", "undefined: keep", "undefined: refuse");
    space.pipe(["run", "pipeline.yaml"]).exits(2).shows(words).shows("a pattern is constant");
}

/// What a story makes of the stage that opens weights.
const SIX_CLASSES: &str = "$weights.weights }, with: { architecture: small, classes: 6";

#[test]
fn weights_that_are_not_those_of_the_network_are_refused() {
    let pipeline = "
pipe: 1
pipeline: weights
stages:
  network: { uses: net/random, with: { architecture: small, classes: 5 } }
  weights: { uses: net/weights, in: { network: $network.network } }
  opened: { uses: net/open, in: { weights: $weights.weights }, with: { architecture: small, classes: 5 } }
  layers: { uses: net/layers, in: { network: $opened.network } }
results: { layers.csv: $layers.table }
";
    let space = Space::with(pipeline);
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    space.edit("pipeline.yaml", "$weights.weights }, with: { architecture: small, classes: 5", SIX_CLASSES);
    let shown = space.pipe(["run", "pipeline.yaml"]).exits(2).shows("the weights are not those of `small`");
    shown.shows("`classifier.2.weight` has the shape [5, 128], expected [6, 128]");
    space.edit("pipeline.yaml", "architecture: small, classes: 6", "architecture: alexnet, classes: 6");
    space.pipe(["run", "pipeline.yaml"]).exits(2).shows("the weights are not those of `alexnet`: missing: ");

    // A checkpoint that would call a command, in the form of PyTorch before 1.6.
    let parts: [&[u8]; 4] = [
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.",
        b"\x80\x02M\xe9\x03.",
        b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.",
        b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.",
    ];
    space.write("checkpoint.pth.tar", parts.concat());
    space.edit("pipeline.yaml", "in: { weights: $weights.weights }", "in: { weights: checkpoint.pth.tar }");
    space.pipe(["run", "pipeline.yaml"]).exits(2).shows("posix.system");
}

#[test]
fn weights_with_another_digest_are_refused() {
    let server = HttpServer::start(|_, _| Answer::Body(b"other weights".to_vec()));
    let pipeline = format!(
        "
pipe: 1
pipeline: fetched
stages:
  network:
    uses: net/fetch
    with: {{ architecture: alexnet, url: \"{}/alexnet-owt-7be5be79.pth\", sha256: 7be5be79 }}
  layers: {{ uses: net/layers, in: {{ network: $network.network }} }}
results: {{ layers.csv: $layers.table }}
",
        server.address()
    );
    let space = Space::with(&pipeline);
    space.pipe(["run", "pipeline.yaml"]).exits(2).shows("expected one that begins with 7be5be79");
}
