//! `split/...`: the kinds that decide which subjects are held out.

mod join;
mod nyu_parts;
mod random;
mod twins;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(random::Random);
    registry.add(twins::Twins);
    registry.add(nyu_parts::NyuSplit);
    registry.add(join::JoinedSplit);
}
