//! `pipe init` gives a user without a checkout the pipelines that ship.

use crate::support::Space;

#[test]
fn a_shipped_pipeline_is_written_and_runs() {
    let space = Space::new();
    let listed = space.pipe(["init"]).exits(0);
    for name in ["hello", "benson2025"] {
        assert!(listed.stdout.contains(name), "{}", listed.stdout);
    }
    space.pipe(["init", "hello"]).exits(0).shows("pipe run hello.yaml");
    space.pipe(["run", "hello.yaml"]).exits(0);
    assert_eq!(space.read("results/hello/letters.txt").trim(), "48");
}

#[test]
fn a_shipped_pipeline_comes_with_the_files_it_reads() {
    let space = Space::new();
    space.pipe(["init", "benson2025"]).exits(0).shows("hcp_subjects.txt");
    space.pipe(["plan", "benson2025.yaml", "--all-profiles"]).exits(0);
    // They share the list of subjects, which is there already.
    space.pipe(["init", "gridsearch"]).exits(0);
    space.pipe(["plan", "gridsearch.yaml", "--all-profiles"]).exits(0).shows("full: ");
    space.pipe(["init", "gridsearch"]).exits(0);
}

#[test]
fn nothing_is_overwritten_and_nothing_half_written() {
    let space = Space::new();
    space.write("hcp_subjects.txt", "mine\n");
    space.pipe(["init", "benson2025"]).exits(2).shows("`hcp_subjects.txt` exists and is not overwritten");
    assert!(!space.path("benson2025.yaml").exists());
    assert_eq!(space.read("hcp_subjects.txt"), "mine\n");
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    Space::new().pipe(["init", "benson"]).exits(2).shows("benson2025");
}
