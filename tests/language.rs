//! What a pipeline file says reaches the stages as it is written.

use crate::support::Space;

/// `with:` of a command: no number is spelled anew on its way to the body, and another spelling is another key.
#[test]
fn parameters_reach_a_body_as_they_are_written() {
    let space = Space::with(
        "pipe: 1\npipeline: p\nparams: { v: 1.10 }\nstages:\n  a:\n    run: 'printf \"%s|\" \"$PARAM_V\" \"$PARAM_L\" \"$PARAM_M\" \"$PARAM_S\" > \"$OUT_Y\"'\n    \
         with: { v: $params.v, l: [1.10, 0x1F], m: { b: 1.10, a: [1e3] }, s: 0x1F }\n    out: { y: y.txt }\nresults: { y.txt: $a.y }\n",
    );
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    let shown = space.read("results/p/y.txt");
    assert_eq!(shown, "1.10|1.10\n0x1F|{\"a\":[1e3],\"b\":1.10}|0x1F|");
    space.edit("pipeline.yaml", "v: 1.10 }\nstages", "v: 1.1 }\nstages");
    space.pipe(["run", "pipeline.yaml"]).exits(0).shows("ran 1");
    assert!(space.read("results/p/y.txt").starts_with("1.1|"));
    space.pipe(["run", "pipeline.yaml", "--set", "v=1.100"]).exits(0).shows("ran 1");
}
