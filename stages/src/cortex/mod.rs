//! Kinds that make a subject's cortex, and lay it out flat: from pycortex, from FreeSurfer, and the mapping of pixels to data.

mod flat;
mod freesurfer_cortex;
mod hemispheres;
mod pycortex;
#[cfg(test)]
mod pycortex_golden;
mod units;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(pycortex::Pycortex);
    registry.add(freesurfer_cortex::FreeSurfer);
    registry.add(flat::Flat);
    registry.add(units::CortexUnits);
}
