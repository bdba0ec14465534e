//! How big a graph is, told from its file without loading it.

use std::io::{self, BufRead, Seek};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value;
use tract_onnx::pb::{TensorProto, ValueInfoProto, type_proto};

use super::arithmetic::Arithmetic;
use super::protobuf::{GRAPH_OF_MODEL, INITIALIZER_OF_GRAPH, INPUT_OF_GRAPH, NODE_OF_GRAPH, Reader, invalid};
use crate::limits::MAX_GRAPH_PARTS;

/// Bytes of a node from which on they are those of a constant.
const LONG_NODE: usize = 4096;

/// What a graph consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GraphSizes {
    /// Nodes and constants.
    pub parts: usize,
    /// Bytes of all constants, and of those that are floats.
    pub constant_bytes: usize,
    pub float_bytes: usize,
    /// Names and shapes of the inputs; `None` where the file names no number.
    pub inputs: Vec<(String, Vec<Option<usize>>)>,
}

impl GraphSizes {
    /// Reads no more of `file` than it must.
    ///
    /// # Errors
    /// If it cannot be read or is no protobuf.
    pub fn read(file: impl BufRead + Seek) -> io::Result<Self> {
        let mut sizes = Self::default();
        let mut reader = Reader::new(file)?;
        while let Some(field) = reader.next_field(reader.len)? {
            if field.number() != GRAPH_OF_MODEL {
                reader.skip(&field)?;
                continue;
            }
            let end = reader.at + field.len;
            while let Some(field) = reader.next_field(end)? {
                if sizes.parts + sizes.inputs.len() > MAX_GRAPH_PARTS {
                    return Err(invalid(format!("it has more than {MAX_GRAPH_PARTS} nodes, constants and inputs")));
                }
                match field.number() {
                    INITIALIZER_OF_GRAPH => sizes.add_constant(&reader.head_of_constant(&field)?, field.len as usize),
                    INPUT_OF_GRAPH => sizes.add_input(reader.message(&field)?),
                    number => {
                        if number == NODE_OF_GRAPH {
                            sizes.add_node(field.len as usize);
                        }
                        reader.skip(&field)?;
                    }
                }
            }
        }
        Ok(sizes)
    }

    fn add_constant(&mut self, head: &TensorProto, bytes: usize) {
        self.parts += 1;
        self.constant_bytes += bytes;
        if head.data_type == i32::from(DataType::Float) {
            self.float_bytes += bytes;
        }
    }

    /// Nodes that are long hold a constant of their own.
    fn add_node(&mut self, bytes: usize) {
        self.parts += 1;
        if bytes > LONG_NODE {
            self.constant_bytes += bytes;
            self.float_bytes += bytes;
        }
    }

    fn add_input(&mut self, input: ValueInfoProto) {
        let Some(type_proto::Value::TensorType(tensor)) = input.r#type.and_then(|of| of.value) else { return };
        let dims = tensor.shape.into_iter().flat_map(|shape| shape.dim).map(|dim| match dim.value {
            Some(Value::DimValue(len)) => usize::try_from(len).ok(),
            _ => None,
        });
        self.inputs.push((input.name, dims.collect()));
    }

    /// Whether it is computed in floats, to judge by its constants.
    pub fn is_float(&self) -> bool {
        self.float_bytes > self.constant_bytes / 2
    }

    /// Bytes of the constants in the form in which they are computed with.
    pub fn weight_bytes(&self) -> usize {
        let integer_len = match Arithmetic::from_env() {
            Ok(Arithmetic::Int8(set)) => set.weight_len(),
            _ => size_of::<f32>(),
        };
        self.float_bytes.saturating_add((self.constant_bytes - self.float_bytes).saturating_mul(integer_len))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use prost::Message;
    use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

    use super::*;

    #[test]
    fn sizes_are_told_without_loading() {
        let constant = |data_type: DataType, len| TensorProto {
            data_type: data_type.into(),
            raw_data: vec![7; len],
            ..TensorProto::default()
        };
        let graph = GraphProto {
            node: vec![NodeProto::default(); 2],
            initializer: vec![constant(DataType::Float, 100), constant(DataType::Int8, 300)],
            ..GraphProto::default()
        };
        let model = ModelProto { graph: Some(graph), ..ModelProto::default() };
        let sizes = GraphSizes::read(Cursor::new(model.encode_to_vec())).unwrap();
        assert_eq!(sizes.parts, 4);
        assert!((100..110).contains(&sizes.float_bytes) && (400..420).contains(&sizes.constant_bytes), "{sizes:?}");
        assert!(!sizes.is_float());
    }
}
