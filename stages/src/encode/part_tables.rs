//! The tables of `encode/partition`: parts of every response, means and medians of them by region, and the split of the joint model.
//!
//! Decides their columns, which rows have no value, what is worth a note, and when a part counts as negative: below 0 by more than the
//! precision of the identity, [`ROUNDING`] of the largest part of the response. The unique part of a space that is given twice is 0, give or
//! take a rounding error, and not negative. Independent of how parts are computed.

use pipe_contract::{Column, Failure, IMPORTANT};
use polars::prelude::DataFrame;

use super::encoding_scores::Ceilings;
use super::model_lattice::ModelLattice;
use super::region_draws::RegionDraws;
use super::regions::ResponseRegion;
use crate::formats::data_table::{DataTable, STAMP};
use crate::numeric::counts::real;
use crate::numeric::statistics::quantile;
use crate::numeric::subset_lattice::{PartKind, Set, order};

/// Of the largest part of a response, what its parts may miss their sum by, and below which a part is a rounding error of 0.
pub(super) const ROUNDING: f64 = 1e-12;

/// The largest of some parts, whatever its sign; 0 if none is a number.
pub(super) fn largest(parts: &[f64]) -> f64 {
    parts.iter().fold(0.0, |largest, part| part.abs().max(largest))
}

/// The parts of all responses.
pub(super) struct ResponseParts {
    /// Parts of a response, the total included.
    pub width: usize,
    pub responses: usize,
    pub estimates: Vec<f64>,
    pub intervals: Vec<(f64, f64)>,
    /// By response, in how many resamples it has no parts; none without resamples.
    pub undefined: Vec<usize>,
    pub resamples: usize,
    /// None without resamples.
    pub region_draws: Option<RegionDraws>,
    /// By response, and in it by space, then the part of the mean.
    pub joint: Option<Vec<f64>>,
}

/// A number that is there.
fn some(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}

fn integer(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl ResponseParts {
    /// The estimate of a part, the one at `at` of [`decompose`](crate::numeric::subset_lattice::decompose).
    fn estimate(&self, response: usize, at: usize) -> Option<f64> {
        some(self.estimates[response * self.width + at - 1])
    }

    /// What a part of a response must be below to be negative.
    fn least_zero(&self, response: usize) -> f64 {
        -ROUNDING * largest(&self.estimates[response * self.width..(response + 1) * self.width])
    }

    /// A part of the split of the joint model: a space, or the mean after them.
    fn joint(&self, response: usize, at: usize, spaces: usize) -> Option<f64> {
        some(self.joint.as_ref()?[response * (spaces + 1) + at])
    }

    /// What is worth a note: constant responses, resamples that are left out, parts below 0.
    pub fn notes(&self, lattice: &ModelLattice) -> Vec<String> {
        let mut notes = Vec::new();
        let constant = (0..self.responses).filter(|response| self.estimate(*response, 1).is_none()).count();
        if constant > 0 {
            notes.push(format!(
                "{IMPORTANT}{constant} responses are constant over the test stimuli: they have no parts"
            ));
        }
        let undefined = || {
            let of_all = self.undefined.iter().enumerate().filter(|(at, _)| self.estimate(*at, 1).is_some());
            of_all.map(|(_, count)| *count).filter(|count| *count > 0)
        };
        if let Some(most) = undefined().max() {
            notes.push(format!(
                "{IMPORTANT}{} responses are constant in some resamples of the test stimuli, up to {most} of {}: these are left out \
                 of their intervals",
                undefined().count(),
                self.resamples
            ));
        }
        let parts = lattice.sets.parts();
        let counts: Vec<String> = parts
            .iter()
            .map(|(kind, set, at)| {
                let below = |response: &usize| {
                    self.estimate(*response, *at).is_some_and(|part| part < self.least_zero(*response))
                };
                let name = if *kind == PartKind::Total { "total".to_owned() } else { lattice.sets.joined(*set) };
                (name, (0..self.responses).filter(below).count())
            })
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        if !counts.is_empty() {
            let of = self.responses - constant;
            notes.push(format!("parts below 0, of {of} responses: {}", shortened(&counts)));
        }
        notes
    }

    /// The table of parts, with columns of the ceiling if there is one.
    pub fn parts_table(
        &self,
        ids: &[String],
        lattice: &ModelLattice,
        ceilings: Option<&Ceilings>,
        simulated: bool,
    ) -> Result<DataFrame, Failure> {
        let parts: Vec<(PartKind, Set, usize, String)> =
            lattice.sets.parts().into_iter().map(|(kind, set, at)| (kind, set, at, lattice.sets.joined(set))).collect();
        let parts = &parts;
        let rows = || (0..self.responses).flat_map(move |response| parts.iter().map(move |part| (response, part)));
        let interval = |response: usize, at: usize| self.intervals.get(response * self.width + at - 1).copied();
        let mut table = DataTable::of(PARTS)
            .text("id", rows().map(|(response, _)| ids[response].as_str()))
            .text("part", rows().map(|(_, (kind, ..))| kind.word()))
            .text("spaces", rows().map(|(_, (.., name))| name.as_str()))
            .integers("order", rows().map(|(_, (_, set, ..))| integer(order(*set))))
            .optional_numbers("estimate", rows().map(|(response, (_, _, at, _))| self.estimate(response, *at)))
            .optional_numbers("low", rows().map(|(response, (_, _, at, _))| some(interval(response, *at)?.0)))
            .optional_numbers("high", rows().map(|(response, (_, _, at, _))| some(interval(response, *at)?.1)));
        if let Some(ceilings) = ceilings {
            let share = |(response, (_, _, at, _)): (usize, &(PartKind, Set, usize, String))| {
                ceilings.share(response, self.estimate(response, *at))
            };
            table = table
                .optional_numbers("ceiling", rows().map(|(response, _)| ceilings.of(response)))
                .optional_numbers("of_ceiling", rows().map(share));
        }
        table.stamped(simulated).build()
    }

    /// The table of the split of the joint model; without contributions it has no rows.
    pub fn joint_table(&self, ids: &[String], lattice: &ModelLattice, simulated: bool) -> Result<DataFrame, Failure> {
        let spaces = lattice.sets.sources();
        let responses = if self.joint.is_some() { self.responses } else { 0 };
        let rows = || (0..responses).flat_map(move |response| (0..spaces.len() + 2).map(move |at| (response, at)));
        let estimate = |(response, at): (usize, usize)| match at {
            _ if at <= spaces.len() => self.joint(response, at, spaces.len()),
            _ => self.estimate(response, self.width),
        };
        let part = |at: usize| match at {
            _ if at < spaces.len() => "space",
            _ if at == spaces.len() => "mean",
            _ => "total",
        };
        DataTable::of(JOINT)
            .text("id", rows().map(|(response, _)| ids[response].as_str()))
            .text("part", rows().map(|(_, at)| part(at)))
            .text("spaces", rows().map(|(_, at)| spaces.get(at).map_or("", String::as_str)))
            .optional_numbers("estimate", rows().map(estimate))
            .stamped(simulated)
            .build()
    }

    /// The table of parts by region; `interval` is the level of its intervals.
    pub fn regions_table(
        &self,
        regions: &[ResponseRegion],
        lattice: &ModelLattice,
        ceilings: Option<&Ceilings>,
        interval: f64,
        simulated: bool,
    ) -> Result<DataFrame, Failure> {
        let spaces = lattice.sets.sources();
        let mut rows = Vec::new();
        for (number, region) in regions.iter().enumerate() {
            for (kind, set, at) in lattice.sets.parts() {
                let of = |response: usize| self.estimate(response, at);
                let name = lattice.sets.joined(set);
                let row = RegionRow::new(self, region, kind.word(), name, order(set), &of, ceilings);
                rows.push(match &self.region_draws {
                    Some(draws) => row.with_intervals(draws, number, at - 1, interval),
                    None => row,
                });
            }
            if self.joint.is_some() {
                for (at, space) in spaces.iter().enumerate() {
                    let of = |response: usize| self.joint(response, at, spaces.len());
                    rows.push(RegionRow::new(self, region, "joint", space.clone(), 1, &of, ceilings));
                }
            }
        }
        let level = |row: &RegionRow| row.intervals.map(|_| interval);
        let mean_interval = |row: &RegionRow| row.intervals.map(|[of_mean, _]| of_mean);
        let median_interval = |row: &RegionRow| row.intervals.map(|[_, of_median]| of_median);
        let mut table = DataTable::of(REGIONS)
            .text("region", rows.iter().map(|row| row.region.as_str()))
            .text("part", rows.iter().map(|row| row.part))
            .text("spaces", rows.iter().map(|row| row.spaces.as_str()))
            .integers("order", rows.iter().map(|row| integer(row.order)))
            .integers("n", rows.iter().map(|row| integer(row.values.len())))
            .integers("n_negative", rows.iter().map(|row| integer(row.negative)))
            .optional_numbers("min", rows.iter().map(|row| row.values.first().copied()))
            .optional_numbers("median", rows.iter().map(|row| some(quantile(&row.values, 0.5))))
            .optional_numbers("mean", rows.iter().map(|row| mean(&row.values)))
            .optional_numbers("max", rows.iter().map(|row| row.values.last().copied()))
            .optional_numbers("low", rows.iter().map(|row| some(mean_interval(row)?.0)))
            .optional_numbers("high", rows.iter().map(|row| some(mean_interval(row)?.1)))
            .optional_numbers("median_low", rows.iter().map(|row| some(median_interval(row)?.0)))
            .optional_numbers("median_high", rows.iter().map(|row| some(median_interval(row)?.1)))
            .optional_numbers("level", rows.iter().map(level));
        if ceilings.is_some() {
            table = table
                .integers("n_of_ceiling", rows.iter().map(|row| integer(row.shares.len())))
                .optional_numbers("mean_of_ceiling", rows.iter().map(|row| mean(&row.shares)));
        }
        table.stamped(simulated).build()
    }
}

/// A part in a region.
struct RegionRow {
    region: String,
    part: &'static str,
    spaces: String,
    order: usize,
    /// Of its members, ascending.
    values: Vec<f64>,
    /// How many of them are below 0 by more than rounding.
    negative: usize,
    /// Of its members whose ceiling is high enough.
    shares: Vec<f64>,
    /// Of the mean and of the median.
    intervals: Option<[(f64, f64); 2]>,
}

impl RegionRow {
    fn new(
        all: &ResponseParts,
        region: &ResponseRegion,
        part: &'static str,
        spaces: String,
        order: usize,
        of: &dyn Fn(usize) -> Option<f64>,
        ceilings: Option<&Ceilings>,
    ) -> Self {
        let members = || region.members.iter().copied();
        let mut values: Vec<f64> = members().filter_map(of).collect();
        values.sort_by(f64::total_cmp);
        let is_negative = |member: &usize| of(*member).is_some_and(|part| part < all.least_zero(*member));
        let negative = members().filter(is_negative).count();
        let shares = members().filter_map(|member| ceilings?.share(member, of(member))).collect();
        Self { region: region.name.clone(), part, spaces, order, values, negative, shares, intervals: None }
    }

    /// With the intervals of a part in the region that comes at `region`; as it is if no response has a value.
    fn with_intervals(mut self, draws: &RegionDraws, region: usize, part: usize, level: f64) -> Self {
        let median = quantile(&self.values, 0.5);
        self.intervals = mean(&self.values).map(|mean| draws.intervals(region, part, mean, median, level));
        self
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / real(values.len()))
}

/// A list that is not too long to be read.
fn shortened(words: &[String]) -> String {
    const MOST: usize = 8;
    let more = words.len().saturating_sub(MOST);
    let end = if more > 0 { format!(" and {more} more parts") } else { String::new() };
    format!("{}{end}", words[..words.len() - more].join(", "))
}

const R2: &str = "share of variance";

/// What a part is, in both tables.
const UNIQUE: (&str, &str) = ("unique", "lost when this space alone is taken away");
const SHARED: (&str, &str) =
    ("shared", "lost only when all of these spaces are taken away; below 0 where they help each other");
const TOTAL: (&str, &str) = ("total", "R2 of the model with all spaces");
const SPACES: Column = Column::new("spaces", "the feature spaces that the part belongs to, joined by +");
const ORDER: Column = Column::new("order", "how many spaces these are");

/// What is in the table of parts.
pub(super) const PARTS: &[Column] = &[
    Column::new("id", "the response: a voxel, vertex or neuron"),
    Column::new("part", "which part of R2").levels(&[UNIQUE, SHARED, TOTAL]),
    SPACES,
    ORDER,
    Column::measured(
        "estimate",
        R2,
        "the part: a sum and difference of R2; empty for a response that is constant on the test stimuli",
    ),
    Column::measured("low", R2, "lower end of the interval over resamples of test stimuli (basic bootstrap)"),
    Column::measured("high", R2, "upper end of the interval"),
    Column::measured("ceiling", R2, "the noise ceiling of the response; only where ceilings are given"),
    Column::measured(
        "of_ceiling",
        "share of the ceiling",
        "estimate / ceiling; empty where the ceiling is below the floor",
    ),
    STAMP,
];

/// What is in the table of regions.
pub(super) const REGIONS: &[Column] = &[
    Column::new("region", "the region; `all` has all responses"),
    Column::new("part", "which part of R2").levels(&[
        UNIQUE,
        SHARED,
        TOTAL,
        ("joint", "the share of this space in the model with all spaces, by the product measure"),
    ]),
    SPACES,
    ORDER,
    Column::new("n", "responses in the region that have parts"),
    Column::new(
        "n_negative",
        "of these, how many have a part below 0, by more than 1e-12 of the largest part of the response",
    ),
    Column::measured("min", R2, "the smallest part"),
    Column::measured("median", R2, "the median over responses"),
    Column::measured("mean", R2, "the mean over responses"),
    Column::measured("max", R2, "the largest part"),
    Column::measured(
        "low",
        R2,
        "lower end of the interval of the mean over resamples of test stimuli (basic bootstrap)",
    ),
    Column::measured("high", R2, "upper end of the interval of the mean"),
    Column::measured("median_low", R2, "lower end of the interval of the median, likewise"),
    Column::measured("median_high", R2, "upper end of the interval of the median"),
    Column::measured("level", "share, 0 to 1", "the level of the intervals: the share of resamples that make them"),
    Column::new("n_of_ceiling", "responses whose ceiling is not below the floor; only where ceilings are given"),
    Column::measured("mean_of_ceiling", "share of the ceiling", "the mean of estimate / ceiling over these"),
    STAMP,
];

/// What is in the table of the joint model.
pub(super) const JOINT: &[Column] = &[
    Column::new("id", "the response: a voxel, vertex or neuron"),
    Column::new("part", "what the share is of").levels(&[
        ("space", "a feature space: what it contributes, and half of what it has in common with each other one"),
        ("mean", "what the distance of the model's mean from that of the test stimuli costs"),
        ("total", "R2 of the model, the sum of the others"),
    ]),
    Column::new("spaces", "the feature space; empty for the others"),
    Column::measured("estimate", R2, "the share in R2"),
    STAMP,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::data_table;
    use crate::formats::predictions::Model;

    /// The unique part of a copy is 0 give or take a rounding error, which is not counted; a part of 1e-9 of the total below 0 is.
    #[test]
    fn rounding_errors_are_not_negative_parts() {
        let estimates = vec![-1e-17, 0.2, 0.3, 0.5, -5e-10, 0.2, 0.3, 0.5, f64::NAN, f64::NAN, f64::NAN, f64::NAN];
        let parts = ResponseParts {
            width: 4,
            responses: 3,
            estimates,
            intervals: Vec::new(),
            undefined: Vec::new(),
            resamples: 0,
            region_draws: None,
            joint: None,
        };
        let models = [vec!["A"], vec!["B"], vec!["A", "B"]];
        let models = models.map(|spaces| Model { spaces: spaces.into_iter().map(String::from).collect() });
        let lattice = ModelLattice::new(&models, &[]).unwrap();
        let region =
            |name: &str, members: &[usize]| ResponseRegion { name: name.to_owned(), members: members.to_vec() };
        let regions = [region("all", &[0, 1, 2]), region("first", &[0, 2])];
        let table = parts.regions_table(&regions, &lattice, None, 0.95, false).unwrap();
        assert_eq!(data_table::integers(&table, "n_negative").unwrap(), [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(data_table::integers(&table, "n").unwrap(), [2, 2, 2, 2, 1, 1, 1, 1]);
        let notes = parts.notes(&lattice);
        assert_eq!(notes[1], "parts below 0, of 2 responses: A 1");
        assert!(data_table::numbers(&table, "min").unwrap()[4] == -1e-17, "the part itself is not rounded");
    }
}
