//! Layout figures from tables and pictures on disk, and how they look.

use std::path::Path;

use super::*;
use crate::formats::matrix::MatrixAxis;
use crate::formats::rdm_set::RdmAbout;
use crate::formats::rgb_picture::RgbPicture;
use crate::formats::stimulus_set::StimulusWriter;
use crate::numeric::counts::real;
use crate::test_support::figures::{assert_same_bytes_twice, attributes, look_at, place_of_text};
use crate::test_support::tasks::{give, run, set, task};

/// Objects and layers: the entries of an RDM of the second order.
fn entries(objects: usize, layers: usize) -> MatrixAxis {
    let of = || (0..objects).flat_map(|object| (0..layers).map(move |layer| (object, layer)));
    let table = DataTable::new()
        .text("id", of().map(|(object, layer)| format!("obj{object} layer{layer}")))
        .text("object", of().map(|(object, _)| format!("obj{object}")))
        .text("layer", of().map(|(_, layer)| format!("layer{layer}")))
        .integers("rank", of().map(|(_, layer)| i64::try_from(layer).unwrap()));
    MatrixAxis::new(table.build().unwrap()).unwrap()
}

/// RDMs of networks, whose numbers no figure reads.
fn rdms(entries: MatrixAxis, networks: &[&str]) -> RdmSet {
    let index = DataTable::new()
        .text("id", networks.iter().map(|network| format!("{network}/correlation")))
        .text("network", networks.iter().copied());
    let pairs = entries.len() * (entries.len() - 1) / 2;
    let index = MatrixAxis::new(index.build().unwrap()).unwrap();
    RdmSet::new(index, entries, vec![1.0; pairs * networks.len()], None, RdmAbout::of("objects and layers")).unwrap()
}

/// A layout in which every object goes its way through the layers.
fn layout(rdm: usize, objects: usize, layers: usize) -> ShownLayout {
    let point = |entry: usize| {
        let (object, layer) = (entry / layers, entry % layers);
        let (along, angle) = (real(layer) / real(layers.max(2) - 1), 1.3 * real(object) + 0.4 * real(rdm));
        [along * libm::cos(angle + along), along * libm::sin(angle + along), 0.4 * libm::sin(3.0 * along + angle)]
    };
    let count = objects * layers;
    ShownLayout {
        rdm,
        entries: (0..count).collect(),
        points: (0..count).map(point).collect(),
        stress: 17.912,
        stress_1: 0.0912,
    }
}

fn parameters(change: impl FnOnce(&mut Task)) -> Parameters {
    let mut task = task(&LayoutSheet, Path::new(""));
    change(&mut task);
    task.parameters().unwrap()
}

fn text(word: &str) -> Value {
    Value::Text(word.to_owned())
}

/// A disc of a colour on white, 40 pixels wide.
fn disc(shade: u8) -> RgbPicture {
    let pixel = |at: usize| {
        let (x, y) = (real(at % 40) - 19.5, real(at / 40) - 19.5);
        if libm::hypot(x, y) < 16.0 { [shade, 90, 255 - shade] } else { [255, 255, 255] }
    };
    RgbPicture { width: 40, height: 40, rgb: (0..1600).flat_map(pixel).collect() }
}

/// Stimuli `obj0_000`, `obj1_000`, ...
fn write_stimuli(folder: &Path, objects: usize) {
    let mut writer = StimulusWriter::create(folder).unwrap();
    for object in 0..objects {
        let picture = disc(u8::try_from(60 * object).unwrap());
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 40, 40);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header().unwrap().write_image_data(&picture.rgb).unwrap();
        writer.add(&format!("obj{object}_000"), &bytes).unwrap();
    }
    writer.finish([]).unwrap();
}

/// Writes layouts as `rdm/mds` does.
fn write_layouts(folder: &Path, rdms: &RdmSet, shown: &[ShownLayout]) {
    let rows = || shown.iter().flat_map(|layout| layout.points.iter().map(move |point| (layout, point)));
    let ids = shown.iter().flat_map(|layout| layout.entries.iter().map(|entry| rdms.entries().ids()[*entry].as_str()));
    let table = DataTable::new()
        .text("rdm", rows().map(|(layout, _)| rdms.index().ids()[layout.rdm].as_str()))
        .text("id", ids)
        .numbers("x", rows().map(|(_, point)| point[0]))
        .numbers("y", rows().map(|(_, point)| point[1]))
        .numbers("stress", rows().map(|(layout, _)| layout.stress))
        .numbers("stress_1", rows().map(|(layout, _)| layout.stress_1));
    data_table::write(folder, &mut table.build().unwrap()).unwrap();
}

fn prepared(folder: &Path) -> Task {
    let rdms = rdms(entries(4, 5), &["alexnet", "vgg19"]);
    rdms.write(&folder.join("rdms")).unwrap();
    write_layouts(&folder.join("layout"), &rdms, &[layout(0, 4, 5), layout(1, 4, 5)]);
    write_stimuli(&folder.join("stimuli"), 4);
    let mut task = task(&LayoutSheet, folder);
    give(&mut task, "rdms", &folder.join("rdms"));
    give(&mut task, "layout", &folder.join("layout"));
    task
}

#[test]
fn trajectories_end_in_pictures_of_the_last_layer() {
    let folder = tempfile::tempdir().unwrap();
    let mut task = prepared(folder.path());
    give(&mut task, "stimuli", &folder.path().join("stimuli"));
    set(&mut task, "pictures", text("{object}_000"));
    set(&mut task, "pictures_where", Value::Map(BTreeMap::from([("layer".to_owned(), text("layer4"))])));
    set(&mut task, "trajectories", Value::List(vec![text("object")]));
    set(&mut task, "panel_title", text("{network}"));
    assert!(run(&LayoutSheet, &task).unwrap().is_empty());
    let svg = fs_err::read_to_string(folder.path().join("figure/figure.svg")).unwrap();
    assert_eq!(svg.matches("<image").count(), 8, "four objects in two panels");
    assert!(svg.contains(">alexnet<") && svg.contains(">vgg19<") && svg.contains(">stress-1 = 0.0912<"));
    // A head on each of four segments of four trajectories in two panels, but for segments that are too short.
    let heads = svg.matches("Z\" fill=").count();
    assert!((16..=32).contains(&heads), "{heads}");
    let csv = fs_err::read_to_string(folder.path().join("figure/table.csv")).unwrap();
    assert_eq!(csv.lines().next(), Some("rdm,title,id,x,y,group,picture"));
    assert_eq!(csv.lines().count(), 41);
    assert!(csv.contains("alexnet/correlation,alexnet,obj1 layer4,") && csv.contains(",obj1_000\n"));
    set(&mut task, "only", Value::Map(BTreeMap::from([("network".to_owned(), text("vgg19"))])));
    run(&LayoutSheet, &task).unwrap();
    let svg = fs_err::read_to_string(folder.path().join("figure/figure.svg")).unwrap();
    assert!(svg.matches("<image").count() == 4 && !svg.contains(">alexnet<"));
}

#[test]
fn what_does_not_fit_is_refused_or_noted() {
    let folder = tempfile::tempdir().unwrap();
    let mut task = prepared(folder.path());
    give(&mut task, "stimuli", &folder.path().join("stimuli"));
    let failure = run(&LayoutSheet, &task).unwrap_err();
    assert_eq!(
        failure.message, "no entry has a stimulus, the first of them `obj0 layer0` (`obj0 layer0`)",
        "ids of entries are no ids of stimuli"
    );
    write_stimuli(&folder.path().join("three"), 3);
    give(&mut task, "stimuli", &folder.path().join("three"));
    set(&mut task, "pictures", text("{object}_000"));
    let notes = run(&LayoutSheet, &task).unwrap();
    assert_eq!(
        notes,
        ["important: 5 entries have no picture among the stimuli, the first of them `obj3 layer0` (`obj3_000`)"]
    );
    set(&mut task, "colour", text("objects"));
    assert_eq!(run(&LayoutSheet, &task).unwrap_err().message, "there is no column `objects`");
    let other = rdms(entries(2, 2), &["alexnet", "vgg19"]);
    other.write(&folder.path().join("other")).unwrap();
    give(&mut task, "rdms", &folder.path().join("other"));
    let failure = run(&LayoutSheet, &task).unwrap_err();
    assert!(failure.message.contains("entries of `layout` are not there"), "{failure}");
}

#[test]
fn the_guide_has_the_largest_coordinate_at_1() {
    let set_of = rdms(entries(4, 1), &["alexnet"]);
    let mut shown = layout(0, 4, 1);
    shown.points = vec![[-2.0, 0.0, 0.0], [2.0, 1.0, 0.0], [0.0, -1.0, 0.0], [1.0, 0.5, 0.0]];
    let parameters = parameters(|task| {
        set(task, "look", text("guide"));
        set(task, "stress", text("raw"));
    });
    let marks = marks(&set_of, None, 1, &parameters).unwrap();
    let layouts = Layouts { dims: 2, shown: vec![shown] };
    let svg = draw(&layouts, &["MDSPlot".to_owned()], &marks, &parameters, false).0.svg();
    let (x, y) = (attributes(&svg, "<circle", "cx"), attributes(&svg, "<circle", "cy"));
    let tick = |word: &str| place_of_text(&svg, |text| text == word);
    // The first 1.0 is the label below the panel: the second point lies above it.
    assert!((tick("1.0").0 - x[1]).abs() < 0.02 && (tick("0.0").0 - x[0]).abs() < 0.02, "{x:?}");
    let step = (tick("1.0").0 - tick("0.0").0) / 4.0;
    assert!((y[2] - y[1] - 2.0 * step).abs() < 0.05, "both axes have one scale: {y:?}");
    assert!(svg.contains(">stress = 17.9<"));
}

#[test]
fn numbers_have_three_digits() {
    let cases = [0.0, 9.466e-5, 0.001_823_9, 0.0912, 0.5, 3.456, 17.912, 250.4, 1.5e6];
    let expected = ["0", "9.47e\u{2212}5", "0.00182", "0.0912", "0.500", "3.46", "17.9", "250", "1.50e6"];
    assert_eq!(cases.map(significant), expected);
}

/// A figure with everything in it.
fn figure(networks: &[&str], dims: usize, change: impl Fn(&mut Task)) -> Drawing {
    let set_of = rdms(entries(4, 5), networks);
    let parameters = parameters(|task| {
        set(task, "trajectories", Value::List(vec![text("object")]));
        set(task, "colour", text("object"));
        change(task);
    });
    let shown = (0..networks.len()).map(|rdm| layout(rdm, 4, 5)).collect();
    let folder = tempfile::tempdir().unwrap();
    write_stimuli(folder.path(), 4);
    let stimuli = StimulusSet::open(folder.path()).unwrap();
    let marks = marks(&set_of, Some(&stimuli), networks.len(), &parameters).unwrap();
    let titles: Vec<String> = networks.iter().map(ToString::to_string).collect();
    draw(&Layouts { dims, shown }, &titles, &marks, &parameters, true).0
}

fn last_layer(task: &mut Task) {
    set(task, "pictures", text("{object}_000"));
    set(task, "pictures_where", Value::Map(BTreeMap::from([("layer".to_owned(), text("layer4"))])));
}

#[test]
fn draws_the_same_bytes_twice() {
    assert_same_bytes_twice(|| figure(&["alexnet", "vgg19"], 2, last_layer));
}

/// For looking at: set `PIPE_FIGURES` to a folder.
#[test]
fn can_be_looked_at() {
    look_at("layout_one", || figure(&["alexnet"], 2, last_layer));
    look_at("layout_labels", || {
        figure(&["alexnet", "vgg19"], 2, |task| {
            last_layer(task);
            set(task, "labels", text("layer"));
            set(task, "colour", text("rank"));
            set(task, "border", Value::Float(1.0));
        })
    });
    look_at("layout_space", || {
        figure(&["alexnet", "vgg19", "resnet50"], 3, |task| {
            last_layer(task);
            set(task, "shared_scale", Value::Bool(true));
        })
    });
    look_at("layout_guide", || {
        figure(&["alexnet"], 2, |task| {
            last_layer(task);
            set(task, "look", text("guide"));
            set(task, "stress", text("both"));
        })
    });
    let many: Vec<String> = (0..22).map(|at| format!("layer{at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    look_at("layout_sheet", || figure(&many, 2, last_layer));
}
