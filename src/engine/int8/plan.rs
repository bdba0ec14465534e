//! A region made ready: its steps in order, weights packed, and a place for every tensor.

use std::collections::HashMap;

use tract_onnx::tract_core::internal::*;

use super::arena::{Arena, Buffer};
use super::layer::{Layer, Operation};
use super::regions::Region;
use super::residual;
use super::split::Split;
use super::step::{Memory, Step, Work};
use super::strips::{self, Strips};
use super::view::View;
use crate::engine::Pool;
use crate::kernels::{Add, Convolution, Depthwise, Excitation, GlobalAveragePool, KernelSet, Linear, Pointwise};

/// A region of a graph, compiled for a kernel set.
pub(super) struct Plan {
    pub set: KernelSet,
    pub pool: Pool,
    pub steps: Vec<Step>,
    pub arena: Arena,
    pub outputs: Vec<(DatumType, TVec<usize>)>,
}

impl Plan {
    /// Packs the weights of `region` and plans its memory. Takes the layers out of it, and frees the weights of each
    /// as soon as they are packed.
    ///
    /// # Errors
    /// If a kernel refuses a layer or a tensor has no fixed shape, which the patterns should have seen before.
    pub fn compile(view: View<'_>, set: KernelSet, pool: &Pool, region: &mut Region) -> TractResult<Self> {
        let layers = std::mem::take(&mut region.layers);
        let mut builder = Builder {
            view,
            set,
            threads: pool.count(),
            region,
            buffers: vec![],
            buffer_of: HashMap::new(),
            steps: vec![],
        };
        builder.load_inputs()?;
        let mut layers = residual::fuse(layers, &region.outputs);
        let chains = strips::chains(&layers, &region.outputs, builder.threads);
        for index in 0..layers.len() {
            match chains.iter().find(|chain| chain.contains(&index)) {
                None => {
                    builder.add(&layers[index])?;
                    layers[index].release_weights();
                }
                Some(&[feed, filter, project]) if index == project => {
                    builder.add_strips([feed, filter, project].map(|layer| &layers[layer]))?;
                    [feed, filter, project].into_iter().for_each(|layer| layers[layer].release_weights());
                }
                Some(_) => (),
            }
        }
        let outputs = region.outputs.iter().map(|outlet| {
            let fact = view.model.outlet_fact(*outlet)?;
            Ok((fact.datum_type, fact.shape.as_concrete().context("an output has no fixed shape")?.into()))
        });
        let outputs = outputs.collect::<TractResult<_>>()?;
        Ok(Self { set, pool: pool.clone(), steps: builder.steps, arena: Arena::plan(&builder.buffers), outputs })
    }

    /// Runs all steps; `observe` is called before each.
    pub fn run(
        &self,
        arena: &mut [u8],
        inputs: &[TValue],
        mut observe: impl FnMut(&Step),
    ) -> TractResult<TVec<TValue>> {
        let outputs = self.outputs.iter().map(|(element, shape)| Tensor::zero_dt(*element, shape));
        let mut outputs = outputs.collect::<TractResult<TVec<_>>>()?;
        let mut threads = self.pool.lock();
        let threads = &mut *threads;
        let places = &self.arena.places;
        let mut memory = Memory { set: self.set, threads, places, arena, inputs, outputs: &mut outputs };
        for step in &self.steps {
            observe(step);
            step.run(&mut memory)?;
        }
        Ok(outputs.into_iter().map(|output| output.into_tvalue()).collect())
    }
}

/// A plan in the making.
struct Builder<'a> {
    view: View<'a>,
    set: KernelSet,
    threads: usize,
    region: &'a Region,
    buffers: Vec<Buffer>,
    buffer_of: HashMap<OutletId, usize>,
    steps: Vec<Step>,
}

impl Builder<'_> {
    /// Brings in the quantized tensors that come from outside.
    fn load_inputs(&mut self) -> TractResult<()> {
        for (input, outlet) in self.region.inputs.iter().enumerate() {
            if !self.view.is_float(*outlet) {
                let layout = self.view.layout(*outlet).context("an input has no fixed shape")?;
                let writes = Some(self.buffer(layout.len()));
                self.buffer_of.extend(writes.map(|buffer| (*outlet, buffer)));
                let name = self.view.model.node(outlet.node).name.clone();
                let work = Work::Load { input, layout };
                self.push(Step { name, work, split: Split::WHOLE, reads: tvec!(), writes, scratch: None });
            }
        }
        Ok(())
    }

    fn add(&mut self, layer: &Layer) -> TractResult<()> {
        let work = self.pack(layer)?;
        let is_from_outside = matches!(work, Work::Quantize { .. } | Work::DynamicLinear { .. });
        let buffer =
            |outlet: &OutletId| self.buffer_of.get(outlet).copied().context("a layer reads what none has made");
        let reads =
            if is_from_outside { tvec!() } else { layer.inputs.iter().map(buffer).collect::<TractResult<_>>()? };
        let split = Split::of(layer, self.threads);
        let scratch_len = match (&work, &layer.operation) {
            (Work::Convolution(convolution), _) => convolution.scratch_len() * split.pieces(),
            (_, Operation::DynamicLinear { input, .. }) => input.len(),
            _ => 0,
        };
        let scratch = (scratch_len > 0).then(|| self.buffer(scratch_len));
        let writes = (!layer.is_float()).then(|| self.buffer(layer.layout.len()));
        self.buffer_of.extend(writes.map(|buffer| (layer.output, buffer)));
        self.push(Step { name: layer.name.clone(), work, split, reads, writes, scratch });
        self.store(layer, writes)
    }

    /// Adds a depthwise convolution with the layers around it.
    fn add_strips(&mut self, layers: [&Layer; 3]) -> TractResult<()> {
        let [feed, filter, project] = layers;
        let strips = Strips::new(layers, [self.pack(feed)?, self.pack(filter)?, self.pack(project)?], self.threads)?;
        let inputs = [&feed.inputs[0]].into_iter().chain(&project.inputs[1..]);
        let buffer =
            |outlet: &OutletId| self.buffer_of.get(outlet).copied().context("a layer reads what none has made");
        let reads = inputs.map(buffer).collect::<TractResult<_>>()?;
        let scratch = Some(self.buffer(strips.scratch_len(self.threads)));
        let writes = Some(self.buffer(project.layout.len()));
        self.buffer_of.extend(writes.map(|buffer| (project.output, buffer)));
        let (name, work) = (format!("{} to {}", feed.name, project.name), Work::Strips(Box::new(strips)));
        self.push(Step { name, work, split: Split::WHOLE, reads, writes, scratch });
        self.store(project, writes)
    }

    /// Hands out a quantized tensor that something outside reads.
    fn store(&mut self, layer: &Layer, writes: Option<usize>) -> TractResult<()> {
        if let (Some(buffer), Ok(output)) = (writes, self.output(layer)) {
            let (name, work) = (layer.name.clone(), Work::Store { layout: layer.layout, output });
            let reads = tvec!(buffer);
            self.push(Step { name, work, split: Split::WHOLE, reads, writes: None, scratch: None });
        }
        Ok(())
    }

    fn buffer(&mut self, len: usize) -> usize {
        self.buffers.push(Buffer { len, first: self.steps.len(), last: self.steps.len() });
        self.buffers.len() - 1
    }

    fn push(&mut self, step: Step) {
        for read in &step.reads {
            self.buffers[*read].last = self.steps.len();
        }
        self.steps.push(step);
    }

    fn output(&self, layer: &Layer) -> TractResult<usize> {
        let found = self.region.outputs.iter().position(|output| *output == layer.output);
        found.with_context(|| format!("nothing reads {}", layer.name))
    }

    /// Which tensor from outside a layer reads.
    fn input(&self, layer: &Layer) -> TractResult<usize> {
        let found = self.region.inputs.iter().position(|input| *input == layer.inputs[0]);
        found.with_context(|| format!("{} reads no tensor from outside", layer.name))
    }

    fn pack(&self, layer: &Layer) -> TractResult<Work> {
        let set = self.set;
        Ok(match &layer.operation {
            Operation::Quantize(quantization) => {
                Work::Quantize { input: self.input(layer)?, layout: layer.layout, quantization: *quantization }
            }
            Operation::Dequantize(quantization) => {
                Work::Dequantize { layout: layer.layout, quantization: *quantization, output: self.output(layer)? }
            }
            Operation::Product { input, kernel, bias, output, residual } => {
                let shape = [kernel.scales.len(), input.layout.channels()];
                let weights = kernel.weights(bias)?;
                let packed = Pointwise::pack(set, shape, &weights, input.quantization, output, residual.as_ref());
                let pack = if residual.is_some() { Work::PointwiseAdding } else { Work::Pointwise };
                pack(packed?)
            }
            Operation::Linear { input, kernel, bias } => Work::Linear {
                linear: Linear::pack(set, [kernel.scales.len(), input.layout.channels()], &kernel.weights(&[])?, bias)?,
                quantizations: vec![input.quantization; input.layout.rows()],
                output: self.output(layer)?,
            },
            Operation::DynamicLinear { input, kernel, bias } => Work::DynamicLinear {
                linear: Linear::pack(set, [kernel.scales.len(), input.channels()], &kernel.weights(&[])?, bias)?,
                input: self.input(layer)?,
                rows: input.rows(),
                output: self.output(layer)?,
            },
            Operation::Convolution { .. } => pack_convolution(set, &layer.operation)?,
            Operation::Add { addends: [first, second], output } => {
                Work::Add(Add::new(set, first.quantization, second.quantization, output.clone()))
            }
            Operation::Excitation { image, factors, output } => {
                Work::Excitation(Excitation::new(set, image.quantization, factors.quantization, output))
            }
            Operation::GlobalAveragePool { input, output } => {
                let (pixels, channels) = (input.layout.rows(), input.layout.channels());
                Work::GlobalAveragePool(GlobalAveragePool::new(set, pixels, channels, input.quantization, output))
            }
            Operation::Lookup(table) => Work::Lookup(table.clone()),
        })
    }
}

fn pack_convolution(set: KernelSet, operation: &Operation) -> TractResult<Work> {
    let Operation::Convolution { window, is_depthwise, input, kernel, bias, output } = operation else {
        bail!("not a convolution");
    };
    let weights = kernel.weights(bias)?;
    Ok(if *is_depthwise {
        Work::Depthwise(Depthwise::pack(set, *window, &weights, input.quantization, output)?)
    } else {
        let channels = kernel.scales.len();
        Work::Convolution(Convolution::pack(set, *window, channels, &weights, input.quantization, output)?)
    })
}
