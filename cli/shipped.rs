//! The pipelines that ship inside the binary.

use clap::builder::PossibleValue;

/// A pipeline with everything it reads beside it.
pub struct Shipped {
    /// As `pipe init` takes it.
    pub name: &'static str,
    pub about: &'static str,
    /// Names and texts; the first is the pipeline file.
    pub files: &'static [(&'static str, &'static str)],
    /// What is worth a look first, as commands with what they do.
    pub next: &'static [(&'static str, &'static str)],
}

/// All of them.
pub const SHIPPED: [Shipped; 6] = [
    Shipped {
        name: "hello",
        about: "a first pipeline: two `run:` stages, one of them over an axis",
        files: &[("hello.yaml", include_str!("../pipelines/hello.yaml"))],
        next: &[("pipe run hello.yaml", "runs it and publishes into results/hello/")],
    },
    Shipped {
        name: "benson2025",
        about: "segment V1-V3 with convolutional networks (Benson, Song et al. 2025)",
        files: &[
            ("benson2025.yaml", include_str!("../pipelines/benson2025.yaml")),
            ("hcp_subjects.txt", include_str!("../pipelines/hcp_subjects.txt")),
            ("nyu_subjects.txt", include_str!("../pipelines/nyu_subjects.txt")),
        ],
        next: &[
            ("pipe plan benson2025.yaml", "shows what the demo on simulated subjects would do"),
            ("pipe run benson2025.yaml", "runs the demo; its networks need libtorch (`pip install torch==2.11.0`)"),
            ("pipe plan benson2025.yaml --profile hcp", "shows the paper's analysis of the Human Connectome data"),
        ],
    },
    Shipped {
        name: "apply",
        about: "label V1-V3 within 7 degrees on your own FreeSurfer subjects",
        files: &[("apply.yaml", include_str!("../pipelines/apply.yaml"))],
        next: &[
            ("pipe run apply.yaml", "runs the demo: fsaverage5 and two simulated subjects"),
            (
                "pipe run apply.yaml --profile published --set subjects_dir=/data/subjects --set 'subjects=[sub-01]'",
                "runs the published networks on your subjects",
            ),
        ],
    },
    Shipped {
        name: "gridsearch",
        about: "the search for hyperparameters of the same paper, from its logs or trained",
        files: &[
            ("gridsearch.yaml", include_str!("../pipelines/gridsearch.yaml")),
            ("hcp_subjects.txt", include_str!("../pipelines/hcp_subjects.txt")),
        ],
        next: &[
            (
                "pipe run gridsearch.yaml",
                "trains twelve cells on simulated subjects; needs libtorch (`pip install torch==2.11.0`)",
            ),
            ("pipe run gridsearch.yaml --profile published", "reads the authors' logs and draws figures S1 and S2"),
            ("pipe plan gridsearch.yaml --profile full", "shows what 1800 cells on the Human Connectome data are"),
        ],
    },
    Shipped {
        name: "variance",
        about: "which features explain which cortex: encoding models, variance partitioning, flat maps",
        files: &[("variance.yaml", include_str!("../pipelines/variance.yaml"))],
        next: &[
            (
                "pipe run variance.yaml",
                "runs the demo: simulated responses in the grey matter of pycortex's subject S1",
            ),
            (
                "pipe plan variance.yaml --profile lab",
                "shows the eighth lab of CogAI_Fall2025, on the Natural Scenes Dataset",
            ),
            (
                "pipe run variance.yaml --profile folder --set folder=nsd",
                "runs it from a folder; files that are not there are asked for with their addresses",
            ),
        ],
    },
    Shipped {
        name: "rsa",
        about: "what networks see alike: stimuli, layers, dissimilarity matrices of any order, models, cortex",
        files: &[("rsa.yaml", include_str!("../pipelines/rsa.yaml"))],
        next: &[
            (
                "pipe run rsa.yaml",
                "runs the demo on untrained networks; they need libtorch (`pip install torch==2.11.0`)",
            ),
            ("pipe run rsa.yaml --profile tiny", "runs eight images through the small network, in seconds"),
            ("pipe plan rsa.yaml --profile published", "shows the same with trained weights, fetched by address"),
        ],
    },
];

/// The names for the command line, with what each is.
pub fn names() -> impl Iterator<Item = PossibleValue> {
    SHIPPED.iter().map(|shipped| PossibleValue::new(shipped.name).help(shipped.about))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fs_err as fs;

    use super::*;

    #[test]
    fn every_shipped_pipeline_is_listed_with_all_files_beside_it() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut there: Vec<String> = fs::read_dir(root.join("pipelines"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with(".lock"))
            .collect();
        there.sort();
        let mut shipped: Vec<&str> = SHIPPED.iter().flat_map(|shipped| shipped.files).map(|(name, _)| *name).collect();
        shipped.sort_unstable();
        shipped.dedup();
        assert_eq!(shipped, there);
        for Shipped { name, files, .. } in SHIPPED {
            assert_eq!(files[0].0, format!("{name}.yaml"));
            assert!(files[0].1.contains(&format!("\npipeline: {name}\n")));
        }
    }
}
