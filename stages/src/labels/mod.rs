//! `labels/...`: the kinds that give visual areas and eccentricity rings per vertex.
//!
//! An area is 1 to 3 for V1 to V3, a ring is 1 to 5 for 0-0.5, 0.5-1, 1-2, 2-4, 4-7 degrees; 0 is neither.

mod cohort;
mod exclude;
mod from_file;
mod from_osf;
mod from_template;
mod inferred;
mod label_files;
#[cfg(test)]
mod neuropythy_golden;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(from_file::LabelsImport);
    registry.add(from_osf::LabelsOsf);
    registry.add(exclude::LabelsExclude);
    registry.add(cohort::LabelsCohort);
    registry.add(inferred::LabelsInferred);
    registry.add(from_template::TemplateLabels);
}
