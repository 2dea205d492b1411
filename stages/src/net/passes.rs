//! How often stimuli go through a network so that what is held of its activations fits into a memory limit.
//!
//! Decides two ways. Where all stimuli can be between two layers at once, they go through the network together, layer by layer, once, and
//! nothing is held: each layer is used as it comes. Otherwise they go through in batches; a pass holds some layers of all stimuli, and a
//! layer that is too large for one pass is cut by units. Cuts lie at multiples of [`UNIT_BLOCK`], the units that are used at a time, so
//! that sums over units are added in one order, whatever the limit. Independent of libtorch and of what activations are used for, so that
//! the number of passes is known before a network runs.
//!
//! The trade-off: passes repeat the network's own work, because activations on disk would be many times as large as what is made of them.

use std::ops::Range;

use pipe_contract::Failure;

/// Units of a layer that are used at a time.
pub const UNIT_BLOCK: usize = 1024;

/// Tensors as large as a network's largest that exist at once while a layer computes: what goes in, what comes out, and a value that
/// is remembered for a shortcut or for joined branches.
const TENSORS_AT_ONCE: usize = 3;

/// Bytes of a number.
const BYTES: usize = size_of::<f32>();

/// What one stimulus needs of one layer while a pass holds it, in numbers of 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerLoad {
    /// Units that are held, which may be cut; 0 if only the rest is needed.
    pub units: usize,
    /// What is held beside them, such as means of features; it comes with the first units and is not cut.
    pub beside: usize,
}

/// Some units of a layer, used in one pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerPiece {
    /// The layer's place in the list that was planned.
    pub layer: usize,
    /// Its units; all of them unless it was cut.
    pub units: Range<usize>,
}

/// What is planned for.
#[derive(Clone, Copy, Debug)]
pub struct PassRequest<'a> {
    /// The layers that are used, in the order in which the network gives them.
    pub loads: &'a [LayerLoad],
    /// Numbers of the network's largest layer, of one stimulus.
    pub largest: usize,
    /// Different stimuli.
    pub stimuli: usize,
    /// Stimuli that the network's operations take at a time.
    pub batch: usize,
    /// Bytes that activations may take.
    pub limit: u64,
    /// Whether layers may be used as they come; else they are held until a batch is through.
    pub at_once: bool,
}

/// The passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassPlan {
    /// Stimuli that are between two layers at the same time: all of them, or a batch.
    pub block: usize,
    /// For each pass what it uses.
    pub passes: Vec<Vec<LayerPiece>>,
}

impl PassRequest<'_> {
    /// Bytes that stimuli take between two layers.
    fn moving(&self, stimuli: usize) -> u64 {
        bytes(stimuli, self.largest.saturating_mul(TENSORS_AT_ONCE))
    }
}

/// Bytes of so many numbers of each of some stimuli.
fn bytes(stimuli: usize, numbers: usize) -> u64 {
    (stimuli as u64).saturating_mul(numbers as u64).saturating_mul(BYTES as u64)
}

/// The most stimuli of which a network can hold all that is between two layers within a limit, at least 1.
pub fn stimuli_at_once(largest: usize, limit: u64) -> usize {
    let of_one = bytes(1, largest.max(1).saturating_mul(TENSORS_AT_ONCE));
    usize::try_from(limit / of_one).unwrap_or(usize::MAX).max(1)
}

/// Plans the passes.
///
/// # Errors
/// Input: the limit holds no batch and a piece of each layer; the message has what it would take.
pub fn plan(request: &PassRequest<'_>) -> Result<PassPlan, Failure> {
    let whole = |(layer, load): (usize, &LayerLoad)| LayerPiece { layer, units: 0..load.units };
    if request.at_once && request.moving(request.stimuli) <= request.limit {
        let all = request.loads.iter().enumerate().map(whole).collect();
        return Ok(PassPlan { block: request.stimuli, passes: vec![all] });
    }
    let block = request.batch.min(request.stimuli).max(1);
    let room = request.limit.saturating_sub(request.moving(block)) / bytes(request.stimuli.max(1), 1);
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    let least = request.loads.iter().map(|load| load.units.min(UNIT_BLOCK) + load.beside).max().unwrap_or(0);
    if room < least {
        return Err(too_little(request, block, least));
    }
    Ok(PassPlan { block, passes: packed(request.loads, room) })
}

fn too_little(request: &PassRequest<'_>, block: usize, least: usize) -> Failure {
    let needed = request.moving(block).saturating_add(bytes(request.stimuli, least));
    Failure::input(format!(
        "`memory` allows {} MB for activations, but a batch of {block} and the smallest part of a layer of {} stimuli take {} MB",
        request.limit / MEGABYTE,
        request.stimuli,
        needed.div_ceil(MEGABYTE)
    ))
    .hint("raise `memory`, or lower `batch`")
}

/// Bytes of a megabyte.
const MEGABYTE: u64 = 1_000_000;

/// Layers in order, each in the pass of the one before if it fits there; `room` is the numbers that a pass may hold of one stimulus.
fn packed(loads: &[LayerLoad], room: usize) -> Vec<Vec<LayerPiece>> {
    let mut passes = Vec::new();
    let (mut pass, mut free) = (Vec::new(), room);
    for (layer, load) in loads.iter().enumerate() {
        if load.units + load.beside > free && !pass.is_empty() {
            passes.push(std::mem::take(&mut pass));
            free = room;
        }
        let (mut first, mut beside) = (0, load.beside);
        loop {
            let fits = load.units - first + beside <= free;
            let most = if fits { load.units - first } else { (free - beside) / UNIT_BLOCK * UNIT_BLOCK };
            pass.push(LayerPiece { layer, units: first..first + most });
            free -= most + beside;
            if fits {
                break;
            }
            (first, beside) = (first + most, 0);
            passes.push(std::mem::take(&mut pass));
            free = room;
        }
    }
    if !pass.is_empty() {
        passes.push(pass);
    }
    passes
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOMY: u64 = 1 << 40;

    fn load(units: usize) -> LayerLoad {
        LayerLoad { units, beside: 0 }
    }

    fn request(loads: &[LayerLoad], limit: u64) -> PassRequest<'_> {
        PassRequest { loads, largest: 1000, stimuli: 100, batch: 10, limit, at_once: true }
    }

    fn piece(layer: usize, units: Range<usize>) -> LayerPiece {
        LayerPiece { layer, units }
    }

    /// 100 stimuli take 100 x 3 x 1000 x 4 bytes between two layers.
    #[test]
    fn all_stimuli_go_through_together_where_they_fit() {
        let loads = [load(1000), load(500)];
        let planned = plan(&request(&loads, 1_200_000)).unwrap();
        assert_eq!(planned, PassPlan { block: 100, passes: vec![vec![piece(0, 0..1000), piece(1, 0..500)]] });
        let planned = plan(&request(&loads, 1_199_999)).unwrap();
        assert_eq!(planned.block, 10);
        let held = plan(&PassRequest { at_once: false, ..request(&loads, ROOMY) }).unwrap();
        assert_eq!(held, PassPlan { block: 10, passes: planned.passes });
    }

    /// A batch takes 120,000 bytes; what is left of the limit is 400 bytes for each number of a stimulus.
    #[test]
    fn layers_share_passes_in_order() {
        let loads = [load(1000), load(900), load(1000), load(10)];
        let held = |numbers: u64| plan(&PassRequest { at_once: false, ..request(&loads, 120_000 + 400 * numbers) });
        let layers = |numbers| -> Vec<Vec<usize>> {
            let passes = held(numbers).unwrap().passes;
            passes.iter().map(|pass| pass.iter().map(|piece| piece.layer).collect()).collect()
        };
        assert_eq!(layers(1000), [vec![0], vec![1], vec![2], vec![3]]);
        assert_eq!(layers(1900), [vec![0, 1], vec![2, 3]]);
        assert_eq!(layers(2910), [vec![0, 1, 2, 3]]);
        let failure = held(999).unwrap_err();
        assert!(failure.message.contains("1 MB") && failure.hint.is_some(), "{failure}");
    }

    #[test]
    fn a_layer_that_is_too_large_is_cut_at_blocks() {
        let loads = [load(100), LayerLoad { units: 5000, beside: 50 }, load(900)];
        let limit = 120_000 + 400 * 2100;
        let planned = plan(&PassRequest { at_once: false, ..request(&loads, limit) }).unwrap();
        let expected = [
            vec![piece(0, 0..100)],
            vec![piece(1, 0..2048)],
            vec![piece(1, 2048..4096)],
            vec![piece(1, 4096..5000), piece(2, 0..900)],
        ];
        assert_eq!(planned.passes, expected);
    }

    #[test]
    fn whatever_the_limit_all_units_come_once_and_in_order() {
        let loads: Vec<LayerLoad> =
            [7, 3000, 0, 1024, 20_000, 1].map(|units| LayerLoad { units, beside: units % 5 }).to_vec();
        for numbers in (1030..30_000).step_by(317) {
            let limit = 120_000 + 400 * numbers;
            let planned = plan(&PassRequest { at_once: false, ..request(&loads, limit) }).unwrap();
            let mut next = vec![0; loads.len()];
            for pass in &planned.passes {
                let held: usize = pass
                    .iter()
                    .map(|piece| piece.units.len() + if piece.units.start == 0 { loads[piece.layer].beside } else { 0 })
                    .sum();
                assert!(held as u64 <= numbers, "{numbers}: {pass:?}");
                for piece in pass {
                    assert_eq!(piece.units.start, next[piece.layer]);
                    assert!(piece.units.start % UNIT_BLOCK == 0);
                    next[piece.layer] = piece.units.end;
                }
            }
            assert!(loads.iter().zip(&next).all(|(load, end)| load.units == *end), "{numbers}: {next:?}");
        }
    }

    #[test]
    fn the_stimuli_that_fit_are_those_of_the_plan() {
        let loads = [load(1000)];
        let fitting = stimuli_at_once(1000, 1_199_999);
        assert_eq!(fitting, 99);
        let request = PassRequest { stimuli: fitting, ..request(&loads, 1_199_999) };
        assert_eq!(plan(&request).unwrap().block, 99);
        assert_eq!(stimuli_at_once(1000, 5), 1);
    }
}
