//! From pipeline files to plans and messages, as users meet them.

mod broken;
mod mutation;
mod registry;
mod rules;
mod schema;
mod shipped;
