//! From pipeline files to plans and messages, as users meet them.

mod broken;
mod json_schema;
mod mutation;
mod plan_speed;
mod rules;
mod shipped;
mod test_registry;
