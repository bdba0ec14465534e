//! A depthwise convolution with the layers before and after it, computed strip by strip: what lies between them is
//! several times as wide as what comes in and goes out, and as a strip it stays in the second level of the cache.

use std::sync::{Mutex, PoisonError};

use tract_onnx::tract_core::internal::*;

use super::layer::{Layer, Operation};
use super::residual::count_readers;
use super::split::Split;
use super::step::Work;
use crate::kernels::{Convolution, Depthwise, ImageRows, Pointwise, Threads, Window};

/// Bytes of a strip of the depthwise convolution's input: a quarter of the smallest boards' second level of cache.
const STRIP_BYTES: usize = if cfg!(test) { 256 } else { 128 << 10 };

/// The layer before the depthwise convolution.
enum Feed {
    Pointwise(Pointwise),
    Convolution(Convolution),
}

/// The layers, and how many rows of each are computed at a time.
pub(super) struct Strips {
    feed: Feed,
    filter: Depthwise,
    /// Of `filter`.
    window: Window,
    project: Pointwise,
    /// Multiplications of a row of each layer.
    row_costs: [usize; 3],
    /// Output rows of `filter` in a strip.
    rows: usize,
}

/// The numbers of the layers that are computed together: before a depthwise convolution, itself, and after it. The
/// images between them are large and read by nothing else; `kept` are tensors that are read outside.
pub(super) fn chains(layers: &[Layer], kept: &[OutletId], threads: usize) -> Vec<[usize; 3]> {
    let readers = count_readers(layers, kept);
    let maker_for_one = |outlet: &OutletId| {
        let maker = layers.iter().position(|layer| layer.output == *outlet)?;
        (readers.get(outlet) == Some(&1)).then_some(maker)
    };
    let mut chains: Vec<[usize; 3]> = vec![];
    for (project, layer) in layers.iter().enumerate() {
        let chain = || {
            let filter = maker_for_one(&layer.inputs[0])?;
            Some([maker_for_one(&layers[filter].inputs[0])?, filter, project])
        };
        let is_free = |chain: &[usize; 3]| chain.iter().all(|layer| !chains.as_flattened().contains(layer));
        let chain = chain().filter(|chain| is_free(chain) && is_worthwhile(chain.map(|layer| &layers[layer]), threads));
        chains.extend(chain);
    }
    chains
}

fn is_worthwhile([feed, filter, project]: [&Layer; 3], threads: usize) -> bool {
    let is_feed = match &feed.operation {
        Operation::Product { residual, .. } => residual.is_none(),
        Operation::Convolution { is_depthwise, .. } => !is_depthwise,
        _ => false,
    };
    let Operation::Convolution { window, is_depthwise: true, .. } = &filter.operation else { return false };
    let is_project = matches!(project.operation, Operation::Product { .. });
    is_feed && is_project && strip_rows(window, threads) < window.output_height()
}

/// Output rows of a strip. More threads get longer ones, so that there is work for all of them between two meetings.
fn strip_rows(window: &Window, threads: usize) -> usize {
    let input_rows = STRIP_BYTES * threads.min(2) / (window.width * window.channels);
    input_rows.saturating_sub(window.kernel[0]) / window.stride[0] + 1
}

impl Strips {
    /// Of the packed layers of a chain.
    ///
    /// # Errors
    /// If these are not such layers.
    pub fn new(layers: [&Layer; 3], packed: [Work; 3], threads: usize) -> TractResult<Self> {
        let Operation::Convolution { window, .. } = layers[1].operation else { bail!("not a depthwise convolution") };
        let cost = |layer: &Layer, height: usize| Split::cost(layer).map_or(0, |(rows, cost)| rows * cost / height);
        let heights = [window.height, window.output_height(), window.output_height()];
        let row_costs = [0, 1, 2].map(|layer| cost(layers[layer], heights[layer]));
        let (feed, filter, project) = match packed {
            [
                Work::Pointwise(feed),
                Work::Depthwise(filter),
                Work::Pointwise(project) | Work::PointwiseAdding(project),
            ] => (Feed::Pointwise(feed), filter, project),
            [
                Work::Convolution(feed),
                Work::Depthwise(filter),
                Work::Pointwise(project) | Work::PointwiseAdding(project),
            ] => (Feed::Convolution(feed), filter, project),
            _ => bail!("these layers are not computed in strips"),
        };
        Ok(Self { feed, filter, window, project, row_costs, rows: strip_rows(&window, threads) })
    }

    /// Bytes of scratch memory that a run needs.
    pub fn scratch_len(&self, threads: usize) -> usize {
        let [strip, filtered] = self.strip_lens();
        strip + filtered + self.feed_scratch_len() * Split::most_pieces(threads)
    }

    /// Of the input and the output of `filter`.
    fn strip_lens(&self) -> [usize; 2] {
        let Window { width, channels, kernel, stride, .. } = self.window;
        [(self.rows * stride[0] + kernel[0]) * width * channels, self.rows * self.window.output_width() * channels]
    }

    fn feed_scratch_len(&self) -> usize {
        match &self.feed {
            Feed::Pointwise(_) => 0,
            Feed::Convolution(convolution) => convolution.scratch_len(),
        }
    }

    /// Computes `output` from `input`, both whole images; `addend` is added to it if `project` adds one.
    pub fn run(
        &self,
        threads: &mut Threads,
        input: &[u8],
        addend: Option<&[u8]>,
        scratch: &mut [u8],
        output: &mut [u8],
    ) {
        let height = self.window.output_height();
        let [strip_len, filtered_len] = self.strip_lens();
        let (strip, scratch) = scratch.split_at_mut(strip_len);
        let (filtered, scratch) = scratch.split_at_mut(filtered_len);
        let row_len = self.window.width * self.window.channels;
        let (filtered_row, output_row) = (filtered_len / self.rows, output.len() / height);
        // The strip holds the input rows `first..end`.
        let (mut first, mut end) = (0, 0);
        for start in (0..height).step_by(self.rows) {
            let rows = start..(start + self.rows).min(height);
            let needed = self.window.input_rows(rows.clone());
            let kept = needed.start.min(end);
            strip.copy_within((kept - first) * row_len..(end - first) * row_len, 0);
            first = kept;
            let fresh = end..needed.end.max(end);
            let place = (fresh.start - first) * row_len..(fresh.end - first) * row_len;
            self.run_feed(threads, input, fresh.start, scratch, &mut strip[place.clone()]);
            end = fresh.end;

            let image = ImageRows { bytes: &strip[..place.end], first };
            let filtered = &mut filtered[..rows.len() * filtered_row];
            Split::cut(rows.len(), self.row_costs[1], threads.count()).run(threads, filtered, |piece, filtered| {
                self.filter.run_strip(image, start + piece.start..start + piece.end, filtered);
            });

            let place = start * output_row..rows.end * output_row;
            let (filtered, output) = (&*filtered, &mut output[place.clone()]);
            Split::cut(rows.len(), self.row_costs[2], threads.count()).run(threads, output, |piece, output| {
                let filtered = &filtered[piece.start * filtered_row..piece.end * filtered_row];
                match addend.map(|addend| &addend[place.clone()]) {
                    None => self.project.run(filtered, output),
                    Some(addend) => {
                        let addend = &addend[piece.start * output_row..piece.end * output_row];
                        self.project.run_adding(filtered, addend, output);
                    }
                }
            });
        }
    }

    /// Computes the rows of the strip from `first` on, as many as `to` holds.
    fn run_feed(&self, threads: &mut Threads, input: &[u8], first: usize, scratch: &mut [u8], to: &mut [u8]) {
        let rows = to.len() / (self.window.width * self.window.channels);
        if rows == 0 {
            return;
        }
        let split = Split::cut(rows, self.row_costs[0], threads.count());
        match &self.feed {
            Feed::Pointwise(expand) => {
                let input_row = input.len() / self.window.height;
                split.run(threads, to, |piece, to| {
                    expand.run(&input[(first + piece.start) * input_row..(first + piece.end) * input_row], to);
                });
            }
            Feed::Convolution(convolution) => {
                let scratches = Mutex::new(scratch.chunks_exact_mut(convolution.scratch_len()));
                split.run(threads, to, |piece, to| {
                    let scratch = scratches.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let scratch = scratch.expect("there is scratch memory for each piece");
                    convolution.run(input, first + piece.start..first + piece.end, scratch, to);
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use super::*;
    use crate::kernels::{KernelSet, Quantization, Residual, WeightOrder, Weights};

    const UNIT: Quantization = Quantization { scale: 0.02, zero_point: 120 };

    /// Packs arbitrary weights.
    fn packed<T>(channels: usize, depth: usize, pack: impl FnOnce(&Weights<'_>) -> T) -> T {
        let values: Vec<i8> = (0..channels * depth).map(|i| (i * 7919 % 255) as u8 as i8).collect();
        let scales = vec![0.01; channels];
        pack(&Weights { values: &values, order: WeightOrder::ChannelMajor, scales: &scales, bias: &[] })
    }

    fn pointwise(channels: usize, depth: usize, residual: Option<&Residual>) -> Pointwise {
        let set = KernelSet::detect();
        packed(channels, depth, |weights| {
            Pointwise::pack(set, [channels, depth], weights, UNIT, &UNIT.into(), residual).unwrap()
        })
    }

    fn strips(feed: Feed, window: Window, residual: Option<&Residual>, outputs: usize, rows: usize) -> Strips {
        let filter = packed(window.channels, window.kernel[0] * window.kernel[1], |weights| {
            Depthwise::pack(KernelSet::detect(), window, weights, UNIT, &UNIT.into()).unwrap()
        });
        let project = pointwise(outputs, window.channels, residual);
        Strips { feed, filter, window, project, row_costs: [1000, 100, 30], rows }
    }

    fn run(strips: &Strips, threads: usize, input: &[u8], addend: Option<&[u8]>, outputs: usize) -> Vec<u8> {
        let mut threads = Threads::new(NonZero::new(threads).unwrap()).unwrap();
        let mut scratch = vec![9; strips.scratch_len(threads.count())];
        let mut output = vec![7; strips.window.output_height() * strips.window.output_width() * outputs];
        strips.run(&mut threads, input, addend, &mut scratch, &mut output);
        output
    }

    /// The layers one after the other on whole images.
    fn whole(strips: &Strips, input: &[u8], addend: Option<&[u8]>, outputs: usize) -> Vec<u8> {
        let Window { height, channels, .. } = strips.window;
        let mut wide = vec![0; strips.window.input_len()];
        match &strips.feed {
            Feed::Pointwise(expand) => expand.run(input, &mut wide),
            Feed::Convolution(stem) => stem.run(input, 0..height, &mut vec![0; stem.scratch_len()], &mut wide),
        }
        let (height, width) = (strips.window.output_height(), strips.window.output_width());
        let mut filtered = vec![0; height * width * channels];
        strips.filter.run(&wide, 0..height, &mut filtered);
        let mut output = vec![0; height * width * outputs];
        match addend {
            None => strips.project.run(&filtered, &mut output),
            Some(addend) => strips.project.run_adding(&filtered, addend, &mut output),
        }
        output
    }

    fn arbitrary(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 77 % 253) as u8).collect()
    }

    #[test]
    fn strips_of_any_height_give_what_whole_images_give() {
        let residual = Residual { addend: UNIT, sum: UNIT.into() };
        for (kernel, stride, padding) in [(3, 1, [1; 4]), (3, 2, [0, 0, 1, 1]), (5, 2, [2; 4]), (2, 3, [0, 4, 7, 0])] {
            let window =
                Window { height: 13, width: 9, channels: 40, kernel: [kernel; 2], stride: [stride; 2], padding };
            let input = arbitrary(13 * 9 * 12);
            let addend = arbitrary(window.output_height() * window.output_width() * 12);
            for (rows, threads) in [(1, 1), (2, 3), (3, 2), (13, 1)] {
                for adds in [false, true] {
                    let (residual, addend) = (adds.then_some(&residual), adds.then_some(&addend[..]));
                    let strips = strips(Feed::Pointwise(pointwise(40, 12, None)), window, residual, 12, rows);
                    let output = run(&strips, threads, &input, addend, 12);
                    assert!(output == whole(&strips, &input, addend, 12), "{window:?}, {rows} rows, {threads} threads");
                }
            }
        }
    }

    #[test]
    fn a_convolution_feeds_strips_too() {
        let image =
            Window { height: 16, width: 18, channels: 3, kernel: [3; 2], stride: [2; 2], padding: [0, 0, 1, 1] };
        let window = Window { height: 8, width: 9, channels: 20, kernel: [3; 2], stride: [1; 2], padding: [1; 4] };
        let input = arbitrary(image.input_len());
        for (rows, threads) in [(1, 1), (3, 4)] {
            let stem = packed(20, 27, |weights| {
                Convolution::pack(KernelSet::detect(), image, 20, weights, UNIT, &UNIT.into()).unwrap()
            });
            let strips = strips(Feed::Convolution(stem), window, None, 10, rows);
            let output = run(&strips, threads, &input, None, 10);
            assert!(output == whole(&strips, &input, None, 10), "{rows} rows, {threads} threads");
        }
    }
}
