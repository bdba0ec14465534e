//! Matrix products of many rows: strips of rows are shifted and laid in the order in which tiles of four read them.
use super::{
    Neon,
    tile::{Groups, paired_sums, single_sums},
};
use crate::kernels::{
    matrix::{Block, PackedMatrix, Rows},
    requantize::Limits,
    simd::{
        finish::{AddedSteps, Finish, RealNumbers, Steps},
        qreg::load_shifted,
        vector::row_ends,
    },
};
use std::{arch::aarch64::*, mem::MaybeUninit, ops::Range};

/// Rows of a tile.
const TILE_ROWS: usize = 4;

/// Bytes of a strip's values.
const STRIP_BYTES: usize = 16 << 10;

/// Bytes of a strip's values and of its output: with one vector's weights they fit in 32 KiB of cache.
const CACHED_BYTES: usize = 24 << 10;

/// The values of a strip: each group of values of four rows, one row after the other.
#[repr(align(64))]
struct Strip([MaybeUninit<i8>; STRIP_BYTES]);

/// Computes the blocks of as many rows as are whole tiles, and returns how many these are.
///
/// # Safety
/// As for the generic loops: `matrix` must be packed for `Neon`, and everything checked against its shape.
#[inline(always)]
pub(super) unsafe fn multiply<const PAIRED: bool, F: TileFinish<PAIRED>>(
    matrix: &PackedMatrix,
    blocks: impl Iterator<Item = Block> + Clone,
    rows: &Rows<'_>,
    finish: &F,
) -> usize {
    let row_bytes = strip_row_bytes(matrix);
    let most_rows = (STRIP_BYTES / row_bytes).min(CACHED_BYTES / (row_bytes + matrix.channels).max(TILE_ROWS));
    let whole = rows.count / TILE_ROWS * TILE_ROWS;
    if whole == 0 || most_rows < TILE_ROWS {
        return 0;
    }
    let mut strip = Strip([MaybeUninit::uninit(); STRIP_BYTES]);
    for first in (0..whole).step_by(most_rows / TILE_ROWS * TILE_ROWS) {
        let last = (first + most_rows / TILE_ROWS * TILE_ROWS).min(whole);
        // SAFETY: the strip has room for these rows, which exist; the rest is passed on.
        unsafe {
            fill(&mut strip, matrix, rows, first..last);
            for block in blocks.clone() {
                for vector in 0..block.vectors {
                    multiply_strip::<PAIRED, F>(&strip, matrix, block, vector, first..last, finish);
                }
            }
        }
    }
    whole
}

/// Values of a row in a strip: whole groups of 16, but for an end of eight.
fn strip_row_bytes(matrix: &PackedMatrix) -> usize {
    if ends_in_eight(matrix) { matrix.depth } else { matrix.segments * matrix.depth.next_multiple_of(16) }
}

fn ends_in_eight(matrix: &PackedMatrix) -> bool {
    matrix.segments == 1 && matrix.depth > 16 && matrix.depth % 16 == 8
}

/// Shifts the values of `range` and lays them in the order of the tiles.
#[inline(always)]
unsafe fn fill(strip: &mut Strip, matrix: &PackedMatrix, rows: &Rows<'_>, range: Range<usize>) {
    let whole = matrix.depth / 16 * 16;
    let mut to = strip.0.as_mut_ptr().cast::<i8>();
    for row in range.step_by(TILE_ROWS) {
        for segment in 0..matrix.segments {
            let from = rows.bytes.as_ptr().wrapping_add(row * rows.row_stride + segment * rows.segment_stride);
            let row_start = |i: usize| from.wrapping_add(i * rows.row_stride);
            // SAFETY: the caller vouches for the rows and the room in the strip.
            unsafe {
                for k in (0..whole).step_by(16) {
                    let group = [0, 1, 2, 3].map(|i| load_shifted(row_start(i).add(k)));
                    vst1q_s8_x4(to, int8x16x4_t(group[0], group[1], group[2], group[3]));
                    to = to.add(16 * TILE_ROWS);
                }
                if ends_in_eight(matrix) {
                    for i in 0..TILE_ROWS {
                        let end = veor_u8(vld1_u8(row_start(i).add(whole)), vdup_n_u8(0x80));
                        vst1_u8(to.add(i * 8).cast(), end);
                    }
                    to = to.add(8 * TILE_ROWS);
                } else if whole < matrix.depth {
                    let ends =
                        row_ends::<TILE_ROWS, 16>(row_start(0).add(whole), rows.row_stride, matrix.depth - whole);
                    for (i, end) in ends.iter().enumerate() {
                        vst1q_s8(to.add(i * 16), load_shifted(end.as_ptr()));
                    }
                    to = to.add(16 * TILE_ROWS);
                }
            }
        }
    }
}

/// Computes four channels of a strip's rows.
#[inline(always)]
unsafe fn multiply_strip<const PAIRED: bool, F: TileFinish<PAIRED>>(
    strip: &Strip,
    matrix: &PackedMatrix,
    block: Block,
    vector: usize,
    range: Range<usize>,
    finish: &F,
) {
    let channel = block.first_channel + vector * 4;
    let count = (matrix.channels - channel).min(4);
    let groups = Groups {
        sixteens: matrix.segments * matrix.depth.div_ceil(16) - usize::from(ends_in_eight(matrix)),
        has_eight: ends_in_eight(matrix),
        weights_step: block.vectors * 64,
    };
    // SAFETY: the caller has filled the strip with these rows; the packed weights hold all groups of the vector, one
    // segment after the other, and per-channel tables are padded to whole blocks.
    unsafe {
        let initial = vld1q_s32(finish.initial(channel));
        let weights = matrix.weights().as_ptr().add(block.offset + vector * 64);
        let mut values = strip.0.as_ptr().cast::<i8>();
        for row in range.step_by(TILE_ROWS) {
            let sums;
            (sums, values) =
                if PAIRED { paired_sums(values, weights, groups) } else { single_sums(values, weights, groups) };
            finish.write_tile(row, channel, sums.map(|sums| vaddq_s32(sums, initial)), count);
        }
    }
}

/// What becomes of the sums of a tile.
pub(super) trait TileFinish<const PAIRED: bool>: Finish<Neon<PAIRED>> {
    /// Takes four rows' sums of four channels, of which `count` exist.
    ///
    /// # Safety
    /// The elements must lie within the output.
    #[inline(always)]
    unsafe fn write_tile(&self, row: usize, channel: usize, sums: [int32x4_t; TILE_ROWS], count: usize) {
        for (i, sums) in sums.into_iter().enumerate() {
            // SAFETY: passed on from the caller.
            unsafe { self.write::<1>(row + i, channel, [sums], count) };
        }
    }
}

impl<const PAIRED: bool> TileFinish<PAIRED> for AddedSteps<'_> {}
impl<const PAIRED: bool> TileFinish<PAIRED> for RealNumbers<'_> {}

impl<const PAIRED: bool> TileFinish<PAIRED> for Steps<'_> {
    #[inline(always)]
    unsafe fn write_tile(&self, row: usize, channel: usize, sums: [int32x4_t; TILE_ROWS], count: usize) {
        let to = self.output.wrapping_add(row * self.channels + channel);
        // SAFETY: the caller vouches for the elements, and the tables are padded to whole blocks.
        unsafe {
            let multipliers = vld1q_f32(self.stage.multipliers.as_ptr().add(channel));
            let steps = tile_steps(sums, multipliers, self.stage.limits);
            if count == 4 {
                to.cast::<u32>().write_unaligned(vgetq_lane_u32::<0>(steps));
                to.add(self.channels).cast::<u32>().write_unaligned(vgetq_lane_u32::<1>(steps));
                to.add(2 * self.channels).cast::<u32>().write_unaligned(vgetq_lane_u32::<2>(steps));
                to.add(3 * self.channels).cast::<u32>().write_unaligned(vgetq_lane_u32::<3>(steps));
            } else {
                let mut bytes = [0; 16];
                vst1q_u8(bytes.as_mut_ptr(), vreinterpretq_u8_u32(steps));
                for (i, bytes) in bytes.chunks(4).enumerate() {
                    to.add(i * self.channels).copy_from_nonoverlapping(bytes.as_ptr(), count);
                }
            }
        }
    }
}

/// The steps of four rows, four channels each. Narrowing saturates, so nothing needs be clamped before it.
#[inline(always)]
unsafe fn tile_steps(sums: [int32x4_t; TILE_ROWS], multipliers: float32x4_t, limits: Limits) -> uint32x4_t {
    // SAFETY: these read no memory.
    unsafe {
        let [a, b, c, d] = sums.map(|sums| vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sums), multipliers)));
        let zero_point = vdupq_n_s16(i16::from(limits.zero_point));
        let low = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(a), b), zero_point);
        let high = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(c), d), zero_point);
        let steps = vqmovun_high_s16(vqmovun_s16(low), high);
        vreinterpretq_u32_u8(vmaxq_u8(vminq_u8(steps, vdupq_n_u8(limits.highest)), vdupq_n_u8(limits.lowest)))
    }
}
