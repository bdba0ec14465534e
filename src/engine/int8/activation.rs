//! Tanh and sigmoid on floats, the same bit for bit on every CPU.
//!
//! tract has a kernel for each CPU, and those differ in the last place: enough to make two boards disagree in what an
//! encoder gives. Here are sums, products and quotients in one order, which IEEE 754 rounds alike everywhere.

use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::element_wise::{ElementWiseMiniOp, ElementWiseOp};
use tract_onnx::tract_core::ops::{math, nn};

/// A function that stands in for tract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activation {
    Tanh,
    Sigmoid,
}

/// Puts them in the place of tract's tanh and sigmoid of f32 tensors.
pub(super) fn replace_activations(model: &mut TypedModel) -> TractResult<()> {
    for id in 0..model.nodes().len() {
        let Some(activation) = Activation::of(model.node(id)) else { continue };
        if model.node_input_facts(id)?.iter().all(|fact| fact.datum_type == f32::datum_type()) {
            model.node_mut(id).op = Box::new(ElementWiseOp(Box::new(activation), None));
        }
    }
    Ok(())
}

impl Activation {
    fn of(node: &TypedNode) -> Option<Self> {
        let ElementWiseOp(function, _) = node.op_as::<ElementWiseOp>()?;
        if function.is::<math::Tanh>() {
            Some(Self::Tanh)
        } else if function.is::<nn::Sigmoid>() {
            Some(Self::Sigmoid)
        } else {
            None
        }
    }

    fn apply(self, values: &mut [f32]) {
        match self {
            Self::Tanh => values.iter_mut().for_each(|value| *value = tanh(*value)),
            Self::Sigmoid => values.iter_mut().for_each(|value| *value = 0.5 + 0.5 * tanh(0.5 * *value)),
        }
    }
}

impl ElementWiseMiniOp for Activation {
    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn eval_in_place(&self, tensor: &mut Tensor, _: Option<DatumType>) -> TractResult<()> {
        self.apply(tensor.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?);
        Ok(())
    }
}

/// Beyond this the f32 next to tanh is 1.
const SATURATION: f32 = 9.010_913;

/// Within 6e-7 of tanh: its continued fraction `x / (1 + x2 / (3 + x2 / (5 + ...)))`, cut and brought to one quotient, of a
/// third of the value, and from there by `tanh(3 y) = (3 t + t^3) / (1 + 3 t^2)`.
///
/// NaN stays NaN.
fn tanh(value: f32) -> f32 {
    let third = value.clamp(-SATURATION, SATURATION) / 3.0;
    let x2 = third * third;
    let over = third * (x2 * (x2 * (x2 * (x2 + 990.0) + 135_135.0) + 4_729_725.0) + 34_459_425.0);
    let under = x2 * (x2 * (x2 * (45.0 * x2 + 13_860.0) + 945_945.0) + 16_216_200.0) + 34_459_425.0;
    let t = over / under;
    let t2 = t * t;
    (t * (3.0 + t2) / (1.0 + 3.0 * t2)).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All f32 of a coarse grid, dense near zero.
    fn grid() -> impl Iterator<Item = f32> {
        (0..0x4180_0000u32).step_by(4099).flat_map(|bits| [f32::from_bits(bits), -f32::from_bits(bits)])
    }

    #[test]
    fn both_are_within_rounding_of_their_definitions() {
        for value in grid() {
            let exact = f64::from(value).tanh();
            let off = (f64::from(tanh(value)) - exact).abs();
            assert!(off <= 6e-7 * exact.abs() + 1e-38, "tanh({value}): off by {off:e}");
            let mut sigmoid = [value];
            Activation::Sigmoid.apply(&mut sigmoid);
            let off = (f64::from(sigmoid[0]) - 1.0 / (1.0 + (-f64::from(value)).exp())).abs();
            assert!(off <= 3e-7, "sigmoid({value}): off by {off:e}");
        }
    }

    #[test]
    fn the_ends_are_the_ends() {
        for (value, end) in [(f32::INFINITY, 1.0), (f32::NEG_INFINITY, -1.0), (100.0, 1.0), (0.0, 0.0)] {
            assert_eq!(tanh(value), end, "{value}");
        }
        assert!(tanh(f32::NAN).is_nan());
    }

    /// The bits that numpy gives for the same sums, products and quotients on f32.
    #[test]
    fn every_cpu_gives_the_same_bits() {
        let hash =
            grid().fold(0u64, |hash, value| hash.wrapping_mul(31).wrapping_add(u64::from(tanh(value).to_bits())));
        assert_eq!(hash, 0x92a3_a071_56b6_3740, "bits of tanh");
    }
}
