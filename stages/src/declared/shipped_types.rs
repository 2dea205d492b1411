//! Every type of artifact that the kinds of this crate read or write. A kind names them in its ports; how two artifacts of a type
//! are compared and how one is previewed is here alone, so a new kind that writes an old type gets both for nothing.

use pipe_contract::{ArtifactType, Registry};

use super::file_formats::{CSV, FORMATS, GIFTI, JSON, MGZ, NIFTI, NPY, PARQUET, PNG, SAFETENSORS, TSV};
use crate::formats::data_table;

/// The file of a figure or picture that a preview shows.
const PICTURE: &str = "figure.png";

/// Adds all types, and the formats by which the outputs of commands are compared.
pub fn install(registry: &mut Registry) {
    all().into_iter().for_each(|artifact| registry.add_type(artifact));
    FORMATS.into_iter().for_each(|format| registry.add_format(format));
}

fn all() -> Vec<ArtifactType> {
    let file = ArtifactType::file;
    let folder = ArtifactType::folder;
    let table = |name, about| folder(name, about, &[&CSV, &PARQUET]).table(data_table::CSV);
    vec![
        file("file", "a file of any form", &[]),
        folder("files", "files of any form", &[]),
        folder("subject", "the files of one subject, as in a release of the Human Connectome Project", &[]),
        folder("hcp-tree", "a tree of subjects, as below `HCP_1200/`", &[]),
        folder("freesurfer-subjects", "FreeSurfer subjects, as in its SUBJECTS_DIR", &[]),
        folder("labels-raw", "raters' manual labels as published: HDF5, a folder a rater", &[]),
        folder("labels", "visual areas and rings of eccentricity, one label a native vertex", &[&MGZ]),
        file("prf-raw", "results of pRF analyses of all subjects: MATLAB v7.3", &[]),
        folder(
            "surface-labels",
            "labels on the surfaces of one subject for other programs, as FreeSurfer and GIFTI have them",
            &[&MGZ],
        ),
        folder("volume-labels", "labels in the voxels of one subject's cortex", &[&MGZ]),
        folder("bids", "a BIDS derivatives dataset", &[]),
        folder("prf", "pRF maps of one subject, one value a native vertex", &[&MGZ]),
        file("images", "what a network sees of one subject: channels of the flat map", &[&SAFETENSORS]),
        file("targets", "what a network is to answer: an image a label", &[&SAFETENSORS]),
        folder("matrix", "numbers with names of their rows and columns: responses, features", &[&NPY, &PARQUET, &JSON])
            .shows("about.json"),
        folder("stimuli", "pictures with a name each, and what is known of them", &[&PNG, &CSV, &PARQUET])
            .table(data_table::CSV),
        table("table", "a table of any content; where others are joined to it, by its column `id`"),
        table(
            "split/stimuli",
            "which stimuli models are fitted on, by which penalties are chosen, and on which they are scored",
        ),
        table("regions", "which voxels or vertices are in which region of interest, a row a region and voxel"),
        table("split", "which subjects train and which are held out"),
        table("families", "which subjects are of one family"),
        table("table/cohort", "which subjects are part of the study, a row a subject with manual labels"),
        table("table/scores", "scores of one subject, a row a pair of methods, hemisphere and label"),
        table("table/summary", "mean scores, a row a model, label and hemisphere"),
        table("table/regions", "size and thickness of labelled cortex, a row a subject, hemisphere and label"),
        table("table/epochs", "the course of trainings, a row an epoch of a model"),
        table("table/grid", "cells of a search for hyperparameters, a row a cell"),
        table("table/grid-best", "best cells of a search for hyperparameters"),
        table("table/encoding", "how well models predict responses, a row a model and response"),
        folder(
            "predictions",
            "observed and predicted responses to the stimuli that models are scored on",
            &[&NPY, &PARQUET],
        ),
        table("table/partition", "unique and shared parts of a gain, a row a part"),
        table("table/parts", "unique and shared variance of feature spaces, a row a response and part"),
        table("table/region-parts", "unique and shared variance of feature spaces, a row a region and part"),
        table("table/parts-identity", "parts by region and what they add up to, a row a region and quantity"),
        table("table/pairs", "pairs of feature spaces in the order of what they share, a row a region and pair"),
        table("table/joint", "the split of one joint model, a row a response and feature space"),
        table("table/bands", "the penalty of every feature space for every response"),
        table("table/significance", "permutation tests, a row a response and map"),
        table("table/by-region", "the spread of a column within regions, a row a group and region"),
        table("table/truth", "what simulated responses were made of, a row a unit and set of spaces"),
        table("table/recovery", "the error of estimates against the truth of a simulation, a row a set of spaces"),
        table("table/best", "how many responses each feature space is the best of, a row a region and space"),
        folder(
            "model",
            "a trained network: weights, options, plan and the course of its training",
            &[&SAFETENSORS, &TSV, &JSON],
        )
        .shows("options.json"),
        folder(
            "network",
            "a convolutional network: its architecture, the seed or the file of its weights, how images are prepared for it",
            &[&SAFETENSORS, &JSON],
        )
        .shows("network.json"),
        folder(
            "rdms",
            "representational dissimilarity matrices of the same entries, and what each is of",
            &[&NPY, &PARQUET, &JSON],
        )
        .shows("about.json"),
        file("rdm-frame", "RDMs as one data frame with a matrix in a cell: Parquet", &[&PARQUET]),
        table("table/subset", "entries that an RDM singles out, a row an entry in order"),
        table("table/subset-summary", "dissimilarities before and after entries were chosen"),
        table("table/dominance", "which of two variables dominates a geometry, two rows an RDM"),
        table("table/layers", "the layers of networks, a row a layer"),
        table("table/layout", "layouts of entries by multidimensional scaling, a row an RDM and entry"),
        table("table/rdm-comparison", "how alike models and the RDMs of subjects are, a row a group, measure and model"),
        table("table/rdm-differences", "how models differ in what they reach, a row a group, measure and pair of models"),
        table("table/rdm-similarities", "how alike two RDMs are, a row a model and RDM of the data"),
        table("table/rdm-weights", "the weights of models in a combination, a row a model"),
        table("table/rdm-parts", "unique and shared variance of models' RDMs, a row a part"),
        table("table/training", "the course of the training of a network, a row an iteration and part"),
        table("table/anova", "how much of each layer's variance two variables of the stimuli explain, a row a layer and source"),
        table("table/decoding", "how well pairs of values are decoded from a layer, a row a layer and pair"),
        folder(
            "cortex",
            "one subject's surfaces, flat and in space, curvature, transforms to volumes, outlines of regions",
            &[&JSON],
        )
        .shows("about.json"),
        folder("flat-mapping", "which voxels and vertices the pixels of a flattened cortex show", &[&NPY, &JSON])
            .shows("about.json"),
        folder("map", "a value a voxel or vertex of the cortex, and what the values are", &[&NIFTI, &GIFTI, &JSON])
            .shows("map.json"),
        folder("figure", "a figure in three formats, and a table of what it shows", &[&PNG, &CSV])
            .table(data_table::CSV)
            .shows(PICTURE),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> Registry {
        let mut registry = Registry::new();
        crate::install(&mut registry);
        registry
    }

    #[test]
    fn every_port_has_a_registered_type_of_its_form() {
        let registry = registry();
        for kind in registry.kinds() {
            for output in &kind.outputs {
                let artifact = registry.artifact_type(output.artifact);
                let artifact = artifact.unwrap_or_else(|| panic!("`{}` writes `{}`", kind.name, output.artifact));
                assert_eq!(artifact.form, output.form, "`{}` of `{}`", output.name, kind.name);
            }
            for name in kind.inputs.iter().flat_map(|input| &input.types) {
                assert!(registry.artifact_type(name).is_some(), "`{}` reads `{name}`", kind.name);
            }
        }
    }

    #[test]
    fn every_type_is_a_port_of_some_kind() {
        let registry = registry();
        let written = |name: &str| registry.kinds().flat_map(|kind| &kind.outputs).any(|port| port.artifact == name);
        for artifact in registry.artifact_types() {
            assert!(written(artifact.name), "no kind writes `{}`", artifact.name);
        }
    }

    #[test]
    fn every_table_of_an_output_says_what_its_columns_mean() {
        let registry = registry();
        for kind in registry.kinds() {
            for output in &kind.outputs {
                let table = registry.artifact_type(output.artifact).and_then(|artifact| artifact.table);
                let described = |file: &str| output.tables.iter().any(|tables| tables.files.contains(&file));
                if let Some(table) = table {
                    assert!(described(table), "columns of `{}` of `{}`", output.name, kind.name);
                }
            }
        }
    }
}
