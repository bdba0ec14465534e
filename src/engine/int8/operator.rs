//! A region as one tract operator.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tract_onnx::tract_core::internal::*;

use super::plan::Plan;

/// The operator; its plan is shared by all who hold it.
#[derive(Clone)]
pub(in crate::engine) struct Int8Region {
    plan: Arc<Plan>,
}

impl Int8Region {
    pub(super) fn new(plan: Plan) -> Self {
        Self { plan: Arc::new(plan) }
    }

    /// Name of the kernel set that it was packed for.
    pub fn kernel_set(&self) -> &'static str {
        self.plan.set.name()
    }

    /// Name of the layer and of the operator, for each step.
    pub fn steps(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.plan.steps.iter().map(|step| (step.name.as_str(), step.work.name()))
    }
}

impl fmt::Debug for Int8Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Int8Region({} steps, {} kernels)", self.plan.steps.len(), self.kernel_set())
    }
}

impl PartialEq for Int8Region {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.plan, &other.plan)
    }
}

impl Eq for Int8Region {}

impl Op for Int8Region {
    fn name(&self) -> StaticName {
        "Int8Region".into()
    }
    op_as_typed_op!();
}

impl EvalOp for Int8Region {
    not_out_of_plan!();

    fn state(&self, _: &EvalContext) -> TractResult<Option<Box<dyn OpState>>> {
        Ok(Some(Box::new(RegionState { arena: vec![0; self.plan.arena.len] })))
    }
}

impl TypedOp for Int8Region {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(self.plan.outputs.iter().map(|(element, shape)| element.fact(&shape[..])).collect())
    }
    as_op!();
}

/// The memory of a region between runs.
#[derive(Clone)]
pub(in crate::engine) struct RegionState {
    arena: Vec<u8>,
}

impl RegionState {
    /// Runs the region and tells how long each step took.
    pub fn eval_timed(&mut self, op: &Int8Region, inputs: &[TValue]) -> TractResult<(TVec<TValue>, Vec<Duration>)> {
        let mut starts = vec![];
        let outputs = op.plan.run(&mut self.arena, inputs, |_| starts.push(Instant::now()))?;
        starts.push(Instant::now());
        Ok((outputs, starts.windows(2).map(|pair| pair[1] - pair[0]).collect()))
    }
}

impl fmt::Debug for RegionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegionState({} bytes)", self.arena.len())
    }
}

impl OpState for RegionState {
    fn eval(&mut self, _: &EvalContext, op: &dyn Op, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let region = op.downcast_ref::<Int8Region>().context("a region's state met another operator")?;
        region.plan.run(&mut self.arena, &inputs, |_| {})
    }

    fn reset_lanes(&mut self, _: &[LaneId]) -> TractResult<()> {
        Ok(())
    }
}
