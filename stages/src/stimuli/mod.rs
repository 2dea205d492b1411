//! `stimuli/...`: the kinds that make stimuli, of files or of a design, and stimuli of stimuli.

mod stimulus_generate;
mod stimulus_import;
mod stimulus_objects;
mod stimulus_retouch;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(stimulus_import::StimulusImport);
    registry.add(stimulus_generate::StimulusGenerate);
    registry.add(stimulus_retouch::StimulusShrink);
    registry.add(stimulus_retouch::StimulusMask);
}
