//! The big constants of a graph, which go from the file to the graph one by one and are never held twice.
//!
//! tract makes tensors of all initializers while it still has them all in protobuf form. Here each big one is read straight
//! into its tensor; tract reads the graph without them, and they are put in after.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::Arc;

use tract_onnx::model::ParseResult;
use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::konst::Const;

use super::protobuf::{Take, invalid};
use super::validate::check_numbers;

/// Bytes from which on a constant is big. Small ones may be needed while the graph is read: shapes, axes, scales.
const BIG: usize = 4096;

/// Big constants by name.
#[derive(Default)]
pub(super) struct Weights(Vec<(String, Arc<Tensor>)>);

impl Take for Weights {
    /// Takes what is big and says beforehand what it is; everything else is left to tract.
    fn take(&mut self, constant: &TensorProto, len: usize, content: &mut dyn Read) -> io::Result<bool> {
        let Some(mut tensor) = empty_tensor(constant, len) else { return Ok(false) };
        let Some(storage) = tensor.as_plain_ram_storage_mut() else { return Ok(false) };
        content.read_exact(storage.as_bytes_mut())?;
        let numbers = check_numbers(storage.as_bytes());
        if constant.data_type == i32::from(DataType::Float) && !numbers.is_fit(len) {
            return Err(invalid(format!("constant {:?} {}", constant.name, numbers.problem())));
        }
        if self.names().any(|name| name == constant.name) {
            return Err(invalid(format!("there are two constants {:?}", constant.name)));
        }
        let same = self.0.iter().find(|(_, other)| **other == tensor).map(|(_, other)| other.clone());
        self.0.push((constant.name.clone(), same.unwrap_or_else(|| Arc::new(tensor))));
        Ok(true)
    }
}

/// Room for a big constant of `len` bytes, if its type and shape are plain and agree with that.
fn empty_tensor(constant: &TensorProto, len: usize) -> Option<Tensor> {
    let element = match DataType::try_from(constant.data_type).ok()? {
        DataType::Float => f32::datum_type(),
        DataType::Int8 => i8::datum_type(),
        DataType::Uint8 => u8::datum_type(),
        _ => return None,
    };
    let shape: TVec<usize> = constant.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect::<Option<_>>()?;
    let bytes = shape.iter().try_fold(element.size_of(), |bytes, dim| bytes.checked_mul(*dim))?;
    let is_usable = len >= BIG && bytes == len && shape.len() >= 2 && !constant.name.is_empty();
    is_usable.then(|| Tensor::zero_dt(element, &shape).ok())?
}

impl Weights {
    /// Names of all that were taken.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// The graph that was read without them, with them.
    ///
    /// # Errors
    /// If a node reads what nothing makes.
    pub fn put_into(self, parsed: ParseResult) -> TractResult<InferenceModel> {
        let ParseResult { mut model, unresolved_inputs, outlets_by_name } = parsed;
        let known: HashSet<&str> = self.names().collect();
        let missing: Vec<_> = unresolved_inputs.iter().filter(|name| !known.contains(name.as_str())).collect();
        ensure!(missing.is_empty(), "nothing makes {missing:?}");
        for (name, tensor) in &self.0 {
            // What no node reads is not in the graph.
            let Some(outlet) = outlets_by_name.get(name) else { continue };
            let fact = TypedFact::try_from(tensor.clone())?;
            let node = model.node_mut(outlet.node);
            node.op = Box::new(Const::new(tensor.clone())?);
            node.outputs[outlet.slot].fact = fact.into();
            model.inputs.retain(|input| input != outlet);
        }
        Ok(model)
    }
}
