//! From pipeline files to plans and messages, as users meet them.

mod broken;
mod json_schema;
#[path = "../../../tests/support/json_schema.rs"]
mod json_schema_validator;
mod mutation;
mod plan_speed;
#[path = "../../../tests/support/python_package.rs"]
mod python_package;
mod rules;
mod shipped;
mod test_registry;
