//! Declarations with the names, ports, types and parameters of the kinds that ship, without any code behind them:
//! planning is tested without building the stages. `tests/` at the root plans with the real kinds.

use pipe_contract::{Arity, Context, Ended, Failure, Kind, Registry, Runs, StageKind, Task, Type, Value};

/// A declaration without code.
struct Declared(Kind);

impl StageKind for Declared {
    fn kind(&self) -> Kind {
        self.0.clone()
    }

    fn run(&self, _: &Task, _: &dyn Context) -> Result<Ended, Failure> {
        Err(Failure::internal("declared for planning only"))
    }
}

/// Everything that `pipelines/benson2025.yaml` uses.
pub fn registry() -> Registry {
    let mut registry = Registry::new();
    acquire().into_iter().chain(surface()).chain(score()).for_each(|kind| registry.add(Declared(kind)));
    learn().into_iter().for_each(|kind| registry.declare(kind));
    let mut best = Kind::new("unet/best", 1, "best restart");
    best = best.gather("trained", &["model"], "restarts").folder("model", "model", "the best");
    best.absences = vec!["diverged"];
    registry.add(Declared(best));
    registry.add(Declared(
        Kind::new("unet/import", 1, "weights trained elsewhere")
            .input("weights", &[], "weights")
            .required("inputs", Type::Text, "channels")
            .required("outputs", Type::Text, "what it predicts")
            .folder("model", "model", "the network"),
    ));
    let mut swap = Kind::new("control/swap", 1, "another subject's images");
    swap = swap.gather("images", &["images"], "images").port("split", &["split"], Arity::One, true, "sides");
    swap.axes = vec!["sid"];
    registry.add(Declared(swap.file("images", "images", "images")));
    registry
}

fn acquire() -> Vec<Kind> {
    let project = |kind: Kind| kind.required("project", Type::Text, "the OSF project");
    vec![
        network(Kind::new("package/files", 1, "files of a package").folder("files", "files", "files"), &[])
            .required("package", Type::Text, "name==version")
            .required("files", Type::Text, "pattern"),
        Kind::new("file", 1, "a file").input("file", &[], "the file").file("file", "file", "the file"),
        project(network(Kind::new("osf/file", 1, "a file of the OSF"), &[]).required("name", Type::Text, "its name"))
            .port("listing", &[], Arity::One, true, "a listing")
            .file("file", "prf-raw", "the file"),
        project(network(Kind::new("osf/files", 1, "files of the OSF"), &["not-found"]))
            .port("listing", &[], Arity::One, true, "a listing")
            .required("folder", Type::Text, "their folder")
            .required("names", Type::List(Box::new(Type::Text)), "their names")
            .folder("files", "files", "the files"),
        project(network(Kind::new("osf/listing", 1, "a listing of the OSF"), &[]))
            .param("folder", Type::Text, Value::Text(String::new()), "the folder")
            .file("file", "file", "the listing"),
        on(Kind::new("hcp/tracts", 1, "a subject's files with tracts"), &["sid"])
            .input("subject", &["subject"], "the subject's files")
            .input("folder", &[], "maps")
            .folder("files", "subject", "the files"),
        on(network(Kind::new("nyu/fetch", 1, "a subject's files"), &["not-found"]), &["sid"])
            .port("source", &[], Arity::One, true, "a local tree")
            .param("url", Type::Text, Value::Text(String::new()), "the bucket")
            .folder("files", "files", "the files"),
        Kind::new("nyu/prf", 1, "pRF maps").input("files", &["files"], "files").folder("maps", "prf", "maps"),
        Kind::new("nyu/labels", 1, "areas").input("files", &["files"], "files").folder("labels", "labels", "labels"),
        Kind::new("split/nyu", 1, "a split").gather("subjects", &[], "subjects").folder("table", "split", "split"),
        on(Kind::new("freesurfer/subject", 1, "a subject"), &["sid"])
            .input("surf", &[], "surfaces")
            .param("sulc", Type::Choice(&["auto", "cm", "mm"]), Value::Text("auto".into()), "unit of depth")
            .folder("files", "subject", "the files"),
        Kind::new("labels/cohort", 1, "who is part of the study")
            .input("listing", &[], "a listing")
            .input("exclusions", &[], "list")
            .param("subjects", Type::List(Box::new(Type::Text)), Value::List(Vec::new()), "the pipeline's")
            .folder("table", "table/cohort", "subjects"),
        on(network(Kind::new("hcp/fetch", 1, "a subject's files"), &["not-found"]), &["sid"])
            .port("source", &["hcp-tree"], Arity::One, true, "a local tree")
            .param("url", Type::Text, Value::Text(String::new()), "the bucket")
            .folder("files", "subject", "the files"),
        Kind::new("labels/import", 1, "a rater's labels")
            .input("file", &[], "HDF5")
            .folder("labels", "labels", "labels"),
        project(on(
            network(Kind::new("labels/osf", 1, "a rater's labels"), &["not-found", "excluded"]),
            &["sid", "rater"],
        ))
        .port("listing", &[], Arity::One, true, "a listing")
        .param("listed", Type::Choice(&["absent", "keep"]), Value::Text("absent".into()), "excluded labels")
        .folder("labels", "labels", "labels"),
        Kind {
            absences: vec!["excluded"],
            ..on(Kind::new("labels/exclude", 1, "labels to train on"), &["sid", "rater"])
                .input("labels", &["labels"], "labels")
                .input("exclusions", &[], "list")
                .folder("labels", "labels", "labels")
        },
        on(network(Kind::new("labels/inferred", 1, "inferred labels"), &["not-found"]), &["sid"])
            .param("project", Type::Text, Value::Text(String::new()), "the OSF project")
            .port("listing", &[], Arity::One, true, "a listing")
            .port("folder", &[], Arity::One, true, "a folder of maps")
            .folder("labels", "labels", "labels"),
        Kind::new("prf/import", 1, "pRF maps")
            .input("results", &["prf-raw"], "results")
            .input("subject", &["subject"], "the subject")
            .input("masks", &["files"], "masks")
            .folder("maps", "prf", "maps"),
        random(on(Kind::new("simulate/subject", 1, "a subject").formerly("simulate/person"), &["sid"]))
            .input("anatomy", &["files"], "anatomy")
            .input("template", &["files"], "template")
            .input("masks", &["files"], "masks")
            .folder("tree", "hcp-tree", "tree")
            .folder("labels", "labels-raw", "labels")
            .file("prf", "prf-raw", "results"),
    ]
}

fn surface() -> Vec<Kind> {
    let pixels = |kind: Kind| {
        let kind = kind.param("pixels", Type::Int(8, 512), Value::Int(128), "rows");
        kind.param("radius", Type::Float(1.0, 90.0), Value::Float(80.0), "degrees")
    };
    vec![
        pixels(Kind::new("flatmap/images", 1, "images"))
            .input("subject", &["subject"], "the subject's files")
            .port("prf", &["prf"], Arity::One, true, "pRF maps")
            .port("reference", &["subject"], Arity::One, true, "fsaverage")
            .param("compat", Type::Choice(&["none", "command-line"]), Value::Text("none".into()), "imitated program")
            .param("alignment", Type::Choice(&["model", "none", "fsaverage"]), Value::Text("model".into()), "alignment")
            .file("images", "images", "images"),
        pixels(Kind::new("flatmap/labels", 1, "targets"))
            .input("subject", &["subject"], "the subject's files")
            .input("labels", &["labels"], "labels")
            .file("images", "targets", "targets"),
        random(Kind::new("split/random", 1, "a split"))
            .gather("subjects", &[], "subjects")
            .param("held_out", Type::Float(0.0, 1.0), Value::Float(0.2), "share held out")
            .param("choose", Type::Float(0.0, 1.0), Value::Float(0.0), "share that chooses")
            .folder("table", "split", "split"),
        Kind::new("split/twins", 1, "a split")
            .input("families", &["file"], "families")
            .gather("subjects", &[], "subjects")
            .param("study", Type::List(Box::new(Type::Text)), Value::List(Vec::new()), "all subjects")
            .param("strict_families", Type::Bool, Value::Bool(false), "close the gap")
            .folder("table", "split", "split")
            .folder("families", "families", "families"),
        Kind::new("labels/template", 1, "template labels")
            .input("template", &["files"], "template")
            .input("subject", &["subject"], "the subject's files")
            .folder("labels", "labels", "labels"),
    ]
}

fn learn() -> Vec<Kind> {
    let mut train = random(Kind::new("unet/train", 1, "trains a network"))
        .gather("images", &["images"], "images of every subject")
        .gather("targets", &["targets"], "targets of every subject and rater")
        .input("split", &["split"], "who trains")
        .port("initial", &["model"], Arity::One, true, "where it starts")
        .folder("model", "model", "weights")
        .required("inputs", Type::Choice(&["anat", "t1t2", "trac", "nofn", "func", "nodw", "not2", "full"]), "channels")
        .required("outputs", Type::Choice(&["area", "ring"]), "what it predicts")
        .param("schedule", Type::List(Box::new(Type::Map(Box::new(Type::Any)))), Value::List(Vec::new()), "rounds")
        .param("epochs", Type::Int(1, 100_000), Value::Int(10), "epochs")
        .param("learning_rate", Type::Float(0.0, 10.0), Value::Float(0.00375), "learning rate")
        .param("gamma", Type::Float(0.0, 1.0), Value::Float(0.9), "decay")
        .param("bce_weight", Type::Float(0.0, 1.0), Value::Float(0.75), "weight")
        .param("batch_size", Type::Int(1, 100_000), Value::Int(5), "batch")
        .param("ignores_split", Type::Bool, Value::Bool(false), "all train");
    train.runs = Runs::ProcessFresh;
    train.absences = vec!["diverged"];
    let mut predict = Kind::new("unet/predict", 1, "predicts")
        .input("model", &["model"], "the network")
        .input("images", &["images"], "images")
        .input("subject", &["subject"], "the subject's files")
        .param("bn", Type::Choice(&["batch", "running"]), Value::Text("batch".into()), "statistics")
        .folder("labels", "labels", "labels");
    predict.runs = Runs::ProcessReusable;
    vec![train, predict]
}

fn score() -> Vec<Kind> {
    let scores = |kind: Kind| kind.gather("scores", &["table/scores"], "scores").input("split", &["split"], "split");
    vec![
        on(Kind::new("score/dice", 1, "Dice scores"), &["outputs", "sid"])
            .gather("models", &["labels"], "predictions")
            .gather("raters", &["labels"], "manual labels")
            .port("prior", &["labels"], Arity::One, true, "template")
            .port("inferred", &["labels"], Arity::One, true, "inferred")
            .input("subject", &["subject"], "the subject's files")
            .param("dataset", Type::Text, Value::Text(String::new()), "the dataset")
            .param("radius", Type::Float(1.0, 90.0), Value::Float(80.0), "degrees")
            .folder("table", "table/scores", "scores"),
        scores(Kind::new("score/summary", 1, "means")).folder("table", "table/summary", "means").aggregating(),
        random(scores(Kind::new("score/partition", 1, "parts")))
            .port("families", &["families"], Arity::One, true, "families")
            .required("subsets", Type::Map(Box::new(Type::Map(Box::new(Type::Any)))), "subsets")
            .param("over", Type::Text, Value::Text("has".into()), "field")
            .param("bootstrap", Type::Int(0, 1_000_000), Value::Int(2000), "resamples")
            .param("least_restarts", Type::Int(1, 1_000), Value::Int(3), "restarts")
            .folder("table", "table/partition", "parts")
            .aggregating()
            .folder("figure", "figure", "parts")
            .aggregating(),
        scores(Kind::new("figure/accuracy", 1, "accuracy"))
            .port("other_scores", &["table/scores"], Arity::Many, true, "scores of a second dataset")
            .port("other_split", &["split"], Arity::One, true, "its split")
            .param("points", Type::Bool, Value::Bool(true), "dots")
            .param("others_are_public", Type::Bool, Value::Bool(false), "whom a release counts")
            .folder("figure", "figure", "figure")
            .aggregating(),
        on(Kind::new("figure/contours", 1, "contours"), &["outputs"])
            .input("model", &["labels"], "predicted")
            .port("manual", &["labels"], Arity::One, true, "manual labels")
            .input("subject", &["subject"], "the subject's files")
            .port("prf", &["prf"], Arity::One, true, "maps")
            .param("manual_name", Type::Text, Value::Text("manual labels".into()), "name of the manual labels")
            .param("model_name", Type::Text, Value::Text("predicted".into()), "name of the model")
            .param("dot", Type::Float(0.1, 5.0), Value::Float(0.5), "diameter of dots")
            .folder("figure", "figure", "figure"),
        Kind::new("figure/flatmaps", 1, "contact sheet")
            .gather("images", &["images"], "images")
            .port("targets", &["targets"], Arity::Many, true, "targets")
            .port("subjects", &["subject"], Arity::Many, true, "files of subjects")
            .folder("figure", "figure", "figure"),
        Kind::new("figure/cohort", 1, "all subjects")
            .gather("images", &["images"], "images")
            .port("targets", &["targets"], Arity::Many, true, "targets")
            .folder("figure", "figure", "figure"),
        Kind::new("figure/learning", 1, "learning curves")
            .gather("models", &["model"], "models")
            .param("raters", Type::Int(0, 1000), Value::Int(0), "raters")
            .folder("table", "table/epochs", "epochs")
            .aggregating()
            .folder("figure", "figure", "figure")
            .aggregating(),
    ]
}

fn on(kind: Kind, axes: &[&'static str]) -> Kind {
    Kind { axes: axes.to_vec(), ..kind }
}

fn random(kind: Kind) -> Kind {
    Kind { random: true, ..kind }
}

fn network(kind: Kind, absences: &[&'static str]) -> Kind {
    Kind { network: true, absences: absences.to_vec(), ..kind }
}
