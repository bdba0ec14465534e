//! The seam to tract: the one module that knows how a graph is loaded and run.
//!
//! A [`Graph`] takes and gives [`Value`]s in the order of its ports. Axes that the caller knows when it loads the graph
//! (the beam, the encoder's grid) are fixed then; an axis left open, such as a cache that grows, is free in each run.
//! tract panics on some malformed graphs: both load and run are guarded, and a panic becomes an error.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tract_onnx::pb::{GraphProto, ModelProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_hir::infer::Factoid;

use crate::caption::Token;
use crate::error::{Error, Result};
use crate::guard::{self, Cause};
use crate::limits::MAX_PORTS;

/// Element types that cross the seam.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// 32-bit float.
    F32,
    /// 64-bit integer.
    I64,
    /// Anything else; not fed or read here.
    Other,
}

/// An input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name of the tensor in the ONNX graph.
    pub name: String,
    /// Type of its elements.
    pub element: Element,
    /// Length of each axis; `None` where it may differ from run to run.
    pub dims: Vec<Option<usize>>,
}

/// How many nodes of a loaded graph do a kind of arithmetic in a kind of number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OperatorCount {
    /// Operator, as the engine names it.
    pub operator: String,
    /// Type of number that it computes on: `f32`, `i8`, ...
    pub arithmetic: String,
    /// Nodes of this kind.
    pub count: usize,
}

/// A tensor, shared between graphs without a copy.
#[derive(Debug, Clone)]
pub(crate) struct Value(Arc<Tensor>);

impl Value {
    /// A zero-filled f32 tensor.
    pub fn zeros(shape: &[usize]) -> Self {
        Self(Arc::new(Tensor::zero::<f32>(shape).expect("f32 can be zeroed at any checked shape")))
    }

    /// Room for the last token of each beam row, (rows, 1).
    pub fn tokens(rows: usize) -> Self {
        Self(Arc::new(Tensor::zero::<i64>(&[rows, 1]).expect("i64 can be zeroed at any checked shape")))
    }

    pub fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    /// Elements in row-major order; empty if the tensor is not f32.
    pub fn as_f32(&self) -> &[f32] {
        if self.0.datum_type() != f32::datum_type() {
            return &[];
        }
        self.0.as_plain_ram().map_or(&[], |view| view.as_slice::<f32>().unwrap_or(&[]))
    }

    /// Writes elements in row-major order; copies the tensor first if another holder still reads it.
    pub fn write_f32(&mut self, write: impl FnOnce(&mut [f32])) {
        if let Some(mut view) = Arc::make_mut(&mut self.0).as_plain_ram_mut()
            && let Ok(elements) = view.as_slice_mut::<f32>()
        {
            write(elements);
        }
    }

    /// Writes one token a row; rows beyond `tokens` keep what they had.
    pub fn set_tokens(&mut self, tokens: &[Token]) {
        if let Some(mut view) = Arc::make_mut(&mut self.0).as_plain_ram_mut()
            && let Ok(slots) = view.as_slice_mut::<i64>()
        {
            for (slot, token) in slots.iter_mut().zip(tokens) {
                *slot = i64::from(*token);
            }
        }
    }
}

/// A graph made ready to run.
pub(crate) struct Graph {
    path: PathBuf,
    file_len: usize,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    plan: Arc<TypedSimplePlan>,
    state: TypedSimpleState,
}

impl Graph {
    /// Parses, checks and optimizes an ONNX graph. `path` only names it in errors.
    ///
    /// `known_shape` gives the shape that an input will have, where the caller knows it; a symbol on one of its axes is
    /// then known wherever else it occurs.
    ///
    /// # Errors
    /// [`Error::GraphLoad`] for what tract cannot load, [`Error::GraphContract`] where a known shape does not fit.
    pub fn load(path: &Path, onnx: &[u8], known_shape: impl Fn(&Port) -> Option<Vec<usize>>) -> Result<Self> {
        let path = path.to_path_buf();
        let proto = guarded(|| tract_onnx::onnx().proto_model_for_read(&mut &onnx[..])).map_err(load_error(&path))?;
        let names =
            PortNames::of(proto.graph.as_ref().ok_or_else(|| load_error(&path)("no graph in the file".into()))?);
        names.check_count(&path)?;
        let mut model = guarded(|| infer(&proto)).map_err(load_error(&path))?;
        drop(proto);
        let known = known_symbols(&path, &model, &names.inputs, known_shape)?;
        let plan = guarded(|| {
            model.set_symbols(&known)?;
            model.into_optimized()?.into_runnable()
        });
        let plan = plan.map_err(load_error(&path))?;
        let state = guarded(|| plan.spawn()).map_err(load_error(&path))?;
        let inputs = guarded(|| typed_ports(&names.inputs, plan.model(), plan.model().input_outlets()?));
        let outputs = guarded(|| typed_ports(&names.outputs, plan.model(), plan.model().output_outlets()?));
        let (inputs, outputs) = (inputs.map_err(load_error(&path))?, outputs.map_err(load_error(&path))?);
        Ok(Self { path, file_len: onnx.len(), inputs, outputs, plan, state })
    }

    /// The file that the graph came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of that file.
    pub fn file_len(&self) -> usize {
        self.file_len
    }

    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Runs the graph on one value for each input and replaces `outputs` by one for each output.
    ///
    /// # Errors
    /// [`Error::GraphRun`]; the graph can be run again.
    pub fn run(&mut self, inputs: &[Value], outputs: &mut Vec<Value>) -> Result<()> {
        outputs.clear();
        let state = &mut self.state;
        let result = guarded(|| state.run(inputs.iter().map(|value| TValue::from_const(value.0.clone())).collect()));
        match result {
            Ok(values) => {
                outputs.extend(values.into_iter().map(|value| Value(value.into_arc_tensor())));
                Ok(())
            }
            Err(cause) => {
                self.state =
                    self.plan.spawn().map_err(|e| Error::GraphRun { path: self.path.clone(), cause: e.into() })?;
                Err(Error::GraphRun { path: self.path.clone(), cause })
            }
        }
    }

    /// What the loaded graph computes on, most frequent first; bookkeeping such as reshapes left out.
    pub fn operators(&self) -> Vec<OperatorCount> {
        let model = self.plan.model();
        let mut counts = BTreeMap::<(String, String), usize>::new();
        for node in model.nodes().iter().filter(|node| !is_bookkeeping(&node.op().name())) {
            let arithmetic = node.inputs.first().and_then(|outlet| model.outlet_fact(*outlet).ok());
            let arithmetic =
                arithmetic.map_or_else(String::new, |fact| format!("{:?}", fact.datum_type).to_lowercase());
            *counts.entry((node.op().name().into_owned(), arithmetic)).or_default() += 1;
        }
        let mut counts: Vec<_> = counts
            .into_iter()
            .map(|((operator, arithmetic), count)| OperatorCount { operator, arithmetic, count })
            .collect();
        counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.cmp(b)));
        counts
    }
}

fn is_bookkeeping(operator: &str) -> bool {
    ["Const", "Source", "AddAxis", "RmAxis", "Move", "Reshape", "Cast"].iter().any(|name| operator.starts_with(name))
}

/// Names of the tensors that enter and leave, in the file's order.
struct PortNames {
    inputs: Vec<String>,
    outputs: Vec<String>,
}

impl PortNames {
    fn of(graph: &GraphProto) -> Self {
        let is_weight = |name: &str| graph.initializer.iter().any(|weight| weight.name == name);
        let inputs = graph.input.iter().filter(|input| !is_weight(&input.name));
        Self {
            inputs: inputs.map(|input| input.name.clone()).collect(),
            outputs: graph.output.iter().map(|output| output.name.clone()).collect(),
        }
    }

    fn check_count(&self, path: &Path) -> Result<()> {
        let ports = self.inputs.len() + self.outputs.len();
        if ports <= MAX_PORTS {
            return Ok(());
        }
        let problem = format!("are {ports}, more than {MAX_PORTS}");
        Err(Error::GraphContract { path: path.to_path_buf(), port: "inputs and outputs".into(), problem })
    }
}

fn infer(proto: &ModelProto) -> TractResult<InferenceModel> {
    // Shapes that the exporter noted beside the graph may name symbols of its own; tract infers them anew.
    tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_shapes(true).model_for_proto_model(proto)
}

/// Matches the shapes that the caller knows against those in the file.
fn known_symbols(
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

fn typed_ports(names: &[String], model: &TypedModel, outlets: &[OutletId]) -> TractResult<Vec<Port>> {
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

fn load_error(path: &Path) -> impl FnOnce(Cause) -> Error + use<> {
    let path = path.to_path_buf();
    move |cause| Error::GraphLoad { path, cause }
}

/// Runs a piece of tract; its errors are chains, shown here in one line.
fn guarded<T>(call: impl FnOnce() -> TractResult<T>) -> std::result::Result<T, Cause> {
    guard::guarded(|| call().map_err(|e| format!("{e:#}")))
}
