//! Canonical bytes: one value has one encoding, and no two values share one. Every text and list carries its length,
//! every choice a tag, numbers are little-endian.

use pipe_cache::{Content, ContentForm, Digest};
use pipe_contract::Value;

use super::addressed::Addressed;

/// Appends to a buffer.
pub struct Encoder<'b> {
    buffer: &'b mut Vec<u8>,
}

impl<'b> Encoder<'b> {
    pub fn new(buffer: &'b mut Vec<u8>) -> Self {
        Self { buffer }
    }

    pub fn byte(&mut self, byte: u8) {
        self.buffer.push(byte);
    }

    pub fn number(&mut self, number: u64) {
        self.buffer.extend_from_slice(&number.to_le_bytes());
    }

    pub fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.buffer.extend_from_slice(text.as_bytes());
    }

    pub fn digest(&mut self, digest: &Digest<Content>) {
        self.buffer.extend_from_slice(digest.as_bytes());
    }

    pub fn content(&mut self, content: &Addressed) {
        self.byte(match content.form {
            ContentForm::File => 1,
            ContentForm::Executable => 2,
            ContentForm::Folder => 3,
        });
        self.digest(&content.digest);
    }

    /// The number of items, then the items.
    pub fn list<T>(&mut self, items: impl Iterator<Item = T>, mut one: impl FnMut(&mut Self, T)) {
        let place = self.buffer.len();
        self.number(0);
        let mut count = 0u64;
        for item in items {
            one(self, item);
            count += 1;
        }
        self.buffer[place..place + 8].copy_from_slice(&count.to_le_bytes());
    }

    pub fn option<T>(&mut self, item: Option<T>, one: impl FnOnce(&mut Self, T)) {
        self.byte(u8::from(item.is_some()));
        if let Some(item) = item {
            one(self, item);
        }
    }

    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.byte(0),
            Value::Bool(value) => {
                self.byte(1);
                self.byte(u8::from(*value));
            }
            Value::Int(value) => {
                self.byte(2);
                self.buffer.extend_from_slice(&value.to_le_bytes());
            }
            Value::Float(value) => {
                self.byte(3);
                self.number(value.to_bits());
            }
            Value::Text(value) => {
                self.byte(4);
                self.text(value);
            }
            Value::List(values) => {
                self.byte(5);
                self.list(values.iter(), |encoder, value| encoder.value(value));
            }
            Value::Map(values) => {
                self.byte(6);
                self.list(values.iter(), |encoder, (name, value)| {
                    encoder.text(name);
                    encoder.value(value);
                });
            }
        }
    }
}

/// Reads what an [`Encoder`] wrote; `None` anywhere means that the bytes are something else.
pub struct Decoder<'b> {
    rest: &'b [u8],
}

impl<'b> Decoder<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    pub fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    pub fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    pub fn text(&mut self) -> Option<&'b str> {
        let length = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    pub fn digest(&mut self) -> Option<Digest<Content>> {
        Some(Digest::from_bytes(self.take(32)?.try_into().ok()?))
    }

    pub fn content(&mut self) -> Option<Addressed> {
        let form = match self.byte()? {
            1 => ContentForm::File,
            2 => ContentForm::Executable,
            3 => ContentForm::Folder,
            _ => return None,
        };
        Some(Addressed { form, digest: self.digest()? })
    }
}
