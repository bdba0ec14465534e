//! Which layers run together: connected, and such that no path leaves a region and comes back into it.

use std::collections::{HashMap, HashSet};

use tract_onnx::tract_core::internal::*;

use super::layer::Layer;

/// Layers that become one operator.
#[derive(Debug)]
pub(super) struct Region {
    pub layers: Vec<Layer>, // each after those that it reads
    pub inputs: Vec<OutletId>,
    pub outputs: Vec<OutletId>,
}

/// The regions of a graph, given every layer that could be; each heavy enough to be worth it.
pub(super) fn regions(model: &TypedModel, order: &[usize], mut layers: Layers) -> Vec<Region> {
    layers.drop_idle_dequantizations();
    loop {
        let needed = Needed::of(model, &layers);
        let live = layers.only(&needed.layers);
        let (heavy, light): (Vec<_>, Vec<_>) =
            live.grouped(model, order).into_iter().partition(|group| group.iter().any(Layer::is_heavy));
        if light.is_empty() {
            return separated(heavy, needed.tensors);
        }
        light.iter().flatten().for_each(|layer| layers.remove(layer.output));
    }
}

/// Regions of `groups`; `read_outside` are tensors that no layer reads, or not only layers.
fn separated(groups: Vec<Vec<Layer>>, mut read_outside: HashSet<OutletId>) -> Vec<Region> {
    let inputs: Vec<Vec<OutletId>> = groups.iter().map(|layers| inputs(layers)).collect();
    read_outside.extend(inputs.iter().flatten());
    let regions = groups.into_iter().zip(inputs).map(|(layers, inputs)| {
        let outputs = layers.iter().map(|layer| layer.output).filter(|output| read_outside.contains(output)).collect();
        Region { layers, inputs, outputs }
    });
    regions.collect()
}

/// What `layers` read and do not make, each once.
fn inputs(layers: &[Layer]) -> Vec<OutletId> {
    let made: HashSet<OutletId> = layers.iter().map(|layer| layer.output).collect();
    let mut inputs = vec![];
    for input in layers.iter().flat_map(|layer| &layer.inputs) {
        if !made.contains(input) && !inputs.contains(input) {
            inputs.push(*input);
        }
    }
    inputs
}

/// Layers by the tensor that they make.
#[derive(Default)]
pub(super) struct Layers(HashMap<OutletId, Layer>);

impl FromIterator<Layer> for Layers {
    fn from_iter<I: IntoIterator<Item = Layer>>(layers: I) -> Self {
        Self(layers.into_iter().map(|layer| (layer.output, layer)).collect())
    }
}

impl Layers {
    fn remove(&mut self, output: OutletId) {
        self.0.remove(&output);
    }

    fn only(&self, live: &HashSet<OutletId>) -> Self {
        Self(live.iter().filter_map(|output| Some((*output, self.0.get(output)?.clone()))).collect())
    }

    /// Leaves to tract the dequantization of what no layer makes.
    fn drop_idle_dequantizations(&mut self) {
        let is_made = |layer: &Layer| layer.inputs.iter().all(|input| self.0.contains_key(input));
        let idle = self.0.values().filter(|layer| layer.is_dequantization() && !is_made(layer));
        let idle: Vec<_> = idle.map(|layer| layer.output).collect();
        idle.into_iter().for_each(|output| self.remove(output));
    }

    /// Groups of layers, each in the order of the graph.
    ///
    /// A layer's level is the number of times that a path to it goes from layers to tract and back. Layers of one
    /// level have no tract node on any path between them, so whatever is connected within a level may run as one.
    fn grouped(&self, model: &TypedModel, order: &[usize]) -> Vec<Vec<Layer>> {
        let mut levels: HashMap<usize, usize> = HashMap::new(); // of nodes behind at least one layer
        let mut groups: Vec<Vec<Layer>> = vec![];
        let mut group_of: HashMap<OutletId, usize> = HashMap::new();
        for &id in order {
            let output = OutletId::new(id, 0);
            let Some(layer) = self.0.get(&output) else {
                let level = model.node(id).inputs.iter().filter_map(|input| levels.get(&input.node)).max();
                level.copied().and_then(|level| levels.insert(id, level));
                continue;
            };
            let is_direct = |input: &OutletId| self.0.get(input).is_some_and(|layer| !layer.is_float());
            let level_of = |input: &OutletId| Some(levels.get(&input.node)? + usize::from(!is_direct(input)));
            let level = layer.inputs.iter().filter_map(level_of).max().unwrap_or(0);
            levels.insert(id, level);
            let joined =
                layer.inputs.iter().filter(|input| is_direct(input) && levels.get(&input.node) == Some(&level));
            let group = join(&mut groups, &mut group_of, joined.copied().collect());
            group_of.insert(output, group);
            groups[group].push(layer.clone());
        }
        groups.into_iter().filter(|layers| !layers.is_empty()).collect()
    }
}

/// The one group of all `inputs`, merged if they were in several.
fn join(groups: &mut Vec<Vec<Layer>>, group_of: &mut HashMap<OutletId, usize>, inputs: Vec<OutletId>) -> usize {
    let Some(first) = inputs.first().map(|input| group_of[input]) else {
        groups.push(vec![]);
        return groups.len() - 1;
    };
    for input in inputs {
        let other = group_of[&input];
        if other != first {
            let moved = std::mem::take(&mut groups[other]);
            group_of.extend(moved.iter().map(|layer| (layer.output, first)));
            groups[first].extend(moved);
        }
    }
    first
}

/// What the outputs of a graph need: tensors that tract or the caller reads, and layers.
struct Needed {
    tensors: HashSet<OutletId>,
    layers: HashSet<OutletId>,
}

impl Needed {
    fn of(model: &TypedModel, layers: &Layers) -> Self {
        let mut needed = Self { tensors: model.outputs.iter().copied().collect(), layers: HashSet::new() };
        let mut nodes = HashSet::new();
        let mut pending: Vec<OutletId> = model.outputs.clone();
        while let Some(outlet) = pending.pop() {
            if let Some(layer) = layers.0.get(&outlet) {
                if needed.layers.insert(outlet) {
                    pending.extend(&layer.inputs);
                }
            } else if nodes.insert(outlet.node) {
                needed.tensors.extend(&model.node(outlet.node).inputs);
                pending.extend(&model.node(outlet.node).inputs);
            }
        }
        needed
    }
}
