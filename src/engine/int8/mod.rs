//! The int8 pass: finds what a quantized graph computes on u8 tensors and runs it in kernels of our own.
//!
//! tract reads and types the graph; then
//! 1. `patterns` explains tensors as layers (a convolution between DequantizeLinear and QuantizeLinear, ...),
//! 2. `regions` groups the layers that nothing of tract's stands between,
//! 3. `plan` packs the weights of each region and gives its tensors places in one arena,
//! 4. `rebuild` puts each region back into the graph as one operator.
//!
//! Whatever no pattern explains stays with tract, which computes it on floats; of that, `attention` and
//! `float_depthwise` replace what tract is slow at.

mod activation;
mod arena;
mod attention;
mod bias;
mod convolution;
mod dynamic;
mod embedding;
mod float_depthwise;
mod layer;
mod lookup;
mod onnx;
mod operator;
mod patterns;
mod plan;
mod pool;
mod product;
mod rebuild;
mod regions;
mod residual;
mod scheme;
mod split;
mod step;
mod strips;
mod tensors;
#[cfg(test)]
mod tests;
mod view;

use tract_onnx::tract_core::internal::*;

pub(super) use self::onnx::register;
pub(super) use self::operator::{Int8Region, RegionState};

use self::plan::Plan;
use self::view::View;
use super::Pool;
use crate::kernels::KernelSet;

/// `model` with all that can be computed on u8 tensors done by `set`, on the threads of `pool`.
///
/// # Errors
/// If the graph is malformed.
pub(super) fn compile(mut model: TypedModel, set: KernelSet, pool: &Pool) -> TractResult<TypedModel> {
    embedding::gather_integers(&mut model)?;
    activation::replace_activations(&mut model)?;
    let order = model.eval_order()?;
    let view = View { model: &model };
    let layers = order.iter().filter_map(|id| patterns::layer(view, model.node(*id))).collect();
    let mut regions = regions::regions(&model, &order, layers);
    rebuild::release_constants(&mut model, &regions)?;
    let view = View { model: &model };
    let mut compiled = vec![];
    for region in &mut regions {
        compiled.push(Int8Region::new(Plan::compile(view, set, pool, region)?));
    }
    let model = rebuild::rebuild(&model, set, regions.into_iter().zip(compiled).collect())?;
    float_depthwise::replace(model, set)
}
