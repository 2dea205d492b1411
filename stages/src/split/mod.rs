//! `split/...`: the kinds that decide which subjects are held out.

mod random;
mod twins;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(random::Random);
    registry.add(twins::Twins);
}
