//! x86-64 with 256-bit VNNI: as `avx512`, half as wide. AVX-512 CPUs use its depthwise kernel for narrow images.
use super::{
    depthwise::Filter,
    finish,
    vector::{Vector, row_ends},
    ymm::steps_of,
};
use crate::kernels::{
    depthwise::DepthwiseKernel,
    kernel_set::Kernels,
    matrix::{MatrixLayout, WeightForm},
    requantize::Limits,
    window::Window,
};
use std::{arch::x86_64::*, marker::PhantomData};

pub(crate) static AVXVNNI: Kernels = Kernels {
    name: "avxvnni",
    is_supported: || is_x86_feature_detected!("avx2") && is_x86_feature_detected!("avxvnni"),
    matrix_layout: MatrixLayout { lanes: 8, group: 4, vectors: 3, form: WeightForm::Bytes, activation_shift: 0 },
    // SAFETY: a kernel set is only made after its CPU features have been detected; the operators check the slices.
    multiply_to_u8: |matrix, rows, stage, residual, output| unsafe {
        multiply_to_u8(matrix, rows, stage, residual, output)
    },
    // SAFETY: as above.
    multiply_to_f32: |matrix, rows, quantizations, to_float, output| unsafe {
        multiply_to_f32(matrix, rows, quantizations, to_float, output)
    },
    depthwise: &[DepthwiseKernel {
        // SAFETY: as above.
        run: |packed, input, rows, output| unsafe { depthwise(packed, input, rows, output) },
        ..DEPTHWISE_LAYOUT
    }],
    elementwise: elementwise_with!("avx2,avxvnni"),
};

/// The depthwise kernel of 256-bit VNNI, but for the function.
pub(super) const DEPTHWISE_LAYOUT: DepthwiseKernel = DepthwiseKernel {
    channels: 32,
    row_group: 4,
    form: WeightForm::Bytes,
    parts: 2,
    activation_shift: 0,
    supports: Window::is_three_or_five_square,
    run: |_, _, _, _| unreachable!("each set puts its own function here"),
};

matrix_entries!("avx2,avxvnni", Ymm<Vex>);
depthwise_entry!(depthwise, "avx2,avxvnni", Ymm<Vex>);

/// Eight lanes, whose dot product is encoded as `D` says.
pub(super) struct Ymm<D>(PhantomData<D>);

/// An encoding of the dot product: AVX-VNNI and AVX-512 VL have one each, and a CPU may have only one.
pub(super) trait Encoding {
    /// # Safety
    /// The CPU must have the instruction.
    unsafe fn dot(sums: __m256i, values: __m256i, weights: __m256i) -> __m256i;
}

pub(super) struct Vex;
pub(super) struct Evex;

impl Encoding for Vex {
    #[inline(always)]
    unsafe fn dot(sums: __m256i, values: __m256i, weights: __m256i) -> __m256i {
        // SAFETY: passed on from the caller.
        unsafe { _mm256_dpbusd_avx_epi32(sums, values, weights) }
    }
}

impl Encoding for Evex {
    #[inline(always)]
    unsafe fn dot(sums: __m256i, values: __m256i, weights: __m256i) -> __m256i {
        // SAFETY: passed on from the caller.
        unsafe { _mm256_dpbusd_epi32(sums, values, weights) }
    }
}

impl<D: Encoding> Vector for Ymm<D> {
    const MAX_ROWS: usize = 4;
    ymm_vector_functions!();

    #[inline(always)]
    unsafe fn accumulate<const R: usize, const V: usize>(
        sums: &mut [[__m256i; V]; R],
        rows: *const u8,
        row_stride: usize,
        weights: *const i8,
        depth: usize,
    ) {
        // SAFETY: the rows hold `depth` values and the weights whole groups of four.
        unsafe {
            let whole = depth / 4 * 4;
            let mut weights = weights.cast::<__m256i>();
            for k in (0..whole).step_by(4) {
                let group = rows.add(k);
                add_group::<D, R, V>(sums, |row| group.add(row * row_stride).cast::<i32>().read_unaligned(), weights);
                weights = weights.add(V);
            }
            if whole < depth {
                let ends = row_ends::<R, 4>(rows.add(whole), row_stride, depth - whole);
                add_group::<D, R, V>(sums, |row| i32::from_le_bytes(ends[row]), weights);
            }
        }
    }
}

/// Multiplies four values of each row with four weights of each channel.
#[inline(always)]
unsafe fn add_group<D: Encoding, const R: usize, const V: usize>(
    sums: &mut [[__m256i; V]; R],
    values: impl Fn(usize) -> i32,
    weights: *const __m256i,
) {
    // SAFETY: the caller has the instructions, and `weights` is valid for `V` vectors.
    unsafe {
        let mut vectors = [_mm256_setzero_si256(); V];
        for (i, vector) in vectors.iter_mut().enumerate() {
            *vector = weights.add(i).read_unaligned();
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            let values = _mm256_set1_epi32(values(row));
            for (sums, weights) in sums.iter_mut().zip(vectors) {
                *sums = D::dot(*sums, values, weights);
            }
        }
    }
}

// SAFETY of every block below: the caller has the instructions and vouches for the pointers, as the trait asks.
impl<D: Encoding> Filter for Ymm<D> {
    type Sums = [__m256i; 4];
    /// Four rows side by side, then the fifth.
    type Column = [[__m256i; 4]; 2];
    const CHANNELS: usize = 32;

    #[inline(always)]
    unsafe fn load_sums(from: *const i32) -> [__m256i; 4] {
        unsafe { from.cast::<[__m256i; 4]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_column<const K: usize>(rows: [*const u8; K]) -> [[__m256i; 4]; 2] {
        unsafe {
            let row = |y: usize| rows[y.min(K - 1)].cast::<__m256i>().read_unaligned();
            let first = interleave([row(0), row(1), row(2), row(3)]);
            let second = if K > 4 { interleave([row(4); 4]) } else { first };
            [first, second]
        }
    }

    #[inline(always)]
    unsafe fn add_products<const K: usize>(
        mut sums: [__m256i; 4],
        column: [[__m256i; 4]; 2],
        weights: *const i8,
    ) -> [__m256i; 4] {
        unsafe {
            for (group, values) in column.into_iter().enumerate().take(K.div_ceil(4)) {
                for (i, sums) in sums.iter_mut().enumerate() {
                    let weights = _mm256_loadu_si256(weights.add((group * 4 + i) * 32).cast());
                    *sums = D::dot(*sums, values[i], weights);
                }
            }
            sums
        }
    }

    #[inline(always)]
    unsafe fn write(sums: [__m256i; 4], multipliers: *const f32, limits: Limits, to: *mut u8) {
        unsafe {
            let offsets = finish::requantized::<Self, 4>(sums, multipliers, limits.ceiling());
            _mm256_storeu_si256(to.cast(), steps_of(offsets, limits));
        }
    }
}

/// Puts the four rows' values of each channel side by side; the channels stay within their 128-bit part.
#[inline(always)]
unsafe fn interleave([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    // SAFETY: these read no memory; the caller has the instructions.
    unsafe {
        let (low_ab, high_ab) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
        let (low_cd, high_cd) = (_mm256_unpacklo_epi8(c, d), _mm256_unpackhi_epi8(c, d));
        [
            _mm256_unpacklo_epi16(low_ab, low_cd),
            _mm256_unpackhi_epi16(low_ab, low_cd),
            _mm256_unpacklo_epi16(high_ab, high_cd),
            _mm256_unpackhi_epi16(high_ab, high_cd),
        ]
    }
}
