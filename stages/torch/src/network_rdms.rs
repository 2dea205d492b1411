//! `net/rdms`: dissimilarity matrices of the activations of layers, which are never kept.
//!
//! Decides that the sums of a layer are complete before those of the next one begin, so that memory does not grow with layers, and that
//! its matrices are written then, permuted ones included, so that it does not grow with them either. Independent of which matrices there
//! are ([`crate::layer_rdms`]).

use std::collections::BTreeMap;
use std::ops::Range;

use pipe_contract::{Context, Ended, Failure, IMPORTANT, Kind, StageKind, Task};
use pipe_stages::formats::matrix::MatrixAxis;
use pipe_stages::formats::npy_file::Float;
use pipe_stages::formats::rdm_set::{RdmAbout, RdmWriter};
use pipe_stages::net::image_sets::{Combination, EntryPattern, ImageSet, ImageSets};
use pipe_stages::net::kernel_sets::{KernelNetwork, kernel_notes, kernel_sets};
use pipe_stages::net::layer_book::{LayerBook, ORIGINAL_RGB};
use pipe_stages::net::network_kinds::{self, ActivationType, LayerRuns, NetworkCompat, PatternDistance, RdmParameters};
use pipe_stages::numeric::dissimilarity::{Dissimilarities, Dissimilarity, PatternSums, reordered};
use pipe_stages::numeric::linear_algebra::{MatrixView, Number};
use pipe_stages::numeric::thread_pool::in_pool;

use crate::activation_passes::ActivationUse;
use crate::layer_rdms::{LayerRdm, LayerRdms, RdmNaming, RdmOptions};
use crate::network_run::{ImageLayer, NetworkRun};

/// The kind.
pub struct NetworkRdms;

impl StageKind for NetworkRdms {
    fn kind(&self) -> Kind {
        network_kinds::rdms()
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let params: RdmParameters = task.parameters()?;
        let run = NetworkRun::open(task, &params.forward, ImageLayer::Always)?;
        let combinations = params.combine.iter().map(Combination::parse).collect::<Result<Vec<_>, _>>()?;
        let sets = ImageSets::new(run.stimuli.variables(), &params.entries, &params.sets, &combinations)?;
        let network = KernelNetwork { name: run.name(), architecture: run.architecture().name };
        let kernels = kernel_sets(&params.kernel_sets, network, &LayerBook::of(run.architecture()))?;
        let of_kernels = kernel_notes(&params.kernel_sets, network, &kernels, &run.layers);
        let options = RdmOptions {
            dissimilarities: distinct(&params.dissimilarities, "dissimilarities")?
                .into_iter()
                .map(dissimilarity)
                .collect(),
            activations: distinct(&params.activations, "activations")?,
            kernel_sets: kernels,
            permutations: params.permutations as usize,
            seed: params.permutation_seed,
            swap_rgb: params.forward.compat.contains(&NetworkCompat::SwapRgb),
        };
        let swapped = options.swap_rgb.then(|| {
            format!("{IMPORTANT}the types of activation of `{ORIGINAL_RGB}` have each other's names (`swap_rgb`)")
        });
        let rdms = LayerRdms::new(&run.layers, &sets, &options)?;
        let index = rdms.index(RdmNaming {
            network: run.name(),
            with_steps: params.forward.calls == LayerRuns::All,
            simulated: task.simulated,
        })?;
        let about = RdmAbout::of("stimuli").then(format!("dissimilarities of activations of `{}`", run.name()));
        let writer = RdmWriter::create(task.output("rdms")?, &index, &sets.entries, &about)?;
        let mut user = RdmUse::new(&rdms, run.images.of_stimuli(), &writer);
        let passes = run.compute(&mut user, context)?;
        let undefined = user.finished(&index)?;
        Ok(run.ended(swapped.into_iter().chain(of_kernels).chain(undefined).chain([passes])))
    }
}

/// The arithmetic of a word.
fn dissimilarity(of: PatternDistance) -> Dissimilarity {
    match of {
        PatternDistance::Correlation => Dissimilarity::Correlation,
        PatternDistance::Euclidean => Dissimilarity::Euclidean,
        PatternDistance::SquaredEuclidean => Dissimilarity::SquaredEuclidean,
        PatternDistance::Cosine => Dissimilarity::Cosine,
    }
}

/// A list without repetitions, not empty.
pub(crate) fn distinct<T: Copy + PartialEq>(list: &[T], parameter: &str) -> Result<Vec<T>, Failure> {
    let mut found: Vec<T> = Vec::new();
    list.iter().for_each(|item| {
        if !found.contains(item) {
            found.push(*item);
        }
    });
    if found.is_empty() {
        return Err(Failure::input(format!("`{parameter}` is an empty list, expected at least one item")));
    }
    Ok(found)
}

/// Sums of one layer: for each set and kernel set; none of a type of activation that is not used.
#[derive(Debug)]
struct LayerSums {
    units: Vec<PatternSums>,
    means: Vec<PatternSums>,
}

/// Turns activations into dissimilarities.
#[derive(Debug)]
pub struct RdmUse<'a> {
    rdms: &'a LayerRdms<'a>,
    /// The image of each stimulus.
    of_stimuli: &'a [usize],
    writer: &'a RdmWriter,
    sums: BTreeMap<usize, LayerSums>,
    /// By the place of a matrix: its diagonal, and whether some of its numbers are NaN.
    written: BTreeMap<usize, WrittenRdm>,
}

/// What is kept of a matrix that was written.
#[derive(Clone, Debug)]
struct WrittenRdm {
    diagonal: Vec<f64>,
    is_undefined: bool,
}

impl<'a> RdmUse<'a> {
    /// For some matrices; `of_stimuli` is the place of each stimulus among the different images.
    pub fn new(rdms: &'a LayerRdms<'a>, of_stimuli: &'a [usize], writer: &'a RdmWriter) -> Self {
        Self { rdms, of_stimuli, writer, sums: BTreeMap::new(), written: BTreeMap::new() }
    }

    fn uses(&self, activation: ActivationType) -> bool {
        let options = self.rdms.options;
        options.swap_rgb || options.activations.contains(&activation)
    }

    fn entries(&self) -> usize {
        self.rdms.sets.entries.len()
    }

    fn sums_of(&mut self, layer: usize) -> &mut LayerSums {
        let count = self.rdms.sets.sets.len() * self.rdms.options.kernel_sets.len();
        let (entries, units, means) = (self.entries(), self.uses_units(), self.uses_means());
        self.sums.entry(layer).or_insert_with(|| {
            let new = |is_used: bool| if is_used { vec![PatternSums::new(entries); count] } else { Vec::new() };
            LayerSums { units: new(units), means: new(means) }
        })
    }

    /// Adds numbers of all images, `width` each, to the sums that `which` picks; those from `first` on of the layer, of which a
    /// feature has `of_feature`.
    fn add<T: Number + Float>(
        &mut self,
        layer: usize,
        values: &[T],
        (first, width, of_feature): (usize, usize, usize),
        which: impl Fn(&mut LayerSums) -> &mut Vec<PatternSums>,
    ) {
        let entries = self.entries();
        let (rdms, of_stimuli) = (self.rdms, self.of_stimuli);
        let (sets, kernel_sets) = (&rdms.sets.sets, &rdms.options.kernel_sets);
        let name = &rdms.layers[layer].name;
        let chosen: Vec<Option<Vec<usize>>> = kernel_sets
            .iter()
            .map(|set| set.of(name).map(|kernels| columns_of(kernels, first, width, of_feature)))
            .collect();
        let sums = which(self.sums_of(layer));
        in_pool(|| {
            for (set, sums) in sets.iter().zip(sums.chunks_exact_mut(kernel_sets.len())) {
                let patterns = patterns(set, of_stimuli, values, width);
                let patterns = patterns.as_deref().unwrap_or(values);
                for (sums, columns) in sums.iter_mut().zip(&chosen) {
                    match columns {
                        None => sums.add(MatrixView::new(patterns, width, entries).transposed()),
                        Some(columns) => {
                            let of_row = |row: &[T]| columns.iter().map(|column| row[*column]).collect::<Vec<_>>();
                            let part: Vec<T> = patterns.chunks_exact(width).flat_map(of_row).collect();
                            sums.add(MatrixView::new(&part, columns.len(), entries).transposed());
                        }
                    }
                }
            }
        });
    }

    /// Writes a matrix in all of its orders.
    fn write(&mut self, rdm: LayerRdm, found: Dissimilarities) -> Result<(), Failure> {
        let (place, entries) = (self.rdms.place(rdm), self.entries());
        let orders = self.rdms.orders();
        self.writer.triangle(place * orders.len(), &found.triangle)?;
        for (number, order) in orders.iter().enumerate().skip(1) {
            self.writer.triangle(place * orders.len() + number, &reordered(&found.triangle, entries, order))?;
        }
        let is_undefined = found.triangle.iter().any(|value| value.is_nan());
        self.written.insert(place, WrittenRdm { diagonal: found.diagonal, is_undefined });
        Ok(())
    }

    /// Completes what is written. Returns notes on dissimilarities that are undefined.
    ///
    /// # Errors
    /// Environment: a file cannot be written. Internal: activations of a layer did not come.
    pub fn finished(self, index: &MatrixAxis) -> Result<Vec<String>, Failure> {
        if self.written.len() != self.rdms.count() {
            let (written, all) = (self.written.len(), self.rdms.count());
            return Err(Failure::internal(format!("{written} of {all} RDMs were computed")));
        }
        let orders = self.rdms.orders();
        if self.written.values().any(|rdm| rdm.diagonal.iter().any(|value| *value != 0.0)) {
            let permuted = |rdm: &WrittenRdm, order: &[usize]| -> Vec<f64> {
                order.iter().map(|entry| rdm.diagonal[*entry]).collect()
            };
            let diagonals = self.written.values().flat_map(|rdm| orders.iter().map(move |order| permuted(rdm, order)));
            self.writer.diagonals(diagonals)?;
        }
        let id = |place: usize| index.ids()[place * orders.len()].as_str();
        Ok(undefined(&self.written, id))
    }
}

/// What to say of dissimilarities that are undefined; nothing if all are defined.
fn undefined<'a>(written: &BTreeMap<usize, WrittenRdm>, id: impl Fn(usize) -> &'a str) -> Vec<String> {
    let is_not_finite = |rdm: &WrittenRdm| rdm.diagonal.iter().any(|value| value.is_nan());
    let all = written.len();
    let sentence = |places: Vec<usize>, what: &str, why: &str| {
        let first = id(*places.first()?);
        Some(format!("{IMPORTANT}{what} in {} of {all} RDMs, the first of which is `{first}`; {why}", places.len()))
    };
    let of = |is_one: &dyn Fn(&WrittenRdm) -> bool| -> Vec<usize> {
        written.iter().filter(|(_, rdm)| is_one(rdm)).map(|(place, _)| *place).collect()
    };
    let constant = sentence(
        of(&|rdm| rdm.is_undefined && !is_not_finite(rdm)),
        "dissimilarities are undefined",
        "they are NaN, because an image's activations are all the same (`correlation`) or all 0 (`cosine`)",
    );
    let overflown = sentence(
        of(&is_not_finite),
        "activations are not finite numbers",
        "what they are compared with is NaN; look at the weights and at `std` in `network.json`",
    );
    constant.into_iter().chain(overflown).collect()
}

impl ActivationUse for RdmUse<'_> {
    fn uses_units(&self) -> bool {
        self.uses(ActivationType::UnitLevel)
    }

    fn uses_means(&self) -> bool {
        self.uses(ActivationType::FeatureMeans)
    }

    fn units(&mut self, layer: usize, units: Range<usize>, values: &[f32]) -> Result<(), Failure> {
        let of_feature = self.rdms.layers[layer].units_of_feature();
        self.add(layer, values, (units.start, units.len(), of_feature), |sums| &mut sums.units);
        Ok(())
    }

    fn means(&mut self, layer: usize, values: &[f64]) -> Result<(), Failure> {
        let features = self.rdms.layers[layer].features();
        self.add(layer, values, (0, features, 1), |sums| &mut sums.means);
        Ok(())
    }

    fn finish(&mut self, layer: usize) -> Result<(), Failure> {
        let rdms = self.rdms;
        let Some(LayerSums { mut units, mut means }) = self.sums.remove(&layer) else {
            return Err(Failure::internal(format!("no activations of `{}` came", rdms.layers[layer].name)));
        };
        let kernel_sets = rdms.options.kernel_sets.len();
        for (activation, of) in rdms.options.activations.iter().enumerate() {
            let sums = if rdms.is_of_units(layer, *of) { &mut units } else { &mut means };
            for (at, sums) in sums.iter_mut().enumerate() {
                let (set, kernel_set) = (at / kernel_sets, at % kernel_sets);
                for (dissimilarity, of) in rdms.options.dissimilarities.iter().enumerate() {
                    let found = sums.dissimilarities(*of);
                    self.write(LayerRdm { set, layer, dissimilarity, activation, kernel_set }, found)?;
                }
            }
        }
        Ok(())
    }
}

/// The patterns of a set's entries, `width` numbers each; none where they are those of the images as they come.
pub(crate) fn patterns<T: Float>(set: &ImageSet, of_stimuli: &[usize], values: &[T], width: usize) -> Option<Vec<T>> {
    let image = |stimulus: usize| of_stimuli[stimulus];
    let as_they_come = set.patterns.len() * width == values.len()
        && set.patterns.iter().enumerate().all(|(at, pattern)| match pattern {
            EntryPattern::Stimulus(stimulus) => image(*stimulus) == at,
            EntryPattern::Sum(_) => false,
        });
    if as_they_come {
        return None;
    }
    let row = |stimulus: usize| &values[image(stimulus) * width..(image(stimulus) + 1) * width];
    let mut found = Vec::with_capacity(set.patterns.len() * width);
    for pattern in &set.patterns {
        match pattern {
            EntryPattern::Stimulus(stimulus) => found.extend_from_slice(row(*stimulus)),
            EntryPattern::Sum(parts) => found.extend((0..width).map(|at| {
                T::of(parts.iter().map(|(stimulus, weight)| row(*stimulus)[at].wide() * weight).sum::<f64>())
            })),
        }
    }
    Some(found)
}

/// Which of `width` units from `first` on belong to these kernels, of which each has `of_feature` units.
fn columns_of(kernels: &[usize], first: usize, width: usize, of_feature: usize) -> Vec<usize> {
    (0..width).filter(|at| kernels.binary_search(&((first + at) / of_feature)).is_ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_patterns_and_numbers_that_are_not_finite_have_notes_of_their_own() {
        let rdm = |diagonal: f64, is_undefined| WrittenRdm { diagonal: vec![0.0, diagonal], is_undefined };
        let notes = |rdms: Vec<WrittenRdm>| {
            let ids = ["a", "b", "c"];
            undefined(&rdms.into_iter().enumerate().collect(), |place| ids[place])
        };
        assert!(notes(vec![rdm(0.0, false)]).is_empty());
        let found = notes(vec![rdm(0.0, false), rdm(0.0, true), rdm(f64::NAN, true)]);
        assert!(found[0].contains("undefined in 1 of 3 RDMs, the first of which is `b`"), "{found:?}");
        assert!(found[1].contains("not finite numbers in 1 of 3 RDMs, the first of which is `c`"), "{found:?}");
    }

    #[test]
    fn kernels_are_found_in_any_block() {
        // Units 0 to 3 are of kernel 0, 4 to 7 of kernel 1, and so on.
        assert_eq!(columns_of(&[0, 2], 0, 12, 4), [0, 1, 2, 3, 8, 9, 10, 11]);
        assert_eq!(columns_of(&[0, 2], 6, 4, 4), [2, 3]);
        assert!(columns_of(&[1], 8, 4, 4).is_empty());
    }

    #[test]
    fn entries_take_the_patterns_of_their_images() {
        let set = |patterns: Vec<EntryPattern>| ImageSet { labels: Vec::new(), patterns };
        let stimuli = || vec![EntryPattern::Stimulus(0), EntryPattern::Stimulus(1)];
        let values = [1.0_f32, 2.0, 5.0, 6.0];
        assert_eq!(patterns(&set(stimuli()), &[0, 1], &values, 2), None);
        assert_eq!(patterns(&set(stimuli()), &[1, 1], &values, 2).unwrap(), [5.0, 6.0, 5.0, 6.0]);
        let sum = EntryPattern::Sum(vec![(0, 0.5), (1, 2.0)]);
        let found = patterns(&set([stimuli(), vec![sum]].concat()), &[0, 1], &values, 2).unwrap();
        assert_eq!(found, [1.0, 2.0, 5.0, 6.0, 10.5, 13.0]);
    }
}
