//! `net/anova`: which shares of the variance of a layer's units two variables of the stimuli explain.
//!
//! Decides that shares are computed for a block of units when the block comes, so that no activations are kept; of a layer its units'
//! shares are, until the layer is complete. Independent of the arithmetic (`numeric::unit_anova`).

use std::collections::BTreeMap;
use std::ops::Range;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task};
use pipe_stages::formats::data_table;
use pipe_stages::net::crossing::Crossing;
use pipe_stages::net::image_sets::{EntryPattern, ImageSets};
use pipe_stages::net::network_kinds::{self, ANOVA_COLUMNS, AnovaParameters, LayerRuns};
use pipe_stages::net::used_layers::UsedLayer;
use pipe_stages::numeric::unit_anova::{EtaSummary, UnitAnova};

use crate::activation_passes::ActivationUse;
use crate::layer_table_rows::{LayerRows, check_grouping};
use crate::network_run::{ImageLayer, MEGABYTE, NetworkRun};

/// The kind.
pub struct NetworkAnova;

impl StageKind for NetworkAnova {
    fn kind(&self) -> Kind {
        network_kinds::anova()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let params: AnovaParameters = task.parameters()?;
        check_grouping(&params.sets, ANOVA_COLUMNS)?;
        let run = NetworkRun::open(task, &params.forward, ImageLayer::WhereNamed)?;
        let sets = ImageSets::new(run.stimuli.variables(), &params.factors, &params.sets, &[])?;
        let crossing = Crossing::new(&sets.entries, &params.factors, "factors")?;
        check_shares(&run.layers, sets.sets.len(), params.forward.memory)?;
        let mut user = AnovaUse {
            layers: &run.layers,
            sets: &sets,
            crossing: &crossing,
            of_stimuli: run.images.of_stimuli(),
            shares: BTreeMap::new(),
            found: Vec::new(),
        };
        let passes = run.compute(&mut user, context)?;
        let found = user.ordered();
        let rows = LayerRows {
            network: run.name(),
            layers: &run.layers,
            sets: &sets,
            with_steps: params.forward.calls == LayerRuns::All,
            places: found.iter().map(|row| (row.set, row.layer)).collect(),
        };
        let source = |row: &AnovaRow| crossing.names.get(row.source).map_or(INTERACTION, String::as_str);
        let there = |number: f64| (!number.is_nan()).then_some(number);
        let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let mut table = rows
            .table()
            .text("source", found.iter().map(source))
            .integers("units", found.iter().map(|row| whole(row.units)))
            .integers("constant", found.iter().map(|row| whole(row.constant)))
            .optional_numbers("eta2_mean", found.iter().map(|row| there(row.summary.mean)))
            .optional_numbers("eta2_stdev", found.iter().map(|row| there(row.summary.std)))
            .optional_numbers("eta2_stdev_features", found.iter().map(|row| there(row.summary.std_of_kernel_means)))
            .stamped(task.simulated)
            .build()?;
        data_table::write(task.output("table")?, &mut table)?;
        Ok(run.ended([passes]))
    }
}

/// That the shares of all units of a layer, of each set, take no more than activations may.
fn check_shares(layers: &[UsedLayer], sets: usize, megabytes: u64) -> Result<(), Failure> {
    let Some(largest) = layers.iter().max_by_key(|layer| layer.units()) else { return Ok(()) };
    let of_unit = (size_of::<UnitShares>() / size_of::<Vec<f64>>() * size_of::<f64>()) as u64;
    let bytes = of_unit.saturating_mul(largest.units() as u64).saturating_mul(sets as u64);
    if bytes <= megabytes.saturating_mul(MEGABYTE) {
        return Ok(());
    }
    Err(Failure::input(format!(
        "shares of variance of the {} units of `{}` in {sets} sets take {} MB, and `memory` is {megabytes}",
        largest.units(),
        largest.name,
        bytes.div_ceil(MEGABYTE)
    ))
    .hint("raise `memory`, of which this comes on top, name fewer `layers`, or group by fewer variables"))
}

/// What variance is of that no single variable explains.
const INTERACTION: &str = "interaction";

/// How much of the variance of a layer's units a source explains.
#[derive(Clone, Copy, Debug)]
struct AnovaRow {
    set: usize,
    layer: usize,
    /// The first or the second variable, or 2: their interaction.
    source: usize,
    units: usize,
    constant: usize,
    summary: EtaSummary,
}

/// Shares of variance by unit, of each source.
type UnitShares = [Vec<f64>; 3];

/// Computes shares of variance while activations come.
struct AnovaUse<'a> {
    layers: &'a [UsedLayer],
    sets: &'a ImageSets,
    crossing: &'a Crossing,
    of_stimuli: &'a [usize],
    /// By layer, for each set.
    shares: BTreeMap<usize, Vec<UnitShares>>,
    found: Vec<AnovaRow>,
}

impl AnovaUse<'_> {
    /// What was found by set, layer and source.
    fn ordered(self) -> Vec<AnovaRow> {
        let mut found = self.found;
        found.sort_by_key(|row| (row.set, row.layer, row.source));
        found
    }
}

impl ActivationUse for AnovaUse<'_> {
    fn uses_units(&self) -> bool {
        true
    }

    fn uses_means(&self) -> bool {
        false
    }

    fn units(&mut self, layer: usize, units: Range<usize>, values: &[f32]) -> Result<(), Failure> {
        let width = units.len();
        let levels = [0, 1].map(|factor: usize| self.crossing.levels[factor].len());
        let of_layer = self.shares.entry(layer).or_insert_with(|| vec![UnitShares::default(); self.sets.sets.len()]);
        for (set, shares) in self.sets.sets.iter().zip(of_layer) {
            let mut anova = UnitAnova::new(levels, width)?;
            for (pattern, cell) in set.patterns.iter().zip(&self.crossing.cells) {
                let EntryPattern::Stimulus(stimulus) = pattern else {
                    return Err(Failure::internal("an entry of an analysis of variance is not one stimulus"));
                };
                let image = self.of_stimuli[*stimulus];
                anova.add(*cell, &values[image * width..(image + 1) * width])?;
            }
            let found = anova.finish()?;
            let [first, second] = found.factors;
            for (shares, of_block) in shares.iter_mut().zip([first, second, found.interaction]) {
                shares.extend(of_block);
            }
        }
        Ok(())
    }

    fn means(&mut self, _: usize, _: &[f64]) -> Result<(), Failure> {
        Err(Failure::internal("means of features came that were not asked for"))
    }

    fn finish(&mut self, layer: usize) -> Result<(), Failure> {
        let used = &self.layers[layer];
        let of_layer = self.shares.remove(&layer);
        let of_layer = of_layer.ok_or_else(|| Failure::internal(format!("no activations of `{}` came", used.name)))?;
        for (set, sources) in of_layer.iter().enumerate() {
            for (source, shares) in sources.iter().enumerate() {
                let constant = shares.iter().filter(|share| share.is_nan()).count();
                let (units, summary) = (shares.len() - constant, EtaSummary::of(shares, used.features())?);
                self.found.push(AnovaRow { set, layer, source, units, constant, summary });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3,211,264 units take 24 bytes each in every set.
    #[test]
    fn shares_that_take_too_much_memory_are_refused() {
        let layer = UsedLayer { name: "conv1".to_owned(), rank: 1, call: 1, calls: 1, shape: vec![64, 224, 224] };
        assert!(check_shares(std::slice::from_ref(&layer), 25, 2_000).is_ok());
        let failure = check_shares(&[layer], 100, 2_000).unwrap_err();
        assert!(failure.message.contains("`conv1` in 100 sets take 7708 MB"), "{failure}");
    }
}
