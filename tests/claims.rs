//! Claims: one cell of a table against a number.

use crate::support::Space;

#[test]
fn a_claim_that_cannot_be_checked_names_the_stage_and_the_port() {
    let space = Space::with(
        "pipe: 1\npipeline: t\nstages:\n  a: { each: { sid: [s1, s2] }, run: \"printf 'x,v\\n1,2\\n' > $OUT_TABLE\", out: { table: t.csv } }\n\
         claims:\n  - { text: the column, cell: { table: $a(sid=s2).table, where: { x: 1 }, column: w }, equals: 1 }\n  \
         - { text: the row, cell: { table: $a(sid=s1).table, where: { x: 7 }, column: v }, equals: 1 }\n  \
         - { text: the value, cell: { table: $a(sid=s1).table, where: { x: 1 }, column: v }, equals: 2 }\n",
    );
    let run = space.pipe(["run", "pipeline.yaml", "--plain"]).exits(1);
    let digests = run.text().lines().any(|line| line.contains("claim") && line.contains("blobs/"));
    assert!(!digests, "{}", run.text());
    run.shows("`a(sid=s2).table`").shows("`a(sid=s1).table`").shows("claim holds: the value");
}
