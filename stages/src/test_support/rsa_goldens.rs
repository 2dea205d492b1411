//! Numbers that the Python programs in `tests/fidelity/rsa` computed and wrote as JSON beside them.

use std::path::Path;

use serde::de::DeserializeOwned;

/// The numbers in a file of that folder.
pub fn rsa_golden<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fidelity/rsa").join(name);
    let text = fs_err::read_to_string(&path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Numbers agree within a distance.
#[track_caller]
pub fn assert_all_close(found: &[f64], expected: &[f64], within: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= within, "{what}, number {at}: {a}, not {b}");
    }
}
