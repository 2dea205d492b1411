//! Pipelines of one project with one name: both files are named with the line of their names, and only a file that could run
//! keeps another one from its work.

use crate::support::Space;

const GOOD: &str = "pipe: 1\npipeline: study\nstages:\n  a: { run: 'echo 1 > \"$OUT_Y\"', out: { y: y.txt } }\nresults: { y.txt: $a.y }\n";

#[test]
fn two_pipelines_of_one_name_are_refused_with_the_line_of_each() {
    let space = Space::with(GOOD);
    space.write("copy.yaml", format!("# a copy\n{GOOD}"));
    space
        .pipe(["run", "pipeline.yaml"])
        .exits(2)
        .shows("are both called `study`")
        .shows("pipeline.yaml:2:11")
        .shows("copy.yaml:3:11")
        .shows("the other one");
    space.edit("copy.yaml", "pipeline: study", "pipeline: other");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 1");
}

#[test]
fn a_broken_neighbour_does_not_keep_a_good_file_from_its_work() {
    let space = Space::with(GOOD);
    space.write("open.yaml", GOOD.replace("results: {", "results: [ {"));
    space.write("unknown.yaml", GOOD.replace("$a.y", "$b.y"));
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 1");
    space.pipe(["run", "open.yaml"]).exits(2).hides("both called");
    space.pipe(["run", "unknown.yaml"]).exits(2).shows("unknown stage `b`").hides("both called");
    space.edit("unknown.yaml", "$b.y", "$a.y");
    space.pipe(["run", "pipeline.yaml"]).exits(2).shows("unknown.yaml:2:11");
}
