//! The depthwise convolution of ARMv7: one output pixel and 16 channels at a time.
use super::{
    LANES, Rounding, WindowOfChannels, requantize_channels, scenescribe_window_paired, scenescribe_window_single,
};
use crate::kernels::{depthwise::PackedDepthwise, window::ImageRows};
use std::ops::Range;

/// Taps of the largest window.
const TAPS: usize = 25;

pub(super) fn filter_rows(packed: &PackedDepthwise, input: ImageRows<'_>, rows: Range<usize>, output: &mut [u8]) {
    let (window, width) = (&packed.window, packed.window.output_width());
    for (output_row, output) in rows.zip(output.chunks_exact_mut(width * window.channels)) {
        for (column, output) in output.chunks_exact_mut(window.channels).enumerate() {
            let pixels = pixels_under(packed, input, [output_row, column]);
            for (block, first_channel) in packed.blocks().enumerate() {
                let sums = window_sums(packed, &pixels, block, first_channel);
                let multipliers = &packed.requantize.multipliers[block * LANES..][..LANES];
                let rounding = Rounding::new(packed.requantize.limits);
                requantize_channels(&sums, multipliers, &rounding, &mut output[first_channel..first_channel + LANES]);
            }
        }
    }
}

/// The pixels under the window, in the order of the weights: column by column.
fn pixels_under(packed: &PackedDepthwise, input: ImageRows<'_>, [row, column]: [usize; 2]) -> [*const u8; TAPS] {
    let window = &packed.window;
    let [height, width] = window.kernel;
    let mut pixels = [packed.padding.as_ptr(); TAPS];
    for x in 0..width {
        for y in 0..height {
            if let (Some(row), Some(column)) = (window.input_row(row, y), window.input_column(column, x)) {
                let start = ((row - input.first) * window.width + column) * window.channels;
                pixels[x * height + y] = input.bytes[start..start + window.channels].as_ptr();
            }
        }
    }
    pixels
}

fn window_sums(
    packed: &PackedDepthwise,
    pixels: &[*const u8; TAPS],
    block: usize,
    first_channel: usize,
) -> [i32; LANES] {
    let mut sums = [0; LANES];
    let window = WindowOfChannels {
        pixels: pixels.as_ptr(),
        first_channel,
        weights: packed.weights()[block * packed.block_bytes..][..packed.block_bytes].as_ptr(),
        pairs: packed.window.kernel[0] * packed.window.kernel[1] / 2,
        bias: packed.requantize.bias[block * LANES..][..LANES].as_ptr(),
        sums: sums.as_mut_ptr(),
    };
    let kernel = if packed.has_lowest_weight { scenescribe_window_single } else { scenescribe_window_paired };
    // SAFETY: the set is only made where there is NEON; each pixel holds 16 channels from `first_channel` on, and
    // 3x3 and 5x5 windows have an odd number of taps, as the kernel asks.
    unsafe { kernel(&window) };
    sums
}
