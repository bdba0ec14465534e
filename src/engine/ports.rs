//! The inputs and outputs of a graph: their names, types and shapes.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use tract_onnx::pb::GraphProto;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_hir::infer::Factoid;

use super::weights::Weights;
use super::{Element, Port, load_error};
use crate::error::{Error, Result};
use crate::limits::MAX_PORTS;

/// Names of the tensors that enter and leave, in the file's order.
pub(super) struct PortNames {
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
}

impl PortNames {
    pub fn of(graph: &GraphProto, weights: &Weights) -> Self {
        let initializers = graph.initializer.iter().map(|weight| &*weight.name);
        let constants: HashSet<&str> = initializers.chain(weights.names()).collect();
        let is_weight = |name: &str| constants.contains(name);
        let inputs = graph.input.iter().filter(|input| !is_weight(&input.name));
        Self {
            inputs: inputs.map(|input| input.name.clone()).collect(),
            outputs: graph.output.iter().map(|output| output.name.clone()).collect(),
        }
    }

    pub fn check_count(&self, path: &Path) -> Result<()> {
        let ports = self.inputs.len() + self.outputs.len();
        if ports <= MAX_PORTS {
            return Ok(());
        }
        let problem = format!("are {ports}, more than {MAX_PORTS}");
        Err(Error::GraphContract { path: path.to_path_buf(), port: "inputs and outputs".into(), problem })
    }
}

/// Matches the shapes that the caller knows against those in the file.
pub(super) fn known_symbols(
    path: &Path,
    model: &InferenceModel,
    names: &[String],
    known_shape: impl Fn(&Port) -> Option<Vec<usize>>,
) -> Result<HashMap<Symbol, TDim>> {
    let mut known = HashMap::new();
    for (name, outlet) in names.iter().zip(model.input_outlets().map_err(|e| load_error(path)(e.into()))?) {
        let fact = model.outlet_fact(*outlet).map_err(|e| load_error(path)(e.into()))?;
        let dims: Vec<TDim> = fact.shape.dims().map(|dim| dim.concretize().unwrap_or(TDim::Val(-1))).collect();
        let port = Port {
            name: name.clone(),
            element: fact.datum_type.concretize().map_or(Element::Other, element),
            dims: dims.iter().map(|dim| dim.to_usize().ok()).collect(),
        };
        let Some(shape) = known_shape(&port) else { continue };
        if shape.len() != dims.len()
            || dims.iter().zip(&shape).any(|(dim, len)| dim.to_usize().is_ok_and(|d| d != *len))
        {
            let problem = format!("has shape {dims:?}, must take {shape:?}");
            return Err(Error::GraphContract { path: path.to_path_buf(), port: name.clone(), problem });
        }
        let symbols = dims.into_iter().zip(shape).filter_map(|(dim, len)| match dim {
            TDim::Sym(symbol) => Some((symbol, len.to_dim())),
            _ => None,
        });
        known.extend(symbols);
    }
    Ok(known)
}

pub(super) fn typed_ports(names: &[String], model: &TypedModel, outlets: &[OutletId]) -> TractResult<Vec<Port>> {
    names.iter().zip(outlets).map(|(name, outlet)| typed_port(name, model.outlet_fact(*outlet)?)).collect()
}

fn typed_port(name: &str, fact: &TypedFact) -> TractResult<Port> {
    let dims = fact.shape.iter().map(|dim| dim.to_usize().ok()).collect();
    Ok(Port { name: name.into(), element: element(fact.datum_type), dims })
}

fn element(datum_type: DatumType) -> Element {
    match datum_type {
        DatumType::F32 => Element::F32,
        DatumType::I64 | DatumType::TDim => Element::I64,
        _ => Element::Other,
    }
}
