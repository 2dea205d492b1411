//! `table/...`: the kinds about tables of any content.

mod any_table;
mod table_aggregate;
mod table_filter;
mod table_import;
mod table_join;
mod table_pivot;
mod table_sort;
mod table_unpivot;

/// Adds the kinds of this folder.
pub fn install(registry: &mut pipe_contract::Registry) {
    registry.add(table_import::TableImport);
    registry.add(table_filter::TableFilter);
    registry.add(table_sort::TableSort);
    registry.add(table_join::TableJoin);
    registry.add(table_aggregate::TableAggregate);
    registry.add(table_pivot::TablePivot);
    registry.add(table_unpivot::TableUnpivot);
}
