//! Files that promise more than they hold, or hold something else than is meant: the stage that reads them fails with the file,
//! what was found and what was expected, and the run goes on.

use fs_err as fs;

use crate::support::{Space, workspace};

const PIPELINE: &str = r#"pipe: 1
pipeline: t
stages:
  labels: { uses: labels/import, in: { file: labels.hdf5 } }
  text: { run: "echo done > $OUT_T", out: { t: t.txt } }
results: { t.txt: $text.t }
"#;

/// The labels that h5py wrote for four vertices, with every length of 4 in a header replaced by another.
fn labels(length: u64) -> Vec<u8> {
    let file = fs::read(workspace().join("stages/tests/fixtures/formats/labels_earliest.hdf5")).expect("a fixture");
    let (found, other) = ([4_u64; 2], [length; 2]);
    let bytes = |lengths: [u64; 2]| lengths.map(u64::to_le_bytes).concat();
    let mut damaged = file.clone();
    for at in 0..file.len() - 16 {
        if file[at..at + 16] == bytes(found) {
            damaged[at..at + 16].copy_from_slice(&bytes(other));
        }
    }
    assert!(length == 4 || damaged != file);
    damaged
}

fn refused(file: &[u8], message: &str) {
    let space = Space::with(PIPELINE);
    space.write("labels.hdf5", file);
    space.pipe(["run", "pipeline.yaml", "--plain"]).exits(2).shows(message).shows("labels.hdf5");
    assert_eq!(space.read("results/t/t.txt").trim(), "done");
}

#[test]
fn a_dimension_that_the_file_cannot_hold_is_refused() {
    let space = Space::with(PIPELINE);
    space.write("labels.hdf5", labels(4));
    space.pipe(["run", "pipeline.yaml"]).exits(0);
    refused(&labels(1_500_000_000), "dataset `lh/visual_area` has shape [1500000000], expected at most");
    refused(&labels(u64::MAX), "dataset `lh/visual_area` has shape [18446744073709551615], expected at most");
    refused(&labels(5), "dataset `lh/visual_area` is damaged");
    refused(&labels(0), "dataset `lh/visual_area` has shape [0], expected at least one number");
}

#[test]
fn labels_of_another_form_are_refused() {
    let fixture =
        |name: &str| fs::read(workspace().join("stages/tests/fixtures/formats").join(name)).expect("a fixture");
    refused(
        &fixture("labels_null.hdf5"),
        "dataset `lh/visual_area` has an empty dataspace, expected at least one number",
    );
    refused(&fixture("labels_two_rows.hdf5"), "dataset `lh/visual_area` has shape [2, 4], expected a list, [number]");
    refused(
        &fixture("labels_lzf.hdf5"),
        "dataset `lh/visual_area` is packed with the filter LZF (32000), which is not read",
    );
}
