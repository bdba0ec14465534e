//! `QuantizeLinear` and `DequantizeLinear` as tract operators that keep the numbers of the ONNX node.
//!
//! tract's own keep the reciprocal of the scale, which rounds some values to another step than ONNX does, and spell
//! out the per-axis forms in casts and products. These state the scale, so that the pass can read it.

use tract_onnx::tract_core::internal::*;

/// How the integers of a tensor stand for real numbers: `(integer - zero_point) * scale`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scheme {
    /// One for the whole tensor, or one for each index of `axis`.
    scales: Vec<f32>,
    zero_points: Vec<i32>, // as many as scales
    axis: usize,
}

impl Scheme {
    /// # Errors
    /// If the two tensors do not fit each other or an input of `shape`.
    pub fn new(scales: &Tensor, zero_points: &Tensor, axis: i64, shape: &[TDim]) -> TractResult<Self> {
        let scales = scales.cast_to::<f32>()?.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
        let zero_points = zero_points.cast_to::<i32>()?.try_as_plain_ram()?.as_slice::<i32>()?.to_vec();
        let count = scales.len().max(zero_points.len());
        if count == 1 {
            return Ok(Self { scales, zero_points, axis: 0 });
        }
        let rank = shape.len() as i64;
        let axis = if axis < 0 { axis + rank } else { axis };
        ensure!((0..rank).contains(&axis), "quantization axis {axis} of a tensor of {rank} axes");
        let len = &shape[axis as usize];
        ensure!(*len == count.to_dim(), "{count} scales or zero points along an axis of {len}");
        let scales = repeated(scales, count)?;
        Ok(Self { scales, zero_points: repeated(zero_points, count)?, axis: axis as usize })
    }

    /// Scale and zero point, if there is one for the whole tensor.
    pub fn of_tensor(&self) -> Option<(f32, i32)> {
        (self.scales.len() == 1).then(|| (self.scales[0], self.zero_points[0]))
    }

    /// The scale of each of the `count` indices of `axis`, if that is how they are laid out.
    pub fn scales_along(&self, axis: usize, count: usize) -> Option<Vec<f32>> {
        match self.scales[..] {
            [scale] => Some(vec![scale; count]),
            _ if self.axis == axis && self.scales.len() == count => Some(self.scales.clone()),
            _ => None,
        }
    }

    pub fn has_zero_points(&self) -> bool {
        self.zero_points.iter().any(|zero_point| *zero_point != 0)
    }

    /// Calls `apply` with each run of elements that share a scale: inputs, outputs, scale and zero point.
    fn for_each_run<I, O>(
        &self,
        shape: &[usize],
        inputs: &[I],
        outputs: &mut [O],
        apply: impl Fn(&[I], &mut [O], f32, i32),
    ) {
        let inner = shape.get(self.axis + 1..).map_or(1, |inner| inner.iter().product());
        let run = if self.scales.len() == 1 { inputs.len() } else { inner }.max(1);
        let parameters = self.scales.iter().copied().zip(self.zero_points.iter().copied()).cycle();
        for ((inputs, outputs), (scale, zero_point)) in inputs.chunks(run).zip(outputs.chunks_mut(run)).zip(parameters)
        {
            apply(inputs, outputs, scale, zero_point);
        }
    }
}

fn repeated<T: Clone>(values: Vec<T>, count: usize) -> TractResult<Vec<T>> {
    match values.len() {
        1 => Ok(vec![values[0].clone(); count]),
        len => {
            ensure!(len == count, "{len} values where there must be 1 or {count}");
            Ok(values)
        }
    }
}

/// f32 to u8 or i8: `clamp(round_half_even(x / scale) + zero_point)`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quantize {
    pub scheme: Scheme,
    pub element: DatumType,
}

/// u8, i8 or i32 to f32.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dequantize {
    pub scheme: Scheme,
}

impl Eq for Quantize {}
impl Eq for Dequantize {}

impl Quantize {
    fn eval_as<T: Datum + Copy>(
        &self,
        input: &Tensor,
        limits: [f32; 2],
        cast: impl Fn(f32) -> T,
    ) -> TractResult<Tensor> {
        let mut output = Tensor::zero_dt(self.element, input.shape())?;
        let (values, mut steps) = (input.try_as_plain_ram()?, output.try_as_plain_ram_mut()?);
        let (values, steps) = (values.as_slice::<f32>()?, steps.as_slice_mut::<T>()?);
        self.scheme.for_each_run(input.shape(), values, steps, |values, steps, scale, zero_point| {
            for (step, value) in steps.iter_mut().zip(values) {
                *step = cast(((value / scale).round_ties_even() + zero_point as f32).max(limits[0]).min(limits[1]));
            }
        });
        Ok(output)
    }
}

impl Op for Quantize {
    fn name(&self) -> StaticName {
        "QuantizeLinear".into()
    }
    op_as_typed_op!();
}

impl EvalOp for Quantize {
    not_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let steps = match self.element {
            DatumType::U8 => self.eval_as::<u8>(&inputs[0], [0.0, 255.0], |step| step as u8)?,
            _ => self.eval_as::<i8>(&inputs[0], [-128.0, 127.0], |step| step as i8)?,
        };
        Ok(tvec!(steps.into_tvalue()))
    }
}

impl TypedOp for Quantize {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(self.element.fact(inputs[0].shape.clone())))
    }
    as_op!();
}

impl Dequantize {
    /// The real numbers that `input` stands for.
    pub fn real(&self, input: &Tensor) -> TractResult<Tensor> {
        match input.datum_type() {
            DatumType::U8 => self.real_of::<u8>(input),
            DatumType::I8 => self.real_of::<i8>(input),
            DatumType::I32 => self.real_of::<i32>(input),
            other => bail!("DequantizeLinear of {other:?} is not supported"),
        }
    }

    fn real_of<T: Datum + Copy + Into<i64>>(&self, input: &Tensor) -> TractResult<Tensor> {
        let mut output = Tensor::zero::<f32>(input.shape())?;
        let (steps, mut values) = (input.try_as_plain_ram()?, output.try_as_plain_ram_mut()?);
        let (steps, values) = (steps.as_slice::<T>()?, values.as_slice_mut::<f32>()?);
        self.scheme.for_each_run(input.shape(), steps, values, |steps, values, scale, zero_point| {
            for (value, step) in values.iter_mut().zip(steps) {
                *value = ((*step).into() - i64::from(zero_point)) as f32 * scale;
            }
        });
        Ok(output)
    }
}

impl Op for Dequantize {
    fn name(&self) -> StaticName {
        "DequantizeLinear".into()
    }
    op_as_typed_op!();
}

impl EvalOp for Dequantize {
    not_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        Ok(tvec!(self.real(&inputs[0])?.into_tvalue()))
    }
}

impl TypedOp for Dequantize {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(inputs[0].shape.clone())))
    }
    as_op!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantization_divides_and_rounds_half_to_even() -> TractResult<()> {
        let shape = [6.to_dim()];
        let scheme = Scheme::new(&tensor0(0.5_f32), &tensor0(10_u8), 0, &shape)?;
        let op = Quantize { scheme, element: u8::datum_type() };
        let input = tensor1(&[0.25_f32, 0.75, -0.25, 1e9, -1e9, f32::NAN]);
        let output = op.eval(&EvalContext::out_of_plan(), tvec!(input.into_tvalue()))?;
        assert_eq!(output[0].try_as_plain_ram()?.as_slice::<u8>()?, [10, 12, 10, 255, 0, 0]);
        Ok(())
    }

    #[test]
    fn each_index_of_the_axis_has_its_scale() -> TractResult<()> {
        let shape = [2.to_dim(), 2.to_dim(), 2.to_dim()];
        let scheme = Scheme::new(&tensor1(&[1.0_f32, 0.5]), &tensor0(1_i8), -2, &shape)?;
        let input = Tensor::from_shape(&[2, 2, 2], &[1_i8, 2, 3, 4, 5, 6, 7, 8])?;
        let real = Dequantize { scheme }.real(&input)?;
        assert_eq!(real.try_as_plain_ram()?.as_slice::<f32>()?, [0.0, 1.0, 1.0, 1.5, 4.0, 5.0, 3.0, 3.5]);
        Ok(())
    }

    #[test]
    fn scales_that_do_not_fit_the_axis_are_refused() {
        let shape = [2.to_dim(), 3.to_dim()];
        for (scales, zero_points, axis) in [
            (tensor1(&[1.0_f32, 2.0]), tensor0(0_u8), 1),
            (tensor1(&[1.0_f32, 2.0]), tensor0(0_u8), 2),
            (tensor1(&[1.0_f32, 2.0, 3.0]), tensor1(&[0_u8, 1]), 1),
            (tensor1::<f32>(&[]), tensor1::<u8>(&[]), 0),
        ] {
            assert!(Scheme::new(&scales, &zero_points, axis, &shape).is_err(), "{scales:?} {zero_points:?} {axis}");
        }
    }
}
