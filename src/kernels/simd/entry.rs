//! The functions of a set that carry its `#[target_feature]`.

/// `multiply_to_u8`, `multiply_to_f32` and `depthwise` of a set: the generic loops compiled with `$features`.
///
/// The functions are unsafe to call: the CPU must have the features, and the arguments must have been checked by the
/// operators, which they pass on to the loops.
macro_rules! matrix_entries {
    ($features:literal, $vector:ty) => {
        #[target_feature(enable = $features)]
        pub(super) unsafe fn multiply_to_u8(
            matrix: &crate::kernels::matrix::PackedMatrix,
            rows: crate::kernels::matrix::Rows<'_>,
            stage: &crate::kernels::requantize::Requantize,
            residual: crate::kernels::requantize::Addend<'_>,
            output: &mut [u8],
        ) {
            // SAFETY: passed on from the caller.
            unsafe { crate::kernels::simd::gemm::multiply_to_u8::<$vector>(matrix, rows, stage, residual, output) }
        }

        #[target_feature(enable = $features)]
        pub(super) unsafe fn multiply_to_f32(
            matrix: &crate::kernels::matrix::PackedMatrix,
            rows: crate::kernels::matrix::Rows<'_>,
            quantizations: &[crate::kernels::requantize::Quantization],
            to_float: &crate::kernels::linear::ToFloat,
            output: crate::kernels::columns::Columns<'_>,
        ) {
            // SAFETY: passed on from the caller.
            unsafe {
                crate::kernels::simd::gemm::multiply_to_f32::<$vector>(matrix, rows, quantizations, to_float, output)
            }
        }
    };
}

/// See [`matrix_entries`].
macro_rules! depthwise_entry {
    ($name:ident, $features:literal, $filter:ty) => {
        #[target_feature(enable = $features)]
        pub(super) unsafe fn $name(
            packed: &crate::kernels::depthwise::PackedDepthwise,
            input: crate::kernels::window::ImageRows<'_>,
            rows: std::ops::Range<usize>,
            output: &mut [u8],
        ) {
            use crate::kernels::simd::depthwise::filter_rows;
            // SAFETY: passed on from the caller; `supports` has let only these windows in.
            unsafe {
                match (packed.window.kernel[0], packed.window.stride[0]) {
                    (3, 1) => filter_rows::<$filter, 3, 1>(packed, input, rows, output),
                    (3, _) => filter_rows::<$filter, 3, 2>(packed, input, rows, output),
                    (_, 1) => filter_rows::<$filter, 5, 1>(packed, input, rows, output),
                    (_, _) => filter_rows::<$filter, 5, 2>(packed, input, rows, output),
                }
            }
        }
    };
}
