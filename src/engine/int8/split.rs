//! The rows of a layer, cut into pieces for the threads.

use std::ops::Range;

use super::layer::{Layer, Operation};
use crate::kernels::Threads;

/// Multiplications (or bytes moved) below which a piece costs more to hand over than to compute: about 5 us on the
/// slowest boards' cores.
const MIN_PIECE_COST: usize = if cfg!(test) { 64 } else { 100_000 };

/// Pieces for each thread, so that one that is slow or late leaves work to the others.
const PIECES_PER_THREAD: usize = 2;

/// How the rows of a layer's output are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Split {
    /// Of the output: rows of an image for a window, pixels or rows else.
    rows: usize,
    rows_per_piece: usize,
}

impl Split {
    /// All rows at once.
    pub const WHOLE: Self = Self { rows: 1, rows_per_piece: 1 };

    /// For `threads` threads.
    pub fn of(layer: &Layer, threads: usize) -> Self {
        Self::cost(layer).map_or(Self::WHOLE, |(rows, row_cost)| Self::cut(rows, row_cost, threads))
    }

    /// Rows of a layer that can be shared out, and the multiplications of each.
    pub fn cost(layer: &Layer) -> Option<(usize, usize)> {
        let channels = layer.layout.channels();
        Some(match &layer.operation {
            Operation::Quantize(_) | Operation::Excitation { .. } => (layer.layout.rows(), channels),
            Operation::Product { input, .. } => (layer.layout.rows(), input.layout.channels().saturating_mul(channels)),
            Operation::Convolution { window, is_depthwise, .. } => {
                let depth = if *is_depthwise { 1 } else { window.channels };
                let taps = window.kernel[0].saturating_mul(window.kernel[1]).saturating_mul(depth);
                (window.output_height(), taps.saturating_mul(window.output_width() * channels))
            }
            _ => return None,
        })
    }

    /// Of `rows` rows of `row_cost` multiplications each.
    pub fn cut(rows: usize, row_cost: usize, threads: usize) -> Self {
        let pieces = (rows.saturating_mul(row_cost) / MIN_PIECE_COST).clamp(1, Self::most_pieces(threads));
        Self { rows, rows_per_piece: rows.div_ceil(pieces) }
    }

    pub fn most_pieces(threads: usize) -> usize {
        if threads == 1 { 1 } else { threads * PIECES_PER_THREAD }
    }

    pub fn pieces(self) -> usize {
        self.rows.div_ceil(self.rows_per_piece)
    }

    /// Calls `compute` with each piece of `output` and the rows that it holds.
    pub fn run(self, threads: &mut Threads, output: &mut [u8], compute: impl Fn(Range<usize>, &mut [u8]) + Sync) {
        let row_len = output.len() / self.rows;
        threads.run_pieces(output, self.rows_per_piece * row_len, |piece, output| {
            let first = piece * self.rows_per_piece;
            compute(first..first + output.len() / row_len, output);
        });
    }

    /// Those rows of another tensor with as many rows.
    pub fn rows_of(self, tensor: &[u8], rows: Range<usize>) -> &[u8] {
        let row_len = tensor.len() / self.rows;
        &tensor[rows.start * row_len..rows.end * row_len]
    }
}
