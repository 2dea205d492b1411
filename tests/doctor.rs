//! `pipe doctor` on pipelines without a bucket: the worker is tried for real, and what a run would lack is named.

use super::support::Space;
use super::support::paper::Paper;

#[test]
fn libtorch_is_tried_by_a_computation() {
    let paper = Paper::new();
    let shown = paper.pipe("doctor", "tiny", &[]).exits(0);
    let shown = shown.shows("  ok machine: pipe ").shows("  ok libtorch 2.11.0 on ");
    shown.shows("  ok disk: about ").shows("nothing keeps a run from its ");
    assert!(!paper.space.path("results").exists() && !paper.space.path("cache").join("records").exists());
    let mut broken = paper.command("doctor", "tiny", &[]);
    broken.env("PIPE_WORKER", "/nowhere/pipe-torch");
    crate::support::Shown::of(&mut broken).exits(3).shows(" bad ").shows("there is no `/nowhere/pipe-torch`");
}

#[test]
fn a_file_that_is_not_there_is_named_before_anything_runs() {
    let space = Space::with(
        "pipe: 1\npipeline: x\nstages:\n  table: { uses: file, in: { file: table.csv } }\nresults:\n  t.csv: $table.file\n",
    );
    space.pipe(["doctor", "pipeline.yaml"]).exits(2).shows(" bad table: ").shows("table.csv` does not exist");
}
