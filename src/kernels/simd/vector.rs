//! What the matrix kernels need of an instruction set.
use crate::kernels::requantize::Limits;

/// Vectors of 32-bit lanes, one lane per output channel.
///
/// # Safety
/// All functions need the instruction set of the implementing type. Pointers must be valid for what the function
/// reads or writes: `LANES` values, or `count` where that is given; no alignment is asked for.
pub(super) trait Vector {
    type Ints: Copy;
    type Floats: Copy;
    const LANES: usize;
    /// Most rows of a tile whose sums stay in registers.
    const MAX_ROWS: usize;

    /// Adds the products of `depth` values of each row with the packed weights of `V` vectors.
    unsafe fn accumulate<const R: usize, const V: usize>(
        sums: &mut [[Self::Ints; V]; R],
        rows: *const u8,
        row_stride: usize,
        weights: *const i8,
        depth: usize,
    );

    unsafe fn load_ints(from: *const i32) -> Self::Ints;
    unsafe fn load_floats(from: *const f32) -> Self::Floats;
    /// `count` bytes, at most `LANES`; the other lanes are 0.
    unsafe fn load_bytes(from: *const u8, count: usize) -> Self::Floats;
    unsafe fn splat(value: f32) -> Self::Floats;

    unsafe fn add(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    unsafe fn sub(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    unsafe fn mul(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    unsafe fn div(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    unsafe fn min(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    unsafe fn max(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// To the nearest integer, ties to even; values beyond 2^22 need not be rounded right.
    unsafe fn round(a: Self::Floats) -> Self::Floats;

    unsafe fn to_floats(a: Self::Ints) -> Self::Floats;
    /// To the nearest integer, ties to even; what is too small for i32 becomes its least value, nothing is too large.
    unsafe fn round_to_ints(a: Self::Floats) -> Self::Ints;
    /// As `round_to_ints` of the smaller of `a` and `ceiling`, for `store_steps`; a set whose `store_steps` takes
    /// offsets that are too large may leave the ceiling out.
    #[inline(always)]
    unsafe fn round_below(a: Self::Floats, ceiling: f32) -> Self::Ints {
        // SAFETY: passed on from the caller.
        unsafe { Self::round_to_ints(Self::min(a, Self::splat(ceiling))) }
    }
    /// `a - b * factor`, wrapping.
    unsafe fn sub_product(a: Self::Ints, b: Self::Ints, factor: i32) -> Self::Ints;

    /// Writes the first `count` lanes of `V` vectors of offsets from the zero point, none above the highest step.
    unsafe fn store_steps<const V: usize>(offsets: [Self::Ints; V], limits: Limits, to: *mut u8, count: usize);
    /// Writes the first `count` lanes, at most `LANES`.
    unsafe fn store_floats(values: Self::Floats, to: *mut f32, count: usize);
}

/// The `remainder` last values of each row, followed by zeros.
///
/// # Safety
/// `rows` must be valid for `R` rows of `remainder` values, `row_stride` apart.
#[inline(always)]
pub(super) unsafe fn row_ends<const R: usize, const N: usize>(
    rows: *const u8,
    row_stride: usize,
    remainder: usize,
) -> [[u8; N]; R] {
    let mut ends = [[0; N]; R];
    for (row, end) in ends.iter_mut().enumerate() {
        for (value, end) in end.iter_mut().enumerate().take(remainder) {
            // SAFETY: the caller vouches for row `row` and `value < remainder`.
            *end = unsafe { *rows.add(row * row_stride + value) };
        }
    }
    ends
}
