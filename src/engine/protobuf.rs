//! ONNX files read field by field, so that neither a file nor its weights in protobuf form are ever held whole.

use std::io::{self, BufRead, Read, Seek};

use prost::Message;
use prost::encoding::{decode_varint, encode_varint};
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto};

use crate::limits::MAX_GRAPH_PARTS;

/// Numbers of the fields that are looked into.
pub(super) const GRAPH_OF_MODEL: u64 = 7;
pub(super) const NODE_OF_GRAPH: u64 = 1;
pub(super) const INITIALIZER_OF_GRAPH: u64 = 5;
pub(super) const INPUT_OF_GRAPH: u64 = 11;
/// Shapes and ranges that the exporter noted beside the graph; nothing here reads them.
const NOTES_OF_GRAPH: [u64; 2] = [13, 14];
/// Training and functions of the model; tract reads neither.
const EXTRAS_OF_MODEL: [u64; 2] = [20, 25];
pub(super) const DATA_TYPE_OF_TENSOR: u64 = 2;
const RAW_DATA_OF_TENSOR: u64 = 9;

/// Longest varint.
const VARINT_BYTES: usize = 10;

/// Takes the content of constants out of a file while it is read.
pub(super) trait Take {
    /// Reads the `len` bytes of `raw_data` that `constant` lacks from `content`, or answers `false` and reads nothing.
    ///
    /// # Errors
    /// If the content cannot be read.
    fn take(&mut self, constant: &TensorProto, len: usize, content: &mut dyn Read) -> io::Result<bool>;
}

/// Reads a model, without the constants that `taker` has taken, and without notes that nothing here needs.
///
/// # Errors
/// If the file cannot be read, is no ONNX or has more parts than the limits allow, and those of `taker`.
pub(super) fn read_model(file: impl BufRead + Seek, taker: &mut impl Take) -> io::Result<ModelProto> {
    let mut reader = Reader::new(file)?;
    let (mut model, mut graph) = (vec![], None::<GraphBytes>);
    while let Some(field) = reader.next_field(reader.len)? {
        match field.number() {
            GRAPH_OF_MODEL => reader.graph(&field, graph.get_or_insert_default(), taker)?,
            number if EXTRAS_OF_MODEL.contains(&number) => reader.skip(&field)?,
            _ => reader.copy(&field, &mut model)?,
        }
    }
    let mut model = ModelProto::decode(&*model)?;
    if let Some(read) = graph {
        let mut graph = GraphProto::decode(&*read.bytes)?;
        graph.initializer = read.constants;
        model.graph = Some(graph);
    }
    Ok(model)
}

/// A graph as far as it is read.
#[derive(Default)]
struct GraphBytes {
    /// All but the constants.
    bytes: Vec<u8>,
    parts: usize,
    constants: Vec<TensorProto>,
}

/// A field: its key, and what follows before its content.
pub(super) struct Field {
    key: u64,
    /// The number itself, of a field that is one.
    varint: Option<u64>,
    /// Bytes of the content still to be read.
    pub len: u64,
}

impl Field {
    pub fn number(&self) -> u64 {
        self.key >> 3
    }
}

pub(super) fn invalid(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

pub(super) struct Reader<R> {
    file: R,
    pub at: u64,
    pub len: u64,
}

impl<R: BufRead + Seek> Reader<R> {
    pub fn new(mut file: R) -> io::Result<Self> {
        let len = file.seek(io::SeekFrom::End(0))?;
        file.rewind()?;
        Ok(Self { file, at: 0, len })
    }

    /// The next field before `end`.
    pub fn next_field(&mut self, end: u64) -> io::Result<Option<Field>> {
        if self.at == end {
            return Ok(None);
        }
        let key = self.varint()?;
        let (varint, len) = match key & 7 {
            0 => (Some(self.varint()?), 0),
            1 => (None, 8),
            2 => (None, self.varint()?),
            5 => (None, 4),
            other => return Err(invalid(format!("wire type {other}"))),
        };
        if len > end.saturating_sub(self.at) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(Field { key, varint, len }))
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut bytes = [0; VARINT_BYTES];
        for end in 1..=VARINT_BYTES {
            self.file.read_exact(&mut bytes[end - 1..end])?;
            self.at += 1;
            if bytes[end - 1] < 0x80 {
                return Ok(decode_varint(&mut &bytes[..end])?);
            }
        }
        Err(invalid("an endless number".into()))
    }

    /// The parts of a graph, counted before they are decoded: an empty one takes much more memory than file.
    fn graph(&mut self, field: &Field, graph: &mut GraphBytes, taker: &mut impl Take) -> io::Result<()> {
        let end = self.at + field.len;
        while let Some(field) = self.next_field(end)? {
            graph.parts += 1;
            if graph.parts > MAX_GRAPH_PARTS {
                return Err(invalid(format!("it has more than {MAX_GRAPH_PARTS} nodes and constants")));
            }
            match field.number() {
                INITIALIZER_OF_GRAPH => graph.constants.extend(self.initializer(&field, taker)?),
                number if NOTES_OF_GRAPH.contains(&number) => {
                    graph.parts -= 1;
                    self.skip(&field)?;
                }
                _ => self.copy(&field, &mut graph.bytes)?,
            }
        }
        Ok(())
    }

    /// A constant, unless `taker` takes it.
    fn initializer(&mut self, field: &Field, taker: &mut impl Take) -> io::Result<Option<TensorProto>> {
        let (end, mut bytes, mut is_taken) = (self.at + field.len, vec![], false);
        while let Some(field) = self.next_field(end)? {
            if field.number() == RAW_DATA_OF_TENSOR && !is_taken {
                let constant = TensorProto::decode(&*bytes)?;
                is_taken = taker.take(&constant, field.len as usize, &mut self.file)?;
                if is_taken {
                    self.at += field.len;
                    continue;
                }
            }
            self.copy(&field, &mut bytes)?;
        }
        let constant = TensorProto::decode(&*bytes)?;
        Ok((!is_taken).then_some(constant))
    }

    /// A constant without its content.
    pub fn head_of_constant(&mut self, field: &Field) -> io::Result<TensorProto> {
        let (end, mut bytes) = (self.at + field.len, vec![]);
        while let Some(field) = self.next_field(end)? {
            match field.number() {
                DATA_TYPE_OF_TENSOR => self.copy(&field, &mut bytes)?,
                _ => self.skip(&field)?,
            }
        }
        Ok(TensorProto::decode(&*bytes)?)
    }

    pub fn message<M: Message + Default>(&mut self, field: &Field) -> io::Result<M> {
        let mut bytes = vec![];
        self.read(field.len, &mut bytes)?;
        Ok(M::decode(&*bytes)?)
    }

    pub fn skip(&mut self, field: &Field) -> io::Result<()> {
        self.at += field.len;
        self.file.seek_relative(field.len as i64)
    }

    fn read(&mut self, len: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        let start = bytes.len();
        bytes.resize(start + len as usize, 0);
        self.at += len;
        self.file.read_exact(&mut bytes[start..])
    }

    /// The whole field as it stands in the file.
    fn copy(&mut self, field: &Field, bytes: &mut Vec<u8>) -> io::Result<()> {
        encode_varint(field.key, bytes);
        match field.varint {
            Some(value) => encode_varint(value, bytes),
            None if field.key & 7 == 2 => encode_varint(field.len, bytes),
            None => {}
        }
        self.read(field.len, bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tract_onnx::pb::NodeProto;

    use super::*;

    fn model() -> ModelProto {
        let initializer = |name: &str, len| TensorProto {
            name: name.into(),
            raw_data: vec![7; len],
            dims: vec![len as i64],
            ..TensorProto::default()
        };
        let node = NodeProto { op_type: "Conv".into(), ..NodeProto::default() };
        let graph = GraphProto {
            name: "g".into(),
            node: vec![node.clone(), node],
            initializer: vec![initializer("a", 10), initializer("b", 300)],
            ..GraphProto::default()
        };
        ModelProto { ir_version: 8, producer_name: "test".into(), graph: Some(graph), ..ModelProto::default() }
    }

    /// Takes constants of more bytes than it says.
    struct MoreThan(usize, Vec<String>);

    impl Take for MoreThan {
        fn take(&mut self, constant: &TensorProto, len: usize, content: &mut dyn Read) -> io::Result<bool> {
            if len <= self.0 {
                return Ok(false);
            }
            io::copy(&mut content.take(len as u64), &mut io::sink())?;
            self.1.push(constant.name.clone());
            Ok(true)
        }
    }

    #[test]
    fn a_model_is_read_as_prost_reads_it() {
        let bytes = model().encode_to_vec();
        assert_eq!(read_model(Cursor::new(&bytes), &mut MoreThan(1000, vec![])).unwrap(), model());
    }

    #[test]
    fn what_is_taken_is_not_in_the_model() {
        let bytes = model().encode_to_vec();
        let mut taker = MoreThan(100, vec![]);
        let mut read = read_model(Cursor::new(&bytes), &mut taker).unwrap();
        assert_eq!(taker.1, ["b"]);
        let graph = read.graph.as_mut().unwrap();
        assert_eq!(graph.initializer, model().graph.unwrap().initializer[..1]);
        assert_eq!(graph.node, model().graph.unwrap().node);
    }

    #[test]
    fn files_cut_anywhere_are_errors_or_shorter_models() {
        let bytes = model().encode_to_vec();
        for len in 0..bytes.len() {
            let cut = &bytes[..len];
            let read = read_model(Cursor::new(cut), &mut MoreThan(1000, vec![]));
            assert_eq!(read.ok(), ModelProto::decode(cut).ok(), "cut after {len} bytes");
        }
    }
}
