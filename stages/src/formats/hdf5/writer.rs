//! Writes HDF5 files whose bytes depend on the content only: plain, or behind MATLAB's user block.
//!
//! Goes through `hdf5-writer`; the user block is put before its superblock, which then gets its new address.

use std::path::Path;

use hdf5_writer::{
    AttributeBuilder, ByteOrder, DatasetBuilder, Datatype, FILTER_DEFLATE, FILTER_SHUFFLE, FilterDescription,
    Hdf5Builder, WriteOptions, jenkins_lookup3,
};
use pipe_contract::Failure;

use crate::formats::binary;

/// A file to be written: datasets by path, groups made as needed.
#[derive(Default)]
pub struct Builder {
    datasets: Vec<DatasetBuilder>,
}

impl Builder {
    /// Nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds 32-bit whole numbers in one dimension.
    pub fn whole_numbers(&mut self, path: &str, values: &[i32]) {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let kind = Datatype::FixedPoint { size: 4, signed: true, byte_order: ByteOrder::LittleEndian };
        self.datasets.push(DatasetBuilder::new(path, kind, vec![values.len() as u64]).raw_data(raw));
    }

    /// Adds 64-bit floats, the type of MATLAB's ordinary numbers.
    pub fn doubles(&mut self, path: &str, shape: &[u64], values: &[f64]) {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.datasets
            .push(DatasetBuilder::new(path, float(8), shape.to_vec()).raw_data(raw).attribute(class("double")));
    }

    /// Adds 32-bit floats in chunks that are shuffled and packed, as MATLAB stores large arrays.
    pub fn packed_singles(&mut self, path: &str, shape: &[u64], chunk: &[u64], values: &[f32]) {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.datasets.push(
            DatasetBuilder::new(path, float(4), shape.to_vec())
                .chunked(chunk.to_vec())
                .filter(filter(FILTER_SHUFFLE, 4))
                .filter(filter(FILTER_DEFLATE, 3))
                .raw_data(raw)
                .attribute(class("single")),
        );
    }

    /// Writes the file as it is.
    ///
    /// # Errors
    /// The file cannot be written; or, internal, datasets do not fit their shapes.
    pub fn write(self, path: &Path) -> Result<(), Failure> {
        let bytes = self.encode()?;
        binary::write(path, &bytes)
    }

    /// Writes the file as MATLAB v7.3 does: behind a block of 512 bytes with its name (without platform and time).
    ///
    /// # Errors
    /// As [`Builder::write`].
    pub fn write_matlab(self, path: &Path) -> Result<(), Failure> {
        let bytes = behind_user_block(self.encode()?)?;
        binary::write(path, &bytes)
    }

    fn encode(self) -> Result<Vec<u8>, Failure> {
        let builder = self.datasets.into_iter().fold(Hdf5Builder::new(), Hdf5Builder::dataset);
        let options = WriteOptions { byte_order: ByteOrder::LittleEndian, ..WriteOptions::default() };
        builder
            .into_plan()
            .and_then(|plan| plan.encode(options))
            .map_err(|error| Failure::internal(format!("could not make an HDF5 file: {error}")))
    }
}

fn float(size: u8) -> Datatype {
    Datatype::FloatingPoint { size, byte_order: ByteOrder::LittleEndian }
}

/// The attribute by which MATLAB recognises its own types.
fn class(name: &str) -> AttributeBuilder {
    AttributeBuilder::fixed_string("MATLAB_class", name)
}

fn filter(id: u16, value: u32) -> FilterDescription {
    FilterDescription { id, name: None, client_data: vec![value] }
}

/// Length of MATLAB's user block, one of the places where HDF5 looks for its superblock.
const USER_BLOCK: usize = 512;

/// Puts MATLAB's block in front. Addresses inside a file are relative to the base address of the superblock
/// (version 2: base at byte 12, end of file at byte 28, checksum over the first 44 bytes at byte 44).
fn behind_user_block(mut bytes: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let end = (USER_BLOCK + bytes.len()) as u64;
    let Some(superblock) = bytes.get_mut(..48).filter(|block| block[8] == 2) else {
        return Err(Failure::internal("the HDF5 library wrote a superblock that is not of version 2"));
    };
    superblock[12..20].copy_from_slice(&(USER_BLOCK as u64).to_le_bytes());
    superblock[28..36].copy_from_slice(&end.to_le_bytes());
    let checksum = jenkins_lookup3(&superblock[..44]);
    superblock[44..48].copy_from_slice(&checksum.to_le_bytes());

    // 116 bytes of text, padded with blanks, 8 of subsystem offset, version 0x0200, byte order mark.
    let mut file = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".to_vec();
    file.resize(116, b' ');
    file.resize(124, 0);
    file.extend([0x00, 0x02, b'I', b'M']);
    file.resize(USER_BLOCK, 0);
    file.append(&mut bytes);
    Ok(file)
}
