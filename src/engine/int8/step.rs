//! One step of a region's plan: a packed kernel and the places that it reads and writes.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use tract_onnx::tract_core::internal::*;

use super::layer::Layout;
use super::split::Split;
use super::strips::Strips;
use super::tensors::{self, Border};
use crate::kernels::{
    Add, Convolution, Depthwise, Excitation, GlobalAveragePool, KernelSet, Linear, Pointwise, Quantization, Threads,
};

/// A step: `work` on the buffers `reads`, to the buffer `writes`, by their numbers.
pub(super) struct Step {
    pub name: String,
    pub work: Work,
    pub split: Split,
    pub reads: TVec<usize>,
    pub writes: Option<usize>,
    pub scratch: Option<usize>,
}

/// What a step does; `input` and `output` count the tensors of the region.
pub(super) enum Work {
    Quantize { input: usize, layout: Layout, quantization: Quantization },
    Load { input: usize, layout: Layout },
    Pointwise(Pointwise),
    PointwiseAdding(Pointwise),
    Convolution(Convolution),
    Depthwise(Depthwise),
    Strips(Box<Strips>),
    Add(Add),
    Excitation(Excitation),
    GlobalAveragePool(GlobalAveragePool),
    Lookup(Box<[u8; 256]>),
    Linear { linear: Linear, quantizations: Vec<Quantization>, output: usize },
    DynamicLinear { linear: Linear, input: usize, rows: usize, output: usize },
    Dequantize { layout: Layout, quantization: Quantization, output: usize },
    Store { layout: Layout, output: usize },
}

impl Work {
    /// What it is called in lists of operators.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Quantize { .. } => "Quantize",
            Self::Load { .. } => "Load",
            Self::Pointwise(_) => "Pointwise",
            Self::PointwiseAdding(_) => "PointwiseAdd",
            Self::Convolution(_) => "Convolution",
            Self::Depthwise(_) => "Depthwise",
            Self::Strips(_) => "Strips",
            Self::Add(_) => "Add",
            Self::Excitation(_) => "Excitation",
            Self::GlobalAveragePool(_) => "GlobalAveragePool",
            Self::Lookup(_) => "Lookup",
            Self::Linear { .. } => "Linear",
            Self::DynamicLinear { .. } => "DynamicLinear",
            Self::Dequantize { .. } => "Dequantize",
            Self::Store { .. } => "Store",
        }
    }
}

/// The memory that the steps of one run share.
pub(super) struct Memory<'a> {
    pub set: KernelSet,
    pub threads: &'a mut Threads,
    pub places: &'a [Range<usize>],
    pub arena: &'a mut [u8],
    pub inputs: &'a [TValue],
    pub outputs: &'a mut [Tensor],
}

impl Memory<'_> {
    /// The threads and the buffers of these numbers, which the plan has laid apart.
    fn apart<const N: usize>(&mut self, buffers: [usize; N]) -> TractResult<(&mut Threads, [&mut [u8]; N])> {
        let places = buffers.map(|buffer| self.places[buffer].clone());
        let buffers = self.arena.get_disjoint_mut(places).map_err(|_| format_err!("buffers of one step overlap"))?;
        Ok((self.threads, buffers))
    }
}

impl Step {
    pub fn run(&self, memory: &mut Memory<'_>) -> TractResult<()> {
        let set = memory.set;
        match &self.work {
            Work::Quantize { input, layout, quantization } => {
                let (inputs, (threads, [to])) = (memory.inputs, memory.apart([self.written()?])?);
                let border = Border { set, layout: *layout, quantization: *quantization };
                border.quantize(&inputs[*input], self.split, threads, to)?;
            }
            Work::Load { input, layout } => {
                let (inputs, (_, [to])) = (memory.inputs, memory.apart([self.written()?])?);
                tensors::load(&inputs[*input], *layout, to)?;
            }
            Work::Dequantize { layout, quantization, output } => {
                let from = &memory.arena[memory.places[self.reads[0]].clone()];
                let border = Border { set, layout: *layout, quantization: *quantization };
                border.dequantize(from, &mut memory.outputs[*output])?;
            }
            Work::Store { layout, output } => {
                let from = &memory.arena[memory.places[self.reads[0]].clone()];
                tensors::store(from, *layout, &mut memory.outputs[*output])?;
            }
            Work::Linear { linear, quantizations, output } => {
                let from = &memory.arena[memory.places[self.reads[0]].clone()];
                let mut view = memory.outputs[*output].try_as_plain_ram_mut()?;
                let (threads, to) = (&mut *memory.threads, view.as_slice_mut::<f32>()?);
                linear.run_shared(threads, self.split.pieces(), from, quantizations, to);
            }
            Work::DynamicLinear { linear, input, rows, output } => {
                let scratch = self.scratch.context("rows that are quantized as they come need a place")?;
                let (inputs, (_, [steps])) = (memory.inputs, memory.apart([scratch])?);
                let view = inputs[*input].try_as_plain_ram()?;
                let quantization = set.quantize_dynamic(view.as_slice::<f32>()?, steps);
                let quantizations: TVec<_> = tvec![quantization; *rows];
                let steps = &memory.arena[memory.places[scratch].clone()];
                let mut view = memory.outputs[*output].try_as_plain_ram_mut()?;
                let (threads, to) = (&mut *memory.threads, view.as_slice_mut::<f32>()?);
                linear.run_shared(threads, self.split.pieces(), steps, &quantizations, to);
            }
            _ => self.compute(memory)?,
        }
        Ok(())
    }

    /// Steps that stay within the arena.
    fn compute(&self, memory: &mut Memory<'_>) -> TractResult<()> {
        let (to, split) = (self.written()?, self.split);
        match (&self.work, &self.reads[..]) {
            (Work::Convolution(convolution), [from]) => {
                let scratch = self.scratch.context("a convolution has scratch memory")?;
                let (threads, [from, scratch, to]) = memory.apart([*from, scratch, to])?;
                let scratches = Mutex::new(scratch.chunks_exact_mut(convolution.scratch_len()));
                split.run(threads, to, |rows, to| {
                    let scratch = scratches.lock().unwrap_or_else(PoisonError::into_inner).next();
                    convolution.run(from, rows, scratch.expect("the plan has scratch memory for each piece"), to);
                });
            }
            (Work::Depthwise(depthwise), [from]) => {
                let (threads, [from, to]) = memory.apart([*from, to])?;
                split.run(threads, to, |rows, to| depthwise.run(from, rows, to));
            }
            (Work::Strips(strips), _) => self.run_strips(strips, memory)?,
            (Work::Pointwise(pointwise), [from]) => {
                let (threads, [from, to]) = memory.apart([*from, to])?;
                split.run(threads, to, |rows, to| pointwise.run(split.rows_of(from, rows), to));
            }
            (Work::PointwiseAdding(pointwise), [from, addend]) => {
                let (threads, [from, addend, to]) = memory.apart([*from, *addend, to])?;
                split.run(threads, to, |rows, to| {
                    pointwise.run_adding(split.rows_of(from, rows.clone()), split.rows_of(addend, rows), to);
                });
            }
            (Work::Add(add), [first, second]) => {
                let (_, [first, second, to]) = memory.apart([*first, *second, to])?;
                add.run(first, second, to);
            }
            (Work::Excitation(excitation), [image, factors]) => {
                let (threads, [image, factors, to]) = memory.apart([*image, *factors, to])?;
                split.run(threads, to, |rows, to| excitation.run(split.rows_of(image, rows), factors, to));
            }
            (Work::GlobalAveragePool(pool), [from]) => {
                let (_, [from, to]) = memory.apart([*from, to])?;
                pool.run(from, to);
            }
            (Work::Lookup(table), [from]) => {
                let (_, [from, to]) = memory.apart([*from, to])?;
                to.iter_mut().zip(from).for_each(|(to, from)| *to = table[usize::from(*from)]);
            }
            _ => bail!("step {} reads {} buffers", self.name, self.reads.len()),
        }
        Ok(())
    }

    fn run_strips(&self, strips: &Strips, memory: &mut Memory<'_>) -> TractResult<()> {
        let (to, scratch) = (self.written()?, self.scratch.context("strips have scratch memory")?);
        match self.reads[..] {
            [from, addend] if addend != from => {
                let (threads, [from, addend, scratch, to]) = memory.apart([from, addend, scratch, to])?;
                strips.run(threads, from, Some(addend), scratch, to);
            }
            [from, ..] => {
                let (threads, [from, scratch, to]) = memory.apart([from, scratch, to])?;
                let addend = (self.reads.len() > 1).then_some(&*from);
                strips.run(threads, from, addend, scratch, to);
            }
            [] => bail!("step {} reads nothing", self.name),
        }
        Ok(())
    }

    fn written(&self) -> TractResult<usize> {
        self.writes.with_context(|| format!("step {} writes nowhere", self.name))
    }
}
