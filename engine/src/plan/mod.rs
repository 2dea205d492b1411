//! What will run, fully resolved: stages expanded over their axes, every reference an edge, every default filled in.
//!
//! ```text
//! profile (which stages, which values) → draft (axes, cells) → ports (references settled) → order → instances
//! ```
//! Uses the declarations of stage kinds, never their code; reads no file but those that the pipeline names.

mod axis;
mod binary;
mod body;
mod draft;
mod env;
mod errors;
mod fits;
mod input_names;
mod instance_params;
mod instances;
mod names;
mod order;
mod param_value;
mod plan_cache;
mod plan_options;
mod planning;
mod ports;
mod profile;
mod program_line;
mod project_files;
mod resolve;
mod resolved;
mod restricted;
mod results;
mod rule;
mod run_stage;
mod same_name;
mod seed;
mod set_option;
mod stage;
mod typed;
mod variables;

pub use crate::ids::GatherId;
pub use fits::Lacking;
pub use input_names::{INPUT_FOLDER, InputName};
pub use names::variable_part;
pub use param_value::{ParamOrigin, ParamValue};
pub use plan_cache::plan_cached;
pub use plan_options::PlanOptions;
pub(crate) use program_line::ProgramLine;
pub use resolve::{ProfilePlan, plan, plan_all_profiles, resolve};
pub use resolved::*;
pub use restricted::Unreleased;
pub use same_name::refuse_shared_name;
