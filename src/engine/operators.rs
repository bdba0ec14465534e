//! What a loaded graph consists of, and where its time goes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::plan::eval;

use super::int8::{Int8Region, RegionState};
use super::{Graph, Value};
use crate::error::Result;

/// How many nodes of a loaded graph do a kind of arithmetic in a kind of number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OperatorCount {
    /// Operator, as the engine names it.
    pub operator: String,
    /// Type of number that it computes on: `f32`, `i8`, ..., or `int8` with the kernel set that computes it.
    pub arithmetic: String,
    /// Nodes of this kind.
    pub count: usize,
}

/// How long one operator of a loaded graph took in one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorTime {
    /// Name of the node in the ONNX graph, or near it.
    pub name: String,
    /// Operator and arithmetic, as in [`OperatorCount`].
    pub operator: String,
    pub arithmetic: String,
    pub time: Duration,
}

impl Graph {
    /// What the loaded graph computes on, most frequent first; bookkeeping such as reshapes left out.
    pub fn operators(&self) -> Vec<OperatorCount> {
        let model = self.plan.model();
        let mut counts = BTreeMap::<(String, String), usize>::new();
        for node in model.nodes().iter().filter(|node| !is_bookkeeping(&node.op().name())) {
            let arithmetic = arithmetic(model, node);
            match node.op_as::<Int8Region>() {
                Some(region) => region.steps().for_each(|(_, operator)| {
                    *counts.entry((operator.into(), arithmetic.clone())).or_default() += 1;
                }),
                None => *counts.entry((node.op().name().into_owned(), arithmetic)).or_default() += 1,
            }
        }
        let mut counts: Vec<_> = counts
            .into_iter()
            .map(|((operator, arithmetic), count)| OperatorCount { operator, arithmetic, count })
            .collect();
        counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.cmp(b)));
        counts
    }

    /// Like [`Graph::run`], and tells how long each operator took, in the order of the run.
    ///
    /// # Errors
    /// [`Error::GraphRun`](crate::Error::GraphRun); the graph can be run again.
    pub fn run_timed(&mut self, inputs: &[Value], outputs: &mut Vec<Value>) -> Result<Vec<OperatorTime>> {
        let plan = self.plan.clone();
        let mut times = vec![];
        let timed = |state: &mut TypedSimpleState, inputs| {
            state.run_plan_with_eval(inputs, |context, state, node, inputs| {
                eval_timed(plan.model(), context, state, node, inputs, &mut times)
            })
        };
        self.run_with(timed, inputs, outputs)?;
        Ok(times)
    }
}

fn eval_timed(
    model: &TypedModel,
    context: &EvalContext<'_>,
    mut state: Option<&mut (dyn OpState + 'static)>,
    node: &TypedNode,
    inputs: TVec<TValue>,
    times: &mut Vec<OperatorTime>,
) -> TractResult<TVec<TValue>> {
    let arithmetic = arithmetic(model, node);
    let mut note = |name: &str, operator: &str, time| {
        times.push(OperatorTime { name: name.into(), operator: operator.into(), arithmetic: arithmetic.clone(), time });
    };
    let region_state = state.as_deref_mut().and_then(|state| state.downcast_mut::<RegionState>());
    if let Some((region, region_state)) = node.op_as::<Int8Region>().zip(region_state) {
        let (outputs, steps) = region_state.eval_timed(region, &inputs)?;
        region.steps().zip(steps).for_each(|((name, operator), time)| note(name, operator, time));
        return Ok(outputs);
    }
    let start = Instant::now();
    let outputs = eval(context, state, node, inputs)?;
    if !is_bookkeeping(&node.op().name()) {
        note(&node.name, &node.op().name(), start.elapsed());
    }
    Ok(outputs)
}

/// The numbers that a node computes on, and for our own operators by which kernels.
fn arithmetic(model: &TypedModel, node: &TypedNode) -> String {
    if let Some(region) = node.op_as::<Int8Region>() {
        return format!("int8 {}", region.kernel_set());
    }
    let fact = node.inputs.first().and_then(|outlet| model.outlet_fact(*outlet).ok());
    fact.map_or_else(String::new, |fact| format!("{:?}", fact.datum_type).to_lowercase())
}

fn is_bookkeeping(operator: &str) -> bool {
    ["Const", "Source", "AddAxis", "RmAxis", "Move", "Reshape", "Cast"].iter().any(|name| operator.starts_with(name))
}
