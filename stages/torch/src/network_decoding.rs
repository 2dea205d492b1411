//! `net/decode`: which values of two variables of the stimuli a linear support vector machine decodes from each layer.
//!
//! Decides that machines are fitted on products of patterns, which are summed while activations come, so that a layer of any size takes
//! the memory of a matrix of images by images; the penalty is a factor on the products, which is the same machine. Independent of how
//! machines are fitted (`numeric::linear_svm`).

use std::collections::BTreeMap;
use std::ops::Range;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};
use pipe_stages::formats::data_table;
use pipe_stages::net::crossing::Crossing;
use pipe_stages::net::image_sets::{EntryPattern, ImageSet, ImageSets};
use pipe_stages::net::network_kinds::{self, ActivationType, DECODING_COLUMNS, DecodingParameters, LayerRuns};
use pipe_stages::net::used_layers::UsedLayer;
use pipe_stages::numeric::linear_algebra::{MatrixView, Number, gram};
use pipe_stages::numeric::linear_svm::{DecodedPair, decode_pairs};

use crate::activation_passes::ActivationUse;
use crate::layer_table_rows::{LayerRows, check_grouping};
use crate::network_run::{ImageLayer, NetworkRun};

/// The kind.
pub struct NetworkDecoding;

impl StageKind for NetworkDecoding {
    fn kind(&self) -> Kind {
        network_kinds::decode()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let params: DecodingParameters = task.parameters()?;
        check_grouping(&params.sets, DECODING_COLUMNS)?;
        let run = NetworkRun::open(task, &params.forward, ImageLayer::WhereNamed)?;
        let sets = ImageSets::new(run.stimuli.variables(), &params.variables, &params.sets, &[])?;
        let crossing = Crossing::new(&sets.entries, &params.variables, "variables")?;
        let mut user = DecodingUse {
            layers: &run.layers,
            sets: &sets,
            crossing: &crossing,
            of_stimuli: run.images.of_stimuli(),
            images: run.images.len(),
            of: params.activation,
            penalty: params.penalty,
            products: BTreeMap::new(),
            found: Vec::new(),
        };
        let passes = run.compute(&mut user, context)?;
        let found = user.ordered();
        let of_row = |row: &DecodedRow| (row.set, row.layer);
        let rows = LayerRows {
            network: run.name(),
            layers: &run.layers,
            sets: &sets,
            with_steps: params.forward.calls == LayerRuns::All,
            places: found.iter().map(of_row).collect(),
        };
        let other = |row: &DecodedRow| crossing.names[1 - row.variable].as_str();
        let value = |row: &DecodedRow, level: usize| crossing.levels[row.variable][level].as_str();
        let tested = |row: &DecodedRow| 2 * crossing.levels[1 - row.variable].len() as i64;
        let mut table = rows
            .table()
            .text("decoded", found.iter().map(|row| crossing.names[row.variable].as_str()))
            .text("across", found.iter().map(other))
            .text("first", found.iter().map(|row| value(row, row.pair.first)))
            .text("second", found.iter().map(|row| value(row, row.pair.second)))
            .numbers("accuracy", found.iter().map(|row| row.pair.accuracy))
            .integers("tested", found.iter().map(tested))
            .stamped(task.simulated)
            .build()?;
        data_table::write(task.output("table")?, &mut table)?;
        Ok(run.ended([passes]))
    }
}

/// How well two values are decoded from a layer.
#[derive(Clone, Copy, Debug)]
struct DecodedRow {
    set: usize,
    layer: usize,
    /// The first or the second variable.
    variable: usize,
    pair: DecodedPair,
}

/// Sums products of patterns, and fits machines when a layer is complete.
struct DecodingUse<'a> {
    layers: &'a [UsedLayer],
    sets: &'a ImageSets,
    crossing: &'a Crossing,
    of_stimuli: &'a [usize],
    images: usize,
    of: ActivationType,
    penalty: f64,
    /// Of all pairs of images, by layer.
    products: BTreeMap<usize, Vec<f64>>,
    found: Vec<DecodedRow>,
}

impl DecodingUse<'_> {
    /// Adds the products of some numbers of all images, `width` each.
    fn add<T: Number>(&mut self, layer: usize, width: usize, values: &[T]) {
        let images = self.images;
        let sums = self.products.entry(layer).or_insert_with(|| vec![0.0; images * images]);
        let products = gram(MatrixView::new(values, width, images));
        sums.iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
    }

    /// The products of a set's entries, times the penalty.
    fn of_set(&self, set: &ImageSet, products: &[f64]) -> Vec<f64> {
        let image = |pattern: &EntryPattern| match pattern {
            EntryPattern::Stimulus(stimulus) => Some(self.of_stimuli[*stimulus]),
            EntryPattern::Sum(_) => None,
        };
        let images: Vec<usize> = set.patterns.iter().filter_map(image).collect();
        let row = |first: &usize| {
            let start = first * self.images;
            images.iter().map(move |second| self.penalty * products[start + second])
        };
        images.iter().flat_map(row).collect()
    }

    /// What was found by set, layer, variable and pair.
    fn ordered(self) -> Vec<DecodedRow> {
        let mut found = self.found;
        found.sort_by_key(|row| (row.set, row.layer, row.variable, row.pair.first, row.pair.second));
        found
    }
}

impl ActivationUse for DecodingUse<'_> {
    fn uses_units(&self) -> bool {
        self.of == ActivationType::UnitLevel
    }

    fn uses_means(&self) -> bool {
        self.of == ActivationType::FeatureMeans
    }

    fn units(&mut self, layer: usize, units: Range<usize>, values: &[f32]) -> Result<(), Failure> {
        self.add(layer, units.len(), values);
        Ok(())
    }

    fn means(&mut self, layer: usize, values: &[f64]) -> Result<(), Failure> {
        self.add(layer, self.layers[layer].features(), values);
        Ok(())
    }

    fn finish(&mut self, layer: usize) -> Result<(), Failure> {
        let name = &self.layers[layer].name;
        let products = self.products.remove(&layer);
        let products = products.ok_or_else(|| Failure::internal(format!("no activations of `{name}` came")))?;
        for (set, images) in self.sets.sets.iter().enumerate() {
            let of_set = self.of_set(images, &products);
            for variable in 0..2 {
                let pairs = decode_pairs(&of_set, images.patterns.len(), &self.crossing.bins(variable))
                    .map_err(|failure| failure.at(format!("layer `{name}`")))?;
                self.found.extend(pairs.into_iter().map(|pair| DecodedRow { set, layer, variable, pair }));
            }
        }
        Ok(())
    }
}
