//! Float products with a single row or column, as attention has them at each step.
//!
//! tract packs both operands of a product for its kernels. That pays where the packed operand is used for many rows;
//! here it is used once, and attention keys and values would be packed anew at every step of a caption.

use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::einsum::EinSum;

use crate::kernels::KernelSet;

/// `(..., m, k) x (..., k, n) -> (..., m, n)` in f32, where m or n is 1; other axes are equal or 1 in one operand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ThinProduct {
    set: KernelSet,
}

impl ThinProduct {
    /// The operator that computes what `node` does, if it is such a product.
    pub fn replacing(set: KernelSet, node: &TypedNode, inputs: &[&TypedFact]) -> Option<Self> {
        let op = node.op_as::<EinSum>()?;
        let &[first, second] = inputs else { return None };
        let is_float = [first, second].iter().all(|fact| fact.datum_type == f32::datum_type() && fact.konst.is_none());
        let rank = first.rank();
        let is_thin =
            rank >= 2 && second.rank() == rank && (first.shape[rank - 2].is_one() || second.shape[rank - 1].is_one());
        (is_float && is_thin && op.q_params.is_none() && is_matrix_product(op, rank)).then_some(Self { set })
    }
}

/// Whether the operator is a plain product of the last two axes, for each index of the others.
fn is_matrix_product(op: &EinSum, rank: usize) -> bool {
    let is_at = |axis: (InOut, usize), places: [&[usize]; 3]| {
        op.axes.axis(axis).is_ok_and(|axis| [&axis.inputs[0][..], &axis.inputs[1][..], &axis.outputs[0][..]] == places)
    };
    op.axes.rank(InOut::Out(0)) == rank
        && (0..rank - 2).all(|axis| is_at((InOut::Out(0), axis), [&[axis], &[axis], &[axis]]))
        && is_at((InOut::Out(0), rank - 2), [&[rank - 2], &[], &[rank - 2]])
        && is_at((InOut::Out(0), rank - 1), [&[], &[rank - 1], &[rank - 1]])
        && is_at((InOut::In(0), rank - 1), [&[rank - 1], &[rank - 2], &[]])
}

impl Op for ThinProduct {
    fn name(&self) -> StaticName {
        "ThinProduct".into()
    }
    op_as_typed_op!();
}

impl EvalOp for ThinProduct {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let [first, second] = [inputs[0].shape(), inputs[1].shape()];
        let shape = output_shape(first, second)?;
        let rank = shape.len();
        let (rows, depth, columns) = (shape[rank - 2], first[rank - 1], shape[rank - 1]);
        let [first_starts, second_starts] =
            [(first, rows * depth), (second, depth * columns)].map(|(own, len)| starts(own, &shape, len));
        let mut output = Tensor::zero::<f32>(&shape)?;
        let (first, second) = (inputs[0].try_as_plain_ram()?, inputs[1].try_as_plain_ram()?);
        let (first, second) = (first.as_slice::<f32>()?, second.as_slice::<f32>()?);
        let mut view = output.try_as_plain_ram_mut()?;
        let places = view.as_slice_mut::<f32>()?.chunks_exact_mut((rows * columns).max(1));
        for (place, (first_start, second_start)) in places.zip(first_starts.zip(second_starts)) {
            let (first, second) = (&first[first_start..][..rows * depth], &second[second_start..][..depth * columns]);
            if rows == 1 {
                self.set.row_times_matrix(first, second, place);
            } else {
                self.set.matrix_times_column(first, second, place);
            }
        }
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for ThinProduct {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(output_shape(&inputs[0].shape, &inputs[1].shape)?)))
    }
    as_op!();
}

fn output_shape<D: DimLike>(first: &[D], second: &[D]) -> TractResult<TVec<D>> {
    let rank = first.len();
    ensure!(rank >= 2 && rank == second.len(), "operands of {rank} and {} axes", second.len());
    ensure!(first[rank - 1] == second[rank - 2], "{:?} x {:?}", first, second);
    let mut shape = TVec::new();
    for (own, other) in first.iter().zip(second).take(rank - 2) {
        ensure!(own == other || own.is_one() || other.is_one(), "{:?} x {:?}", first, second);
        shape.push(if own.is_one() { other.clone() } else { own.clone() });
    }
    shape.extend([first[rank - 2].clone(), second[rank - 1].clone()]);
    Ok(shape)
}

/// Where the matrix of `own` for each matrix of `shape` starts; an axis of length 1 serves all.
fn starts<'a>(own: &'a [usize], shape: &'a [usize], matrix_len: usize) -> impl Iterator<Item = usize> + 'a {
    let axes = shape.len() - 2;
    (0..shape[..axes].iter().product()).map(move |number: usize| {
        let (mut left, mut stride, mut start) = (number, matrix_len, 0);
        for axis in (0..axes).rev() {
            let index = left % shape[axis];
            left /= shape[axis];
            start += if own[axis] == 1 { 0 } else { index * stride };
            stride *= own[axis];
        }
        start
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(first: (&[usize], &[f32]), second: (&[usize], &[f32])) -> TractResult<(Vec<usize>, Vec<f32>)> {
        let inputs = [first, second].map(|(shape, values)| Tensor::from_shape(shape, values).map(Tensor::into_tvalue));
        let op = ThinProduct { set: KernelSet::detect() };
        let output = op.eval(&EvalContext::out_of_plan(), inputs.into_iter().collect::<TractResult<_>>()?)?;
        let view = output[0].try_as_plain_ram()?;
        Ok((output[0].shape().to_vec(), view.as_slice::<f32>()?.to_vec()))
    }

    #[test]
    fn a_shared_matrix_serves_every_row() -> TractResult<()> {
        let queries = (&[2, 1, 2][..], &[1.0, 2.0, 3.0, 4.0][..]);
        let keys = (&[1, 2, 3][..], &[1.0, 0.0, 1.0, 0.0, 1.0, 1.0][..]);
        assert_eq!(product(queries, keys)?, (vec![2, 1, 3], vec![1.0, 2.0, 3.0, 3.0, 4.0, 7.0]));
        Ok(())
    }

    #[test]
    fn operands_that_do_not_fit_are_refused() {
        assert!(product((&[2, 1, 2], &[0.0; 4]), (&[3, 2, 1], &[0.0; 6])).is_err());
        assert!(product((&[1, 2], &[0.0; 2]), (&[3, 1], &[0.0; 3])).is_err());
    }
}
