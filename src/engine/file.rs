//! Where a graph is read from.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor};
use std::path::Path;

use tract_onnx::pb::ModelProto;

use super::protobuf::{self, Take};
use super::sizes::GraphSizes;
use crate::limits::MAX_GRAPH_BYTES;
use crate::memory_pool::release_pages;

const BUFFER_BYTES: usize = 4096;
const CHUNK_BYTES: usize = 64 << 10;

/// An ONNX file.
pub(crate) enum GraphFile {
    Embedded(&'static [u8]),
    File { file: File, len: u64 },
}

impl GraphFile {
    /// Opens a file of at most [`MAX_GRAPH_BYTES`].
    ///
    /// # Errors
    /// If it cannot be opened or is larger.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        if len > MAX_GRAPH_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {MAX_GRAPH_BYTES} bytes")));
        }
        Ok(Self::File { file, len })
    }

    /// Bytes of the file.
    pub fn len(&self) -> usize {
        match self {
            Self::Embedded(bytes) => bytes.len(),
            Self::File { len, .. } => *len as usize,
        }
    }

    /// Hands over the whole file, piece by piece.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn for_each_chunk(self, mut read: impl FnMut(&[u8])) -> io::Result<()> {
        match self {
            Self::Embedded(bytes) => {
                read(bytes);
                release_pages(bytes);
            }
            Self::File { file, .. } => {
                let mut file = BufReader::with_capacity(CHUNK_BYTES, file);
                while let [_, ..] = file.fill_buf()? {
                    let len = file.buffer().len();
                    read(file.buffer());
                    file.consume(len);
                }
            }
        }
        Ok(())
    }

    /// What the graph consists of.
    ///
    /// # Errors
    /// If the file cannot be read or is no protobuf.
    pub fn sizes(&mut self) -> io::Result<GraphSizes> {
        match self {
            Self::Embedded(bytes) => GraphSizes::read(Cursor::new(*bytes)),
            Self::File { file, .. } => GraphSizes::read(BufReader::with_capacity(BUFFER_BYTES, file)),
        }
    }

    /// Reads the model, without the constants that `taker` has taken.
    ///
    /// # Errors
    /// If the file cannot be read or is no ONNX, and those of `taker`.
    pub(super) fn read(self, taker: &mut impl Take) -> io::Result<ModelProto> {
        match self {
            Self::Embedded(bytes) => {
                let model = protobuf::read_model(Cursor::new(bytes), taker);
                release_pages(bytes);
                model
            }
            Self::File { file, .. } => protobuf::read_model(BufReader::with_capacity(BUFFER_BYTES, file), taker),
        }
    }
}
