//! The list of cells of a gather, in the one form that is hashed, stored and compared.

use std::collections::BTreeMap;

use pipe_cache::{Content, Digest};
use pipe_contract::Coordinates;

use super::addressed::Addressed;
use super::encode::{Decoder, Encoder};

/// Opens the encoding, so that no file of another sort is taken for a list.
const MAGIC: &str = "pipe cells 1";

/// The encoded cells of a gather.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellList {
    bytes: Vec<u8>,
}

/// One cell of a gather, as content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CellState {
    /// There.
    Present(Addressed),
    /// Not there, for this cause.
    Absent(String),
}

impl CellList {
    /// Encodes cells, which come sorted by coordinates.
    pub fn encode<'a>(cells: impl Iterator<Item = (&'a Coordinates, &'a CellState)>) -> Self {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes);
        encoder.text(MAGIC);
        encoder.list(cells, |encoder, (at, state)| {
            encoder.list(at.iter(), |encoder, (axis, at)| {
                encoder.text(axis);
                encoder.text(at);
            });
            match state {
                CellState::Present(content) => {
                    encoder.byte(1);
                    encoder.content(content);
                }
                CellState::Absent(cause) => {
                    encoder.byte(0);
                    encoder.text(cause);
                }
            }
        });
        Self { bytes }
    }

    /// Its digest, which enters keys.
    pub fn digest(&self) -> Digest<Content> {
        Digest::of(&self.bytes)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads stored bytes; `None` if they are not a list of cells.
    pub fn decode(bytes: &[u8]) -> Option<BTreeMap<Coordinates, CellState>> {
        let mut decoder = Decoder::new(bytes);
        if decoder.text()? != MAGIC {
            return None;
        }
        let mut cells = BTreeMap::new();
        for _ in 0..decoder.number()? {
            let mut at = BTreeMap::new();
            for _ in 0..decoder.number()? {
                let axis = decoder.text()?.to_owned();
                at.insert(axis, decoder.text()?.to_owned());
            }
            let state = match decoder.byte()? {
                0 => CellState::Absent(decoder.text()?.to_owned()),
                1 => CellState::Present(decoder.content()?),
                _ => return None,
            };
            cells.insert(Coordinates(at), state);
        }
        decoder.is_at_end().then_some(cells)
    }
}
