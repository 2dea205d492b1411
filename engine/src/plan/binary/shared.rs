//! What is shared while a plan is in memory, by its content.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub fn serialize<S: Serializer, T: Serialize + ?Sized>(of: &Arc<T>, serializer: S) -> Result<S::Ok, S::Error> {
    of.as_ref().serialize(serializer)
}

pub fn deserialize<'de, D, T>(deserializer: D) -> Result<Arc<T>, D::Error>
where
    D: Deserializer<'de>,
    T: ToOwned + ?Sized,
    T::Owned: Deserialize<'de>,
    Arc<T>: From<T::Owned>,
{
    T::Owned::deserialize(deserializer).map(Arc::from)
}
