//! `flatmap/...`: the kinds that paint a subject's maps and labels onto the flattened occipital cortex. The geometry itself is in
//! [`crate::numeric`].

mod images;
mod painting;
mod targets;
mod template_space;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(images::Images);
    registry.add(targets::Targets);
}
