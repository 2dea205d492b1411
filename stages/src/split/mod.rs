//! `split/...`: the kinds that decide which subjects, or which stimuli, are held out.

mod by_column;
mod folds;
mod join;
mod legacy;
mod nyu_parts;
mod random;
mod stimuli;
mod twins;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(random::Random);
    registry.add(twins::Twins);
    registry.add(nyu_parts::NyuSplit);
    registry.add(join::JoinedSplit);
    registry.add(legacy::Legacy);
    registry.add(by_column::ByColumn);
    registry.add(folds::Folds);
}
