//! Encoding models and variance partitioning: from simulated responses to figures on the vertices of fsaverage5, and from files in the
//! forms of a lab to the answers of its questions.
//!
//! What the profile `demo` claims of its parts is asserted here of `tiny` alone, which has the same stages on vertices: `demo` fetches 70 MB
//! and fits more than twice as many responses. Its own claim is tested whenever it is run, by `pipe run`.

mod flat_pictures;

use std::collections::BTreeMap;
use std::path::Path;

use flat_pictures::{ColourLimits, Pixels, assert_shows, picture, sampled};
use fs_err as fs;
use pipe_stages::formats::cortical_map::{CorticalMap, MapValues, Measure};
use pipe_stages::formats::drawing::ColourMap;
use pipe_stages::formats::drawing::colour::CATEGORIES;
use pipe_stages::formats::drawing::colour_maps::{light, pair};
use pipe_stages::formats::flat_mapping::FlatMapping;

use crate::support::{Shown, Space, lab_files, workspace};

/// A published CSV file without quoted fields.
struct Published {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Published {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let fields = |line: &str| line.split(',').map(|field| field.trim_matches('"').to_owned()).collect();
        let mut lines = text.lines().map(fields);
        Self { names: lines.next().expect("a line of names"), rows: lines.collect() }
    }

    fn column(&self, name: &str) -> usize {
        let found = self.names.iter().position(|known| known == name);
        found.unwrap_or_else(|| panic!("no column `{name}` in {:?}", self.names))
    }

    /// A column of the rows that have these words in others.
    fn texts(&self, wanted: &[(&str, &str)], name: &str) -> Vec<String> {
        let wanted: Vec<(usize, &str)> = wanted.iter().map(|(name, word)| (self.column(name), *word)).collect();
        let column = self.column(name);
        let rows = self.rows.iter().filter(|row| wanted.iter().all(|(at, word)| row[*at] == *word));
        rows.map(|row| row[column].clone()).collect()
    }

    fn numbers(&self, wanted: &[(&str, &str)], name: &str) -> Vec<f64> {
        let parse = |text: &String| text.parse().unwrap_or_else(|_| panic!("`{name}` has `{text}` at {wanted:?}"));
        self.texts(wanted, name).iter().map(parse).collect()
    }

    /// The number in the one row that has these words.
    fn number(&self, wanted: &[(&str, &str)], name: &str) -> f64 {
        match self.numbers(wanted, name)[..] {
            [only] => only,
            ref all => panic!("{} rows have {wanted:?}, expected one", all.len()),
        }
    }

    /// A column of numbers by id.
    fn by_id(&self, wanted: &[(&str, &str)], name: &str) -> BTreeMap<String, f64> {
        self.texts(wanted, "id").into_iter().zip(self.numbers(wanted, name)).collect()
    }
}

fn mean(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

fn assert_close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected} within {tolerance}");
}

fn project() -> Space {
    let space = Space::new();
    let shipped = workspace().join("pipelines/variance.yaml");
    space.write("variance.yaml", fs::read(&shipped).expect("a shipped file can be read"));
    space
}

/// The maps of parts and of the best space show what is in the tables, each value at its vertex.
fn check_maps(folder: &Path, parts: &Published, best: &Published) {
    let shown = |name: &str| -> BTreeMap<String, f64> {
        let map = CorticalMap::read(&folder.join("maps").join(name)).expect("a map");
        let MapValues::Vertices(sides) = map.values else { panic!("a map of voxels") };
        let of_side = |(side, values): (pipe_stages::hemisphere::Hemisphere, Vec<f32>)| {
            let id = move |at: usize| format!("{}/{at:06}", side.name());
            values.into_iter().enumerate().map(move |(at, value)| (id(at), f64::from(value)))
        };
        sides.into_iter().flat_map(of_side).filter(|(_, value)| !value.is_nan()).collect()
    };
    for (name, part, spaces) in [
        ("total", "total", "early+middle+late"),
        ("early", "unique", "early"),
        ("late", "unique", "late"),
        ("shared", "shared", "early+middle+late"),
    ] {
        let (found, expected) = (shown(name), parts.by_id(&[("part", part), ("spaces", spaces)], "estimate"));
        assert_eq!(found.len(), expected.len(), "{name}");
        found.iter().for_each(|(id, value)| assert_close(*value, expected[id], 1e-6));
        let (least, greatest) = found.values().fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
        assert!(greatest - least > 0.01, "{name} is about the same everywhere: {least} to {greatest}");
    }
    let ranks = shown("best");
    let named: Vec<(String, String)> = best.texts(&[], "id").into_iter().zip(best.texts(&[], "best")).collect();
    assert_eq!(ranks.len(), named.iter().filter(|(_, best)| !best.is_empty()).count());
    for (id, best) in named.iter().filter(|(_, best)| !best.is_empty()) {
        let rank = ["early", "middle", "late"].iter().position(|space| space == best).expect("a space");
        assert_eq!(ranks[id], rank as f64, "{id}");
    }
}

/// The best space of a vertex is the one with the highest score, and all three are best somewhere.
fn check_best(scores: &Published, best: &Published, summary: &Published) {
    let spaces = ["early", "middle", "late"];
    let of_space = spaces.map(|space| scores.by_id(&[("model", space)], "r2"));
    let mut counts = [0; 3];
    for (id, name) in best.texts(&[], "id").iter().zip(best.texts(&[], "best")) {
        let highest = of_space.iter().map(|r2| r2[id]).fold(f64::MIN, f64::max);
        match spaces.iter().position(|space| *space == name) {
            Some(at) => {
                counts[at] += 1;
                assert_eq!(of_space[at][id], highest, "{id}");
            }
            None => assert!(highest <= 0.0, "{id} has no best space, but {highest}"),
        }
    }
    for (space, count) in spaces.into_iter().zip(counts) {
        assert!(count > 0, "{space} is the best nowhere");
        let counted = summary.number(&[("region", "all"), ("space", space)], "n_best");
        assert_eq!(counted, f64::from(count), "{space}");
    }
}

/// p of a model is low where R2 is high; R2 is that of the scores.
fn check_significance(significance: &Published, scores: &Published) {
    for model in ["early", "early+middle+late"] {
        let wanted = [("map", "model"), ("spaces", model)];
        let tested = significance.by_id(&wanted, "score");
        let r2 = scores.by_id(&[("model", model)], "r2");
        assert_eq!(tested.len(), r2.len());
        tested.iter().for_each(|(id, score)| assert_close(*score, r2[id], 1e-9));
        let p = significance.by_id(&wanted, "p");
        assert!(p.values().all(|p| (0.05..=1.0).contains(p)), "19 orders have no p below 1 / 20");
        let clear = p.values().filter(|p| **p <= 0.05).count();
        assert!(model == "early" || clear * 10 > p.len() * 9, "{clear} of {} have the lowest p", p.len());
        assert!(p.iter().all(|(id, p)| *p <= 0.3 || tested[id] < 0.1), "{model}: R2 is high where p is");
        let q = significance.by_id(&wanted, "q");
        assert!(q.iter().all(|(id, q)| *q >= p[id] - 1e-12 && *q <= 1.0), "q is not below p");
    }
    let unique = significance.by_id(&[("map", "unique"), ("spaces", "early")], "score");
    assert_eq!(unique.len(), scores.by_id(&[("model", "early")], "r2").len());
}

/// Means by region are those of the responses, and a pair is what three models say of it.
fn check_regions(folder: &Path, parts: &Published, scores: &Published) {
    let regions = Published::read(&folder.join("parts_by_region.csv"));
    for (part, spaces) in [("unique", "early"), ("shared", "early+late"), ("total", "early+middle+late")] {
        let all = parts.by_id(&[("part", part), ("spaces", spaces)], "estimate");
        let row = [("region", "all"), ("part", part), ("spaces", spaces)];
        assert_eq!(regions.number(&row, "n"), all.len() as f64);
        assert_close(regions.number(&row, "mean"), mean(all.values().copied()), 1e-9);
        assert_eq!(regions.number(&row, "max"), all.values().copied().fold(f64::MIN, f64::max));
        assert!(regions.number(&row, "low") < regions.number(&row, "high"), "{part} {spaces}");
    }
    let r2 = |model: &str| mean(scores.by_id(&[("model", model)], "r2").into_values());
    for [first, second] in [["early", "middle"], ["early", "late"], ["middle", "late"]] {
        let pair = Published::read(&folder.join(format!("pairs/{first}_{second}.csv")));
        let both = format!("{first}+{second}");
        let of =
            |part: &str, spaces: &str| pair.number(&[("region", "all"), ("part", part), ("spaces", spaces)], "mean");
        assert_close(of("unique", first), r2(&both) - r2(second), 1e-9);
        assert_close(of("unique", second), r2(&both) - r2(first), 1e-9);
        assert_close(of("shared", &both), r2(first) + r2(second) - r2(&both), 1e-9);
    }
}

/// The flat mapping of a run.
fn flat_mapping(space: &Space, options: &[&str]) -> FlatMapping {
    let shown =
        space.pipe(["path", "variance.yaml", "flat.mapping"].into_iter().chain(options.iter().copied())).exits(0);
    FlatMapping::open(Path::new(shown.stdout.trim())).expect("a mapping")
}

/// The best space of every voxel or vertex that has one, by its place among all spaces.
fn best_ranks(best: &Published, spaces: &[&str]) -> BTreeMap<String, f64> {
    let named = best.texts(&[], "id").into_iter().zip(best.texts(&[], "best"));
    named.filter_map(|(id, best)| Some((id, spaces.iter().position(|space| *space == best)? as f64))).collect()
}

/// The limits that the table beside a figure states. All of its maps have those of all their pixels.
fn shared_limits(table: &Published, titles: &[&str], maps: &[&Pixels]) -> ColourLimits {
    assert_eq!(table.texts(&[], "map"), titles);
    let end = |name: &str| {
        let ends = table.numbers(&[], name);
        assert!(ends.iter().all(|end| *end == ends[0]), "{name}: {ends:?}");
        ends[0]
    };
    let (found, expected) = (ColourLimits { low: end("from"), high: end("to") }, ColourLimits::of_pixels(maps));
    assert_close(found.low, expected.low, 1e-12);
    assert_close(found.high, expected.high, 1e-12);
    assert!(found.high - found.low > 0.01, "{titles:?} are about the same everywhere: {found:?}");
    found
}

/// Figures on the cortex show what is in the tables, and come in the order of spaces, not in that of their names. A picture that answers a
/// question is the figure.
fn check_pictures(folder: &Path, mapping: &FlatMapping, parts: &Published, best: &Published) {
    let svg = |name: &str| fs::read_to_string(folder.join(format!("figures/{name}.svg"))).expect("a figure");
    let table = |name: &str| Published::read(&folder.join(format!("figures/{name}.csv")));
    let spaces = ["early", "middle", "late"];
    let part = |part: &str, spaces: &str| {
        let values = parts.by_id(&[("part", part), ("spaces", spaces)], "estimate");
        sampled(mapping, &values, Measure::Number)
    };
    let [early, middle, late] = spaces.map(|space| part("unique", space));
    let (shared, total) = (part("shared", "early+middle+late"), part("total", "early+middle+late"));

    let [unique_early, unique_middle, unique_late] = ["Unique: early", "Unique: middle", "Unique: late"];
    let titles = [unique_early, unique_middle, unique_late, "Shared by all", "All spaces together"];
    let maps = [&early, &middle, &late, &shared, &total];
    let limits = shared_limits(&table("flatmaps"), &titles, &maps);
    let of_numbers = |pixels: &Pixels| picture(mapping, |pixel| limits.colour(ColourMap::Auto, pixels[pixel]));
    assert_shows(&svg("flatmaps"), &maps.map(of_numbers));

    let both = shared_limits(&table("against"), &[unique_early, unique_late], &[&early, &late]);
    let of_both = |pixel: usize| Some(pair(both.share(early[pixel])?, both.share(late[pixel])?));
    assert_shows(&svg("against"), &[picture(mapping, of_both)]);

    let three = shared_limits(&table("three"), &[unique_early, unique_middle, unique_late], &[&early, &middle, &late]);
    let share = |pixels: &Pixels, pixel: usize| three.share(pixels[pixel]);
    let of_three = |pixel: usize| Some(light([share(&early, pixel)?, share(&middle, pixel)?, share(&late, pixel)?]));
    assert_shows(&svg("three"), &[picture(mapping, of_three)]);

    let ranks = best_ranks(best, &spaces);
    let pixels = sampled(mapping, &ranks, Measure::Category);
    let of_best = |pixel: usize| (!pixels[pixel].is_nan()).then(|| CATEGORIES[pixels[pixel] as usize]);
    assert_shows(&svg("best"), &[picture(mapping, of_best)]);
    for (rank, space) in spaces.iter().enumerate() {
        let row = [("category", *space)];
        let units = ranks.values().filter(|found| **found == rank as f64).count();
        let shown = pixels.iter().filter(|found| **found == rank as f32).count();
        assert!(shown > 0, "{space} is the best in no pixel");
        assert_eq!(table("best").number(&row, "n_units"), units as f64, "{space}");
        assert_eq!(table("best").number(&row, "n_values"), shown as f64, "{space}");
    }
    check_answers_are_figures(folder);
}

/// A picture that answers a question is the figure of the same run.
fn check_answers_are_figures(folder: &Path) {
    for (answer, figure) in [("3_best_spaces_on_the_cortex", "best"), ("5_parts_on_the_cortex", "flatmaps")] {
        let read = |file: String| fs::read(folder.join(file)).expect("a picture");
        let found = read(format!("answers/{answer}.png"));
        assert!(found.starts_with(b"\x89PNG") && found == read(format!("figures/{figure}.png")), "{answer}");
    }
}

#[test]
fn parts_of_simulated_responses_are_found_again() {
    let space = project();
    let small = ["--set", "permutations=19", "--set", "bootstrap=20", "--set", "height=128"];
    space.pipe(["run", "variance.yaml", "--profile", "tiny"].into_iter().chain(small)).exits(0);
    let run = space.pipe(["run", "variance.yaml", "--profile", "tiny"].into_iter().chain(small));
    run.exits(0).shows("ran 0, hits 33");
    let results = space.path("results/variance");
    let folders: Vec<_> = fs::read_dir(&results).expect("results").flatten().map(|entry| entry.path()).collect();
    let [folder] = &folders[..] else { panic!("one folder of results, but there are {folders:?}") };
    let recovery = Published::read(&folder.join("recovery.csv"));
    let all = recovery.rows.iter().find(|row| row[0] == "all").expect("a row of all parts");
    let rmse: f64 = all[4].parse().expect("a number");
    // R2 of 0.15 to 0.35 on 200 stimuli has a standard error of 0.05, by sqrt(4 R2 (1 - R2)^2 / n).
    assert!(rmse < 0.05, "{all:?}");
    let correlation: f64 = all[5].parse().expect("a number");
    assert!(correlation > 0.8, "{all:?}");
    let table = |name: &str| Published::read(&folder.join(name));
    let (scores, parts, best) = (table("scores.csv"), table("parts.csv"), table("best.csv"));
    check_best(&scores, &best, &table("answers/2_voxels_by_best_space.csv"));
    check_significance(&table("significance.csv"), &scores);
    check_regions(folder, &parts, &scores);
    check_maps(folder, &parts, &best);
    let options = ["--profile", "tiny"].into_iter().chain(small).collect::<Vec<&str>>();
    check_pictures(folder, &flat_mapping(&space, &options), &parts, &best);
    check_panels(folder);
    let sums = table("answers/4_parts_and_their_sum.csv");
    assert!(sums.number(&[("region", "all"), ("quantity", "difference")], "max") < 1e-9);
    for figure in ["parts", "joint", "penalties", "pairs", "flatmaps", "against", "three", "best"] {
        for end in ["svg", "pdf", "png", "csv"] {
            assert!(folder.join(format!("figures/{figure}.{end}")).is_file(), "{figure}.{end}");
        }
    }
}

/// Panels and bars come in the order of `spaces`, and the number of every model and part is there once.
fn check_panels(folder: &Path) {
    let table = |name: &str| Published::read(&folder.join(format!("figures/{name}.csv")));
    let mut models = table("penalties").texts(&[], "model");
    models.dedup();
    let sets = ["early", "middle", "late", "early+middle", "early+late", "middle+late", "early+middle+late"];
    assert_eq!(models, sets);
    let mut parts = table("parts").texts(&[("region", "all")], "spaces");
    assert_eq!(parts.pop().as_deref(), Some("early+middle+late"), "the total is last");
    assert_eq!(parts, sets);
    let counted: f64 = table("joint").numbers(&[], "n").into_iter().sum();
    let responses = Published::read(&folder.join("best.csv")).rows.len();
    assert_eq!(counted, responses as f64, "every response has its place");
}

/// The pipeline with few resamples and a small map: numbers of models and parts do not depend on them.
fn lab_project() -> Space {
    let space = project();
    space.edit("variance.yaml", "bootstrap: 200 ", "bootstrap: 20 ");
    space.edit("variance.yaml", "permutations: 200\n", "permutations: 19\n");
    space.edit("variance.yaml", "height: 1024 ", "height: 48 ");
    space
}

/// Runs a profile for real data, with one param or none.
#[track_caller]
fn run(space: &Space, profile: &str, set: &[&str]) -> Shown {
    let set = set.iter().flat_map(|param| ["--set", *param]);
    space.pipe(["run", "variance.yaml", "--profile", profile].into_iter().chain(set))
}

#[test]
fn every_profile_of_the_file_that_ships_can_be_planned() {
    let space = Space::new();
    space.pipe(["init", "variance"]).exits(0).shows("pipe run variance.yaml");
    let plan = space.pipe(["plan", "variance.yaml", "--all-profiles"]).exits(0);
    plan.shows("folder: 31 stages, 53 instances").shows("lab: 31 stages, 53 instances").shows("numbers: 23 stages");
}

#[test]
fn files_that_are_not_there_are_asked_for_with_their_addresses() {
    let space = lab_project();
    let folder = space.path("nsd");
    let asked = |name: &str, address: &str| {
        format!("`{name}` has to be fetched by hand: download it from https://www.dropbox.com/scl/fi/{address}")
    };
    let into = format!("&dl=1 and put it into `{}`", folder.display());
    let shown = run(&space, "folder", &[]).exits(2).shows(&into).shows("failed 9");
    let shown = shown.shows(&asked("S1_betas_avg_bigmask.hdf5", "e040hit5avrptp4hbnijy/"));
    let shown = shown.shows(&asked("pycortex_subj01.zip", "9737r06i53b0x672qnns9/"));
    let shown = shown.shows(&asked("NSD_S1_ims224pix_Conv5_ReLU_pca100.hdf5", "a8ksxnq380ycop4cc0cmh/"));
    shown.hides("does not exist");
    lab_files::write(&folder);
    fs::remove_file(folder.join("S1_image_info.csv")).expect("removed");
    let shown = run(&space, "numbers", &[]).exits(2).shows("failed 1");
    shown.shows(&asked("S1_image_info.csv", "caabn3on6l9q8w32uxq8z/")).hides("betas_avg_bigmask.hdf5` has");
}

/// R2 in V1v and of all voxels: least, median and greatest of Conv1 to Conv5.
fn check_r2(folder: &Path, v1v: [f64; 5], median: [f64; 5], least: f64, greatest: f64) {
    let table = Published::read(&folder.join("answers/1_r2_of_spaces.csv"));
    for (layer, (v1v, median)) in (1..).zip(v1v.into_iter().zip(median)) {
        let name = format!("Conv{layer}");
        let row = |region| [("group", name.as_str()), ("region", region)];
        assert_close(table.number(&row("V1v"), "median"), v1v, 1e-6);
        assert_close(table.number(&row("all"), "median"), median, 1e-6);
        assert_eq!((table.number(&row("V1v"), "n"), table.number(&row("all"), "n")), (18.0, 74.0));
    }
    assert_close(table.number(&[("group", "Conv1"), ("region", "all")], "min"), least, 1e-6);
    assert_close(table.number(&[("group", "Conv1"), ("region", "all")], "max"), greatest, 1e-6);
    assert!(table.texts(&[("region", "hV4")], "n").is_empty(), "hV4 has no voxel");
    let regions = table.texts(&[("group", "Conv1")], "region");
    assert_eq!(regions, ["all", "V1v", "V1d", "FFA-1", "FFA-2", "PPA", "EBA"]);
}

/// What is the same by the lab's rules and by ours.
fn check_answers(folder: &Path) {
    let table = |name: &str| Published::read(&folder.join(name));
    let dropped = table("images_without_responses.csv");
    assert_eq!(dropped.texts(&[], "id"), [lab_files::not_shown()]);
    assert_eq!(dropped.numbers(&[], "n_missing"), [75.0]);
    let excluded = table("voxels_left_out.csv");
    assert_eq!(excluded.texts(&[("reason", "missing")], "id"), [lab_files::incomplete()]);
    assert_eq!(excluded.numbers(&[], "n_missing"), [1.0]);

    let best = table("answers/2_voxels_by_best_space.csv");
    let counts = best.numbers(&[("region", "all")], "n_best");
    assert_eq!(counts, [36.0, 0.0, 0.0, 38.0, 0.0]);
    assert_eq!(best.number(&[("region", "FFA-1"), ("space", "Conv4")], "n"), 18.0);

    let sums = table("answers/4_parts_and_their_sum.csv");
    for region in ["all", "V1v", "EBA"] {
        let of = |quantity: &str, column: &str| sums.number(&[("region", region), ("quantity", quantity)], column);
        assert!(of("difference", "max") < 1e-9, "{region}");
        for column in ["min", "median", "max"] {
            assert_close(of("sum", column), of("model", column), 1e-9);
        }
    }
    let unique = |region: &str, space: &str| {
        sums.number(&[("region", region), ("quantity", "unique"), ("spaces", space)], "median")
    };
    assert!(unique("V1v", "Conv1") > 0.5 && unique("V1v", "Conv4") < 0.2);
    assert!(unique("FFA-1", "Conv4") > 0.5 && unique("FFA-1", "Conv1") < 0.2);

    let (significance, parts) = (table("significance.csv"), table("parts.csv"));
    for space in ["Conv1", "Conv4"] {
        let tested = significance.by_id(&[("map", "unique"), ("spaces", space)], "score");
        let part = parts.by_id(&[("part", "unique"), ("spaces", space)], "estimate");
        assert_eq!(tested.len(), part.len());
        tested.iter().for_each(|(id, score)| assert_close(*score, part[id], 1e-9));
    }

    let pairs = table("answers/6_pairs_by_shared_variance.csv");
    let ranked: Vec<String> = pairs
        .texts(&[("region", "all")], "first")
        .into_iter()
        .zip(pairs.texts(&[("region", "all")], "second"))
        .map(|(first, second)| format!("{first}+{second}"))
        .collect();
    assert_eq!(ranked.len(), 10);
    assert_eq!((&ranked[0][..], &ranked[1][..], &ranked[9][..]), ("Conv1+Conv2", "Conv4+Conv5", "Conv1+Conv4"));
    let shared = pairs.numbers(&[("region", "all")], "shared_mean");
    assert!(shared.is_sorted_by(|a, b| a >= b) && shared[1] > 0.2 && shared[2] < 0.05, "{shared:?}");
}

/// Expected numbers are printed by `tests/fidelity/encoding/lab_story.py`, in which NumPy does what the lab does, and what we do.
#[test]
fn the_questions_of_the_lab_are_answered_from_a_folder() {
    let space = lab_project();
    lab_files::write(&space.path("nsd"));
    run(&space, "numbers", &[])
        .exits(0)
        .shows("regions without a voxel in the mask, and so in no table: `hV4`")
        .shows("1 of 200 images are left out: they have no value in any column");
    let ours = space.path("results/variance/numbers");
    check_r2(
        &ours,
        [0.7122549311434874, 0.4581347823939967, 0.10442786439405183, -0.005446706245876287, -0.002141978673616096],
        [0.21919455290519457, 0.16866335781886171, 0.10373698481731292, 0.28953976350685456, 0.17520749977090794],
        -0.05506507647769765,
        0.9226909290858368,
    );
    check_answers(&ours);

    run(&space, "numbers", &["compat=lab08"])
        .exits(0)
        .shows("1 of 200 images are left out: they have no value in the first column")
        .shows("chose a negative penalty, as the lab allows");
    let labs = space.path("results/variance/numbers+compat=lab08");
    check_r2(
        &labs,
        [0.7139359999922628, 0.4577586199277643, 0.09855901887113777, 0.004699788781567682, -0.001292564862497625],
        [0.20976003027537465, 0.16553393164421398, 0.10470204260730487, 0.29572421048887887, 0.16631329103651893],
        -0.042983133532233264,
        0.9225948475558619,
    );
    check_answers(&labs);
    let sums = Published::read(&labs.join("answers/4_parts_and_their_sum.csv"));
    for (quantity, spaces, [least, median, greatest]) in [
        ("unique", "Conv1", [-0.02785899880735787, 0.20028171720715232, 0.9432981011296029]),
        ("unique", "Conv4", [-0.017252691882488458, 0.2959801892106793, 0.9557384376140746]),
        ("shared", "Conv1+Conv4", [-0.19495705984706102, -0.03668620949785317, 0.06843466436202517]),
        ("sum", "Conv1+Conv4", [0.37465374005723795, 0.8236372970037407, 0.9315554107466197]),
    ] {
        let row = [("region", "all"), ("quantity", quantity), ("spaces", spaces)];
        assert_close(sums.number(&row, "min"), least, 1e-6);
        assert_close(sums.number(&row, "median"), median, 1e-6);
        assert_close(sums.number(&row, "max"), greatest, 1e-6);
    }

    // One region alone: the same numbers a voxel, and tables of that region.
    run(&space, "numbers", &["regions=[EBA]"]).exits(0);
    let one = space.path("results/variance/numbers+regions=[EBA]");
    for file in ["scores.csv", "parts.csv", "best.csv"] {
        let read = |folder: &Path| fs::read(folder.join(file)).expect("a table");
        assert!(read(&one) == read(&ours), "{file} differs");
    }
    let whole = Published::read(&ours.join("answers/4_parts_and_their_sum.csv"));
    let eba = Published::read(&one.join("answers/4_parts_and_their_sum.csv"));
    assert_eq!(eba.texts(&[("region", "EBA")], "median"), whole.texts(&[("region", "EBA")], "median"));
    assert_eq!(eba.rows.len(), 2 * 6, "rows of everywhere and of the region");
    run(&space, "numbers", &["regions=[hV4]"])
        .exits(2)
        .shows("no voxel or vertex lies in a region `hV4`; there are V1v, V1d, FFA-1, FFA-2, PPA, EBA");
}

/// In the lab's look, numbers have `Blues` from 0 to 0.4 and spaces the five bands of `BPROG` from -0.5 to 4.5.
fn check_lab_pictures(folder: &Path, mapping: &FlatMapping) {
    let svg = |name: &str| fs::read_to_string(folder.join(format!("figures/{name}.svg"))).expect("a figure");
    let parts = Published::read(&folder.join("parts.csv"));
    let blues = ColourLimits { low: 0.0, high: 0.4 };
    let of_part = |(part, spaces): (&str, &str)| {
        let values = parts.by_id(&[("part", part), ("spaces", spaces)], "estimate");
        let pixels = sampled(mapping, &values, Measure::Number);
        picture(mapping, |pixel| blues.colour(ColourMap::Blues, pixels[pixel]))
    };
    let shown = [("unique", "Conv1"), ("unique", "Conv4"), ("shared", "Conv1+Conv4"), ("total", "Conv1+Conv4")];
    assert_shows(&svg("flatmaps"), &shown.map(of_part));
    let titles = Published::read(&folder.join("figures/flatmaps.csv")).texts(&[], "map");
    let unique = ["Unique Variance: Conv1 layer", "Unique Variance: Conv4 layer"];
    assert_eq!(titles, [unique[0], unique[1], "Shared Variance", "Combined A+B model performance"]);
    assert_eq!(Published::read(&folder.join("figures/against.csv")).texts(&[], "map"), unique);

    let ranks = best_ranks(&Published::read(&folder.join("best.csv")), &["Conv1", "Conv2", "Conv3", "Conv4", "Conv5"]);
    let pixels = sampled(mapping, &ranks, Measure::Category);
    let bands = ColourLimits { low: -0.5, high: 4.5 };
    let of_best = picture(mapping, |pixel| bands.colour(ColourMap::Bprog, pixels[pixel]));
    assert_shows(&svg("best"), &[of_best]);
    check_answers_are_figures(folder);
}

#[test]
fn the_maps_of_the_lab_are_those_of_its_voxels() {
    let space = lab_project();
    lab_files::write(&space.path("nsd"));
    let look = ["look=lab08"];
    run(&space, "folder", &look).exits(0);
    let folder = space.path("results/variance/folder+look=lab08");
    let volume = |name: &str| {
        let map = CorticalMap::read(&folder.join("maps").join(name)).expect("a map");
        let MapValues::Volume { place, values } = map.values else { panic!("a map of vertices") };
        assert_eq!(place.shape, [8, 5, 2]);
        values
    };
    // Where x is below 4, in the left hemisphere, voxels respond to Conv1.
    let half = |values: &[f32], left: bool| -> Vec<f64> {
        let there = values.iter().enumerate().filter(|(at, value)| (at % 8 < 4) == left && !value.is_nan());
        there.map(|(_, value)| f64::from(*value)).collect()
    };
    let first = volume("unique_Conv1");
    assert_eq!(first.iter().filter(|value| !value.is_nan()).count(), 74, "as many as voxels have responses");
    assert!(mean(half(&first, true)) > mean(half(&first, false)) + 0.4);
    let fourth = volume("unique_Conv4");
    assert!(mean(half(&fourth, false)) > mean(half(&fourth, true)) + 0.4);
    let best = volume("best");
    let count = |left: bool, rank: f64| half(&best, left).into_iter().filter(|value| *value == rank).count();
    assert_eq!(count(true, 0.0) + count(false, 0.0), 36);
    assert_eq!(count(true, 3.0) + count(false, 3.0), 38);
    assert!(count(true, 0.0) > 30 && count(false, 3.0) > 30);
    let options = ["--profile", "folder", "--set", "look=lab08"];
    check_lab_pictures(&folder, &flat_mapping(&space, &options));

    // The mask of another brain: as many voxels in a volume of another shape.
    space.write("nsd/S1_voxel_roi_info.npy", lab_files::dictionary([5, 8, 2]));
    run(&space, "folder", &look)
        .exits(2)
        .shows("the ids are of a volume of 5 x 8 x 2 voxels")
        .shows("func1pt8_to_anat0pt8_autoFSbbr` has 8 x 5 x 2 voxels");
    space.write("nsd/S1_voxel_roi_info.npy", lab_files::dictionary([8, 5, 4]));
    run(&space, "folder", &look).exits(2).shows("`voxel_mask` has 80 voxels, but the volume of `brain_nii_shape` has");
}
