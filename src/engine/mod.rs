//! The seam to tract: the one module that knows how a graph is loaded and run.
//!
//! A [`Graph`] takes and gives [`Value`]s in the order of its ports. Axes that the caller knows when it loads the graph
//! (the beam, the encoder's grid) are fixed then; an axis left open, such as a cache that grows, is free in each run.
//! tract panics on some malformed graphs: both load and run are guarded, and a panic becomes an error.

mod arithmetic;
mod file;
mod int8;
mod load;
mod operators;
mod pool;
mod ports;
mod protobuf;
mod qoperator;
mod sizes;
mod validate;
mod value;
mod weights;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tract_onnx::prelude::*;

pub(crate) use self::file::GraphFile;
pub use self::operators::{OperatorCount, OperatorTime};
pub(crate) use self::pool::Pool;
pub(crate) use self::sizes::GraphSizes;
pub(crate) use self::value::Value;

use self::arithmetic::Arithmetic;
use crate::error::{Error, Result};
use crate::guard::{self, Cause};

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
    /// then known wherever else it occurs. `pool` does the work on big layers.
    ///
    /// # Errors
    /// [`Error::GraphLoad`] for what tract cannot load, [`Error::GraphContract`] where a known shape does not fit,
    /// [`Error::Kernels`] if the environment asks for kernels that are not there.
    pub fn load(
        path: &Path,
        onnx: GraphFile,
        pool: &Pool,
        known_shape: impl Fn(&Port) -> Option<Vec<usize>>,
    ) -> Result<Self> {
        Self::load_for(Arithmetic::from_env()?, path, onnx, pool, known_shape)
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
        self.run_with(|state, inputs| state.run(inputs), inputs, outputs)
    }

    /// Runs the graph by `run`, and starts from a fresh state after an error.
    fn run_with(
        &mut self,
        run: impl FnOnce(&mut TypedSimpleState, TVec<TValue>) -> TractResult<TVec<TValue>>,
        inputs: &[Value],
        outputs: &mut Vec<Value>,
    ) -> Result<()> {
        outputs.clear();
        let state = &mut self.state;
        let inputs = inputs.iter().map(|value| TValue::from_const(value.0.clone())).collect();
        match guarded(|| run(state, inputs)) {
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
}

fn load_error(path: &Path) -> impl FnOnce(Cause) -> Error + use<> {
    let path = path.to_path_buf();
    move |cause| Error::GraphLoad { path, cause }
}

/// Runs a piece of tract; its errors are chains, shown here in one line.
fn guarded<T>(call: impl FnOnce() -> TractResult<T>) -> std::result::Result<T, Cause> {
    guard::guarded(|| call().map_err(|e| format!("{e:#}")))
}
