//! Reading a typed graph backwards: what constant a value is, what lies behind a reshape or a clamp.
//!
//! Nothing here trusts the graph: whatever is unusual is answered by `None` and stays with tract.

use std::sync::Arc;

use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::{BinMiniOp, TypedBinOp};
use tract_onnx::tract_core::ops::cast::Cast;
use tract_onnx::tract_core::ops::math::{Max, Min, Mul};

use super::layer::{Activation, Kernel, Layout};
use super::scheme::{Dequantize, Scheme};
use crate::kernels::{Quantization, WeightOrder};

/// Nodes between a constant and the value computed of it.
const MAX_CONSTANT_DEPTH: usize = 8;

/// A typed graph, read only.
#[derive(Clone, Copy)]
pub(super) struct View<'m> {
    pub model: &'m TypedModel,
}

impl<'m> View<'m> {
    /// The node that makes `outlet`, if it is an operator of that type.
    pub fn maker<O: TypedOp>(self, outlet: OutletId) -> Option<(&'m TypedNode, &'m O)> {
        let node = self.model.nodes().get(outlet.node)?;
        (outlet.slot == 0).then(|| node.op_as::<O>().map(|op| (node, op)))?
    }

    /// The node that makes `outlet`, if it is an elementwise operator of two inputs of that type.
    pub fn binary<O: BinMiniOp>(self, outlet: OutletId) -> Option<[OutletId; 2]> {
        let (node, op) = self.maker::<TypedBinOp>(outlet)?;
        (op.0.is::<O>() && node.inputs.len() == 2).then(|| [node.inputs[0], node.inputs[1]])
    }

    pub fn shape(self, outlet: OutletId) -> Option<&'m [usize]> {
        self.model.outlet_fact(outlet).ok()?.shape.as_concrete()
    }

    pub fn layout(self, outlet: OutletId) -> Option<Layout> {
        Layout::of(self.shape(outlet)?)
    }

    pub fn is_float(self, outlet: OutletId) -> bool {
        self.model.outlet_fact(outlet).is_ok_and(|fact| fact.datum_type == f32::datum_type())
    }

    /// The value of `outlet`, if it is known now.
    pub fn constant(self, outlet: OutletId) -> Option<Arc<Tensor>> {
        self.constant_within(outlet, MAX_CONSTANT_DEPTH)
    }

    fn constant_within(self, outlet: OutletId, depth: usize) -> Option<Arc<Tensor>> {
        if let Some(value) = &self.model.outlet_fact(outlet).ok()?.konst {
            return Some(value.clone());
        }
        let node = self.model.node(outlet.node);
        if node.inputs.is_empty() || depth == 0 {
            return None;
        }
        let value = |input: &OutletId| self.constant_within(*input, depth - 1).map(|value| value.into_tvalue());
        let inputs = node.inputs.iter().map(value).collect::<Option<TVec<_>>>()?;
        let outputs = node.op.eval_out_of_plan(inputs).ok()??;
        outputs.into_iter().nth(outlet.slot).map(|value| value.into_arc_tensor())
    }

    /// The elements of a constant f32 tensor.
    pub fn constant_floats(self, outlet: OutletId) -> Option<Vec<f32>> {
        let tensor = self.constant(outlet)?;
        let elements = tensor.as_plain_ram()?.as_slice::<f32>().ok()?.to_vec();
        Some(elements)
    }

    /// The one value that a constant f32 tensor has in all its elements.
    pub fn constant_float(self, outlet: OutletId) -> Option<f32> {
        let elements = self.constant_floats(outlet)?;
        let (first, rest) = elements.split_first()?;
        rest.iter().all(|element| element == first).then_some(*first)
    }

    /// What a reshape, a cast to the type that it has already or a product with 1 is made of, if its elements lie in the
    /// same order.
    fn behind_one_reshape(self, outlet: OutletId) -> Option<OutletId> {
        if let Some([first, second]) = self.binary::<Mul>(outlet) {
            let is_one = |factor| self.constant_float(factor) == Some(1.0);
            let behind = if is_one(first) { second } else { is_one(second).then_some(first)? };
            return (self.shape(behind) == self.shape(outlet)).then_some(behind);
        }
        if let Some((node, cast)) = self.maker::<Cast>(outlet) {
            let is_same = self.model.outlet_fact(node.inputs[0]).is_ok_and(|fact| fact.datum_type == cast.to);
            return is_same.then(|| node.inputs[0]);
        }
        let (node, op) = self.maker::<AxisOp>(outlet)?;
        let (before, after) = (self.shape(node.inputs[0])?, self.shape(outlet)?);
        let is_vector = before.iter().filter(|dim| **dim != 1).count() <= 1;
        let keeps_rows = Layout::of(before)? == Layout::of(after)? && !matches!(op, AxisOp::Move(..));
        (is_vector || keeps_rows).then(|| node.inputs[0])
    }

    /// The value behind all reshapes that keep the elements where they are.
    pub fn behind_reshapes(self, mut outlet: OutletId) -> OutletId {
        while let Some(behind) = self.behind_one_reshape(outlet) {
            outlet = behind;
        }
        outlet
    }

    /// The value behind reshapes and clamps, and the range to which the clamps keep it.
    pub fn behind_clamps(self, outlet: OutletId) -> (OutletId, [f32; 2]) {
        let mut outlet = self.behind_reshapes(outlet);
        let mut bounds = vec![];
        while let Some((value, bound)) = self.bounded(outlet) {
            bounds.push(bound);
            outlet = self.behind_reshapes(value);
        }
        let unbounded = [f32::NEG_INFINITY, f32::INFINITY];
        let range = bounds.iter().rev().fold(unbounded, |range, bound| match *bound {
            Bound::Low(low) => range.map(|limit| limit.max(low)),
            Bound::High(high) => range.map(|limit| limit.min(high)),
        });
        (outlet, range)
    }

    fn bounded(self, outlet: OutletId) -> Option<(OutletId, Bound)> {
        let parts = |[first, second]: [OutletId; 2]| {
            let with =
                |value, bound| self.constant_float(bound).filter(|bound| !bound.is_nan()).map(|bound| (value, bound));
            with(first, second).or_else(|| with(second, first))
        };
        if let Some((value, low)) = self.binary::<Max>(outlet).and_then(parts) {
            return Some((value, Bound::Low(low)));
        }
        self.binary::<Min>(outlet).and_then(parts).map(|(value, high)| (value, Bound::High(high)))
    }

    /// The quantized tensor of which `outlet` is the real value.
    pub fn activation(self, outlet: OutletId) -> Option<Activation> {
        let layout = self.layout(outlet)?;
        let (node, op) = self.maker::<Dequantize>(self.behind_reshapes(outlet))?;
        let steps = self.behind_reshapes(node.inputs[0]);
        let fact = self.model.outlet_fact(steps).ok()?;
        if fact.konst.is_some() {
            return None;
        }
        let quantization = quantization(&op.scheme, fact.datum_type)?;
        Some(Activation { outlet: steps, quantization, layout })
    }

    /// The signed weights of which `outlet` is the real value; `axis` is that of the output channels.
    pub fn kernel(self, outlet: OutletId, axis: usize, order: WeightOrder) -> Option<Kernel> {
        let (node, op) = self.maker::<Dequantize>(outlet)?;
        let values = self.constant(node.inputs[0])?;
        let channels = *values.shape().get(axis)?;
        let scales = op.scheme.scales_along(axis, channels)?;
        let is_usable = values.datum_type() == i8::datum_type() && !op.scheme.has_zero_points() && channels > 0;
        (is_usable && scales.iter().all(|scale| is_scale(*scale))).then_some(Kernel { values, order, scales })
    }
}

/// One side of a clamp.
#[derive(Debug, Clone, Copy)]
enum Bound {
    Low(f32),
    High(f32),
}

/// Numbers of a u8 tensor; those of an i8 tensor shifted to u8.
pub(super) fn quantization(scheme: &Scheme, element: DatumType) -> Option<Quantization> {
    let (scale, zero_point) = scheme.of_tensor()?;
    let shift = match element {
        DatumType::U8 => 0,
        DatumType::I8 => 128,
        _ => return None,
    };
    let zero_point = u8::try_from(zero_point.checked_add(shift)?).ok()?;
    is_scale(scale).then_some(Quantization { scale, zero_point })
}

pub(super) fn is_scale(scale: f32) -> bool {
    scale.is_normal() && scale > 0.0
}
