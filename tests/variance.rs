//! Encoding models and variance partitioning, from simulated responses to figures, on the vertices of fsaverage5.

use fs_err as fs;

use crate::support::{Space, workspace};

#[test]
fn parts_of_simulated_responses_are_found_again() {
    let space = Space::new();
    let shipped = workspace().join("pipelines/variance.yaml");
    space.write("variance.yaml", fs::read(&shipped).expect("a shipped file can be read"));
    let small = ["--set", "permutations=19", "--set", "bootstrap=20", "--set", "height=128"];
    space.pipe(["run", "variance.yaml", "--profile", "tiny"].into_iter().chain(small)).exits(0);
    let run = space.pipe(["run", "variance.yaml", "--profile", "tiny"].into_iter().chain(small));
    run.exits(0).shows("ran 0, hits 28");
    let results = space.path("results/variance");
    let folders: Vec<_> = fs::read_dir(&results).expect("results").flatten().map(|entry| entry.path()).collect();
    let [folder] = &folders[..] else { panic!("one folder of results, but there are {folders:?}") };
    let recovery = fs::read_to_string(folder.join("recovery.csv")).expect("a table");
    let all = recovery.lines().find(|line| line.starts_with("all,")).expect("a row of all parts");
    let rmse: f64 = all.split(',').nth(4).expect("a column").parse().expect("a number");
    // R2 of 0.15 to 0.35 on 200 stimuli has a standard error of 0.05, by sqrt(4 R2 (1 - R2)^2 / n).
    assert!(rmse < 0.05, "{recovery}");
    let correlation: f64 = all.split(',').nth(5).expect("a column").parse().expect("a number");
    assert!(correlation > 0.8, "{recovery}");
    for figure in ["parts", "joint", "penalties", "pairs", "flatmaps", "best"] {
        for end in ["svg", "pdf", "png"] {
            assert!(folder.join(format!("figures/{figure}.{end}")).is_file(), "{figure}.{end}");
        }
    }
}
