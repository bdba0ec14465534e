//! Reading `QuantizeLinear` and `DequantizeLinear` from ONNX, in place of tract's own reading.
//!
//! Their values are not computed while shapes are inferred: tract would turn every weight to float and back.

use tract_onnx::Onnx;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::scheme::{Dequantize, Quantize, Scheme};

/// Makes `onnx` read quantization as the pass wants it.
pub(in crate::engine) fn register(onnx: &mut Onnx) {
    onnx.op_register.insert("QuantizeLinear", |_, node| read(node, Direction::Quantize));
    onnx.op_register.insert("DequantizeLinear", |_, node| read(node, Direction::Dequantize));
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Direction {
    Quantize,
    Dequantize,
}

/// A node of either kind before types are known.
#[derive(Debug, Clone)]
struct Linear {
    direction: Direction,
    has_zero_point: bool,
    axis: i64,
}

fn read(node: &NodeProto, direction: Direction) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    for refused in ["block_size", "output_dtype"] {
        let value = node.get_attr_opt::<i64>(refused)?.unwrap_or(0);
        ensure!(value == 0, "{}: {refused} {value} is not supported", node.op_type);
    }
    let has_zero_point = node.input.get(2).is_some_and(|name| !name.is_empty());
    let axis = node.get_attr_opt("axis")?.unwrap_or(1);
    Ok((expand(Linear { direction, has_zero_point, axis }), vec![]))
}

impl Expansion for Linear {
    fn name(&self) -> StaticName {
        format!("{:?}Linear", self.direction).into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> TractResult<()> {
        check_input_arity(inputs, if self.has_zero_point { 3 } else { 2 })?;
        check_output_arity(outputs, 1)?;
        solver.equals(&inputs[0].shape, &outputs[0].shape)?;
        solver.equals(&inputs[1].datum_type, f32::datum_type())?;
        let integers = if self.direction == Direction::Quantize { &outputs[0] } else { &inputs[0] };
        if self.direction == Direction::Dequantize {
            solver.equals(&outputs[0].datum_type, f32::datum_type())?;
        }
        if self.has_zero_point {
            solver.equals(&integers.datum_type, &inputs[2].datum_type)
        } else if self.direction == Direction::Quantize {
            solver.equals(&integers.datum_type, u8::datum_type())
        } else {
            Ok(())
        }
    }

    fn wire(&self, name: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let constant =
            |slot: usize| model.outlet_fact(inputs[slot])?.konst.clone().context("scale or zero point varies");
        let scales = constant(1)?;
        let zero_points = if self.has_zero_point { constant(2)? } else { rctensor0(0_u8) };
        let fact = model.outlet_fact(inputs[0])?;
        let scheme = Scheme::new(&scales, &zero_points, self.axis, &fact.shape)?;
        if self.direction == Direction::Dequantize {
            let is_known = matches!(fact.datum_type, DatumType::U8 | DatumType::I8 | DatumType::I32);
            ensure!(is_known, "DequantizeLinear of {:?} is not supported", fact.datum_type);
            return model.wire_node(name, Dequantize { scheme }, &inputs[..1]);
        }
        let element = zero_points.datum_type();
        ensure!(matches!(element, DatumType::U8 | DatumType::I8), "QuantizeLinear to {element:?} is not supported");
        ensure!(fact.datum_type == f32::datum_type(), "QuantizeLinear of {:?} is not supported", fact.datum_type);
        model.wire_node(name, Quantize { scheme, element }, &inputs[..1])
    }

    fn runs_out_of_plan(&self) -> bool {
        false
    }
}
