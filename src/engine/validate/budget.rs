//! What a run of a graph takes, told from the shapes of its tensors.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use crate::limits::{MAX_MULTIPLICATIONS, MAX_TOKENS};
use crate::memory_pool::MemoryPool;

/// Bytes that a tensor may have beyond what the whole model was computed to need.
const ALLOWANCE: usize = 16 << 20;

/// How many times as much as the largest one all tensors of a graph may have together, though few are there at once.
const TENSORS: usize = 16;

/// Checks the shapes that the graph itself computes, and how much work a run is; open axes are as long as a caption.
///
/// # Errors
/// A sentence that names the node and the limit.
pub fn check(model: &TypedModel) -> TractResult<()> {
    let (mut all, mut work) = (0usize, 0u64);
    let most = MemoryPool::needed().saturating_add(ALLOWANCE).min(MemoryPool::size().unwrap_or(usize::MAX));
    for node in model.nodes() {
        for output in &node.outputs {
            let elements = output.fact.shape.iter().map(number).fold(1, usize::saturating_mul);
            let bytes = elements.saturating_mul(output.fact.datum_type.size_of());
            ensure!(bytes <= most, "{:?} makes {bytes} bytes, where {most} are the most for this model", node.name);
            all = all.saturating_add(bytes);
        }
        work = work.saturating_add(multiplications(model, node)?);
    }
    let most = most.saturating_mul(TENSORS);
    ensure!(all <= most, "all its tensors have {all} bytes, where {most} are the most for this model");
    ensure!(work <= MAX_MULTIPLICATIONS, "a run takes {work} multiplications, more than {MAX_MULTIPLICATIONS}");
    Ok(())
}

fn multiplications(model: &TypedModel, node: &TypedNode) -> TractResult<u64> {
    let facts = model.node_input_facts(node.id)?;
    let costs = node.op.cost(&facts)?;
    let counted = costs.iter().filter(|(cost, _)| cost.is_compute());
    Ok(counted.map(|(_, count)| number(count) as u64).fold(0, u64::saturating_add))
}

/// A length, as it is in the longest caption; what cannot be told is the most there is.
fn number(dim: &TDim) -> usize {
    let number = dim.to_i64().or_else(|_| {
        let longest = dim.symbols().iter().fold(SymbolValues::default(), |all, one| all.with(one, MAX_TOKENS as i64));
        dim.eval(&longest).to_i64()
    });
    number.ok().and_then(|number| usize::try_from(number).ok()).unwrap_or(usize::MAX)
}
