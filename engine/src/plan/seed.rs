//! The seeds of random work: from what cannot change while the work stays the same, or as the stage says.

use pipe_contract::{Coordinates, Value};

use super::draft::Draft;
use super::env::Env;
use crate::diag::{Class, Diagnostic};
use crate::spec::{self, WorkDecl};

/// Layout of what seeds are made from; another one would change every result of every random stage.
const SEED_LAYOUT: &[u8] = b"pipe seed 1";

/// The seed of one cell; only random work has one.
pub(super) fn seed(
    env: &Env<'_>,
    draft: &Draft<'_>,
    pipeline: u64,
    cell: usize,
    at: &Coordinates,
) -> Result<Option<u64>, Diagnostic> {
    let (random, kind) = match (&draft.decl.work, draft.kind) {
        (WorkDecl::Run(run), _) => (run.random, "run"),
        (WorkDecl::Uses(_), Some(kind)) => (kind.random, kind.key_name()),
        (WorkDecl::Uses(_), None) => return Ok(None),
    };
    match &draft.decl.seed {
        Some(node) if !random => {
            let message = format!("stage `{}` is not random, so it takes no `seed`", draft.name());
            let hint = if draft.kind.is_some() { "remove it" } else { "remove it, or add `random: true`" };
            Err(Diagnostic::new(Class::Shape, node.span, message).hint(hint))
        }
        Some(node) => {
            let value = env.eval(node, &draft.entry.scope, Some(draft.cell(cell)))?;
            // Axis values are text as written, and `seed: $each.restart` is an allowed way to choose seeds.
            match value.written().map(spec::resolve) {
                Some(Value::Int(seed)) if seed >= 0 => Ok(u64::try_from(seed).ok()),
                _ => Err(Diagnostic::new(
                    Class::Value,
                    node.span,
                    format!("`seed` is a whole number from 0, found {}", value.described()),
                )),
            }
        }
        None => Ok(random.then(|| derived_seed(pipeline, kind, at))),
    }
}

/// A digest of pipeline seed, kind name ([`pipe_contract::Kind::key_name`]) and coordinates: nothing that can change
/// while the work stays the same.
fn derived_seed(pipeline: u64, kind: &str, at: &Coordinates) -> u64 {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(SEED_LAYOUT);
    part(&pipeline.to_le_bytes());
    part(kind.as_bytes());
    for (axis, value) in at.iter() {
        part(axis.as_bytes());
        part(value.as_bytes());
    }
    let digest = hasher.finalize();
    let mut first = [0_u8; 8];
    first.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change of this value makes every training of every user run again.
    #[test]
    fn derived_seeds_never_change() {
        let at: Coordinates = [("inputs", "anat"), ("restart", "1")].into_iter().collect();
        assert_ne!(derived_seed(2025, "unet/train", &at), derived_seed(2026, "unet/train", &at));
        assert_ne!(derived_seed(2025, "unet/train", &at), derived_seed(2025, "unet/train", &Coordinates::none()));
        assert_eq!(derived_seed(2025, "unet/train", &at), 5_655_179_189_178_490_822);
    }
}
