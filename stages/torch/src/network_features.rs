//! `net/features`: activations of chosen layers as a matrix of stimuli by features.
//!
//! Decides the columns: the units of each layer in the order of [channels, height, width], or a mean for each feature; a layer is a feature
//! space of its own. Numbers have 32 bits, as in the network. Columns are written as they come, so that a matrix may be larger than memory.
//! Independent of what is fitted to them.

use std::ops::Range;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};
use pipe_stages::formats::data_table::DataTable;
use pipe_stages::formats::matrix::{MatrixAbout, MatrixAxis, MatrixWriter, SPACE};
use pipe_stages::formats::npy_file::{Float, FloatType};
use pipe_stages::net::network_kinds::{self, ActivationType, FeatureParameters, LayerRuns};
use pipe_stages::net::used_layers::UsedLayer;

use crate::activation_passes::ActivationUse;
use crate::network_run::{ImageLayer, NetworkRun};

/// The kind.
pub struct NetworkFeatures;

impl StageKind for NetworkFeatures {
    fn kind(&self) -> Kind {
        network_kinds::features()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let params: FeatureParameters = task.parameters()?;
        let run = NetworkRun::open(task, &params.forward, ImageLayer::WhereNamed)?;
        let of = params.activation;
        let with_steps = params.forward.calls == LayerRuns::All;
        check_columns(&run.layers, of)?;
        let columns = columns(run.name(), &run.layers, of, with_steps).stamped(task.simulated).build()?;
        let columns = MatrixAxis::new(columns)?;
        let about = MatrixAbout { rows: "stimuli".into(), columns: "features".into(), ..MatrixAbout::default() };
        let about = about.then(format!("activations of `{}`, {}", run.name(), of.word()));
        let writer = MatrixWriter::create(task.output("matrix")?, &run.stimuli.axis, &columns, &about, FloatType::F32)?;
        let mut user = FeatureUse { layers: &run.layers, of_stimuli: run.images.of_stimuli(), of, writer };
        let passes = run.compute(&mut user, context)?;
        Ok(run.ended([passes]))
    }
}

/// How many columns a layer has.
fn width(layer: &UsedLayer, of: ActivationType) -> usize {
    match of {
        ActivationType::UnitLevel => layer.units(),
        ActivationType::FeatureMeans => layer.features(),
    }
}

/// Columns that a matrix may have: each has a row in its table, with an id and other texts.
const MOST_COLUMNS: usize = 5_000_000;

/// Layers that an error names.
const MOST_NAMED: usize = 5;

/// That a matrix of these layers has not too many columns.
fn check_columns(layers: &[UsedLayer], of: ActivationType) -> Result<(), Failure> {
    let all = layers.iter().fold(0_usize, |sum, layer| sum.saturating_add(width(layer, of)));
    if all <= MOST_COLUMNS {
        return Ok(());
    }
    let mut largest: Vec<&UsedLayer> = layers.iter().collect();
    largest.sort_by_key(|layer| std::cmp::Reverse(width(layer, of)));
    let named: Vec<String> =
        largest.iter().take(MOST_NAMED).map(|layer| format!("`{}` {}", layer.name, width(layer, of))).collect();
    Err(Failure::input(format!(
        "{} layers have {all} columns, expected at most {MOST_COLUMNS}; the most have {}",
        layers.len(),
        named.join(", ")
    ))
    .hint("name fewer `layers`, or take means of features (`activation: feature_means`); `net/rdms` needs no matrix"))
}

/// The columns of all layers, one layer after another.
fn columns(network: &str, layers: &[UsedLayer], of: ActivationType, with_steps: bool) -> DataTable {
    let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let space = |layer: &UsedLayer| format!("{network}/{}", layer.label(with_steps));
    let each = || layers.iter().flat_map(|layer| (0..width(layer, of)).map(move |at| (layer, at)));
    // Of [features, rows, columns], the place of a number; of a mean the feature alone.
    let length = |layer: &UsedLayer, axis: usize| match of {
        ActivationType::UnitLevel => layer.shape.get(axis).copied().unwrap_or(1),
        ActivationType::FeatureMeans => 1,
    };
    let feature = |(layer, at): (&UsedLayer, usize)| whole(at / (length(layer, 1) * length(layer, 2)));
    let row = |(layer, at): (&UsedLayer, usize)| whole(at / length(layer, 2) % length(layer, 1));
    let column = |(layer, at): (&UsedLayer, usize)| whole(at % length(layer, 2));
    let mut table = DataTable::new()
        .text("id", each().map(|(layer, at)| format!("{}/{at}", space(layer))))
        .text(SPACE, each().map(|(layer, _)| space(layer)))
        .text("network", each().map(|_| network))
        .text("layer", each().map(|(layer, _)| layer.name.as_str()))
        .integers("rank", each().map(|(layer, _)| whole(layer.rank)))
        .integers("feature", each().map(feature));
    if of == ActivationType::UnitLevel {
        table = table.integers("row", each().map(row)).integers("column", each().map(column));
    }
    table
}

/// Writes activations as columns.
struct FeatureUse<'a> {
    layers: &'a [UsedLayer],
    of_stimuli: &'a [usize],
    of: ActivationType,
    writer: MatrixWriter,
}

impl FeatureUse<'_> {
    /// Writes numbers of all images, `width` each, as the columns of a layer from the `first` on.
    fn write<T: Float>(&self, layer: usize, first: usize, width: usize, values: &[T]) -> Result<(), Failure> {
        let before: usize = self.layers[..layer].iter().map(|layer| self::width(layer, self.of)).sum();
        let mut columns = Vec::with_capacity(width * self.of_stimuli.len());
        for column in 0..width {
            columns.extend(self.of_stimuli.iter().map(|image| values[image * width + column]));
        }
        self.writer.columns(before + first, &columns)
    }
}

impl ActivationUse for FeatureUse<'_> {
    fn uses_units(&self) -> bool {
        self.of == ActivationType::UnitLevel
    }

    fn uses_means(&self) -> bool {
        self.of == ActivationType::FeatureMeans
    }

    fn units(&mut self, layer: usize, units: Range<usize>, values: &[f32]) -> Result<(), Failure> {
        self.write(layer, units.start, units.len(), values)
    }

    fn means(&mut self, layer: usize, values: &[f64]) -> Result<(), Failure> {
        self.write(layer, 0, self.layers[layer].features(), values)
    }

    fn finish(&mut self, _: usize) -> Result<(), Failure> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_that_are_too_wide_are_refused_with_their_largest_layers() {
        let layer = |name: &str, shape: &[usize]| UsedLayer {
            name: name.to_owned(),
            rank: 1,
            call: 1,
            calls: 1,
            shape: shape.to_vec(),
        };
        let layers =
            [layer("conv1", &[64, 224, 224]), layer("conv2", &[64, 224, 112]), layer("conv3", &[64, 224, 224])];
        let failure = check_columns(&layers, ActivationType::UnitLevel).unwrap_err();
        // 64 x 224 x 224 are 3,211,264.
        let expected = "3 layers have 8028160 columns, expected at most 5000000; the most have `conv1` 3211264, `conv3` 3211264, `conv2` 1605632";
        assert_eq!(failure.message, expected);
        assert!(failure.hint.unwrap().contains("feature_means"));
        assert!(check_columns(&layers[..2], ActivationType::UnitLevel).is_ok());
        assert!(check_columns(&layers, ActivationType::FeatureMeans).is_ok());
    }
}
