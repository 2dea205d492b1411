//! `table/...`: the kinds about tables of any content.

mod table_import;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(table_import::TableImport);
}
