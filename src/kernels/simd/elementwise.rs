//! The plain elementwise loops, compiled again with a set's instructions.

/// An `Elementwise` whose loops are the reference's, compiled with `$features`.
macro_rules! elementwise_with {
    ($features:literal) => {
        crate::kernels::kernel_set::Elementwise {
            quantize: elementwise_with!($features, crate::kernels::quantize::quantize_values,
                (input: &[f32], scale: f32, limits: crate::kernels::requantize::Limits, output: &mut [u8])),
            interleave: elementwise_with!($features, crate::kernels::quantize::interleave_planes,
                (planes: &[&[u8]], output: &mut [u8])),
            dequantize: elementwise_with!($features, crate::kernels::quantize::dequantize_values,
                (input: &[u8], quantization: crate::kernels::requantize::Quantization, output: &mut [f32])),
            range: elementwise_with!($features, crate::kernels::quantize::range_with_zero, (input: &[f32]) -> (f32, f32)),
            add: elementwise_with!($features, crate::kernels::add::add_values,
                (add: &crate::kernels::add::Add, first: &[u8], second: &[u8], output: &mut [u8])),
            excite: elementwise_with!($features, crate::kernels::excitation::excite,
                (excitation: &crate::kernels::excitation::Excitation, image: &[u8], factors: &[u8], output: &mut [u8])),
            sum_pixels: elementwise_with!($features, crate::kernels::average_pool::sum_pixels,
                (input: &[u8], channels: usize, first_channel: usize, sums: &mut [i32])),
            row_times_matrix: elementwise_with!($features, crate::kernels::thin::row_times_matrix,
                (row: &[f32], matrix: &[f32], sums: &mut [f32])),
            matrix_times_column: elementwise_with!($features, crate::kernels::thin::matrix_times_column,
                (matrix: &[f32], column: &[f32], sums: &mut [f32])),
            filter_split: elementwise_with!($features, crate::kernels::float_depthwise::filter_split,
                (filter: &crate::kernels::float_depthwise::Filter<'_>, split: &[f32], sums: &mut [f32])),
        }
    };
    ($features:literal, $body:path, ($($argument:ident: $type:ty),*) $(-> $result:ty)?) => {{
        #[target_feature(enable = $features)]
        fn with_features($($argument: $type),*) $(-> $result)? {
            $body($($argument),*)
        }
        // SAFETY: a kernel set is only made after its CPU features have been detected.
        |$($argument: $type),*| unsafe { with_features($($argument),*) }
    }};
}
