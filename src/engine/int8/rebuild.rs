//! A graph built anew with each region as one node; what no output needs any more is left out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::konst::Const;

use super::attention::ThinProduct;
use super::operator::Int8Region;
use super::regions::Region;
use super::scheme::Dequantize;
use crate::kernels::KernelSet;

/// `source` with `regions` replaced by their operators.
pub(super) fn rebuild(
    source: &TypedModel,
    set: KernelSet,
    regions: Vec<(Region, Int8Region)>,
) -> TractResult<TypedModel> {
    let target = TypedModel { symbols: source.symbols.clone(), ..TypedModel::default() };
    let mut region_of = HashMap::new();
    for (index, (region, _)) in regions.iter().enumerate() {
        region_of.extend(region.outputs.iter().map(|output| (*output, index)));
    }
    let mut rebuild = Rebuild { source, set, regions, region_of, target, mapping: HashMap::new() };
    for input in &source.inputs {
        rebuild.copy_source(*input)?;
    }
    for output in &source.outputs {
        rebuild.make(*output)?;
    }
    rebuild.finish()
}

/// Lets go of the constants that only `regions` read, whose layers hold their own.
pub(super) fn release_constants(model: &mut TypedModel, regions: &[Region]) -> TractResult<()> {
    let needed = needed_nodes(model, regions);
    for node in model.nodes.iter_mut().filter(|node| !needed.contains(&node.id)) {
        node.outputs.iter_mut().for_each(|output| output.fact.konst = None);
        if node.op_is::<Const>() {
            node.op = Box::new(Const::new(Arc::default())?);
        }
    }
    Ok(())
}

/// The nodes that stay, once `regions` are in their places.
fn needed_nodes(model: &TypedModel, regions: &[Region]) -> HashSet<usize> {
    let made_by = |outlet: &OutletId| regions.iter().find(|region| region.outputs.contains(outlet));
    let mut needed = HashSet::new();
    let mut seen = HashSet::new();
    let mut pending = model.outputs.clone();
    while let Some(outlet) = pending.pop() {
        if !seen.insert(outlet) {
            continue;
        }
        match made_by(&outlet) {
            Some(region) => pending.extend(&region.inputs),
            None => {
                needed.insert(outlet.node);
                pending.extend(&model.node(outlet.node).inputs);
            }
        }
    }
    needed
}

struct Rebuild<'m> {
    source: &'m TypedModel,
    set: KernelSet,
    regions: Vec<(Region, Int8Region)>,
    /// By output.
    region_of: HashMap<OutletId, usize>,
    target: TypedModel,
    mapping: HashMap<OutletId, OutletId>,
}

impl Rebuild<'_> {
    /// Makes `outlet` in the target, and before it all that it needs.
    fn make(&mut self, outlet: OutletId) -> TractResult<()> {
        let mut pending = vec![outlet];
        while let Some(outlet) = pending.last().copied() {
            let inputs = self.inputs(outlet);
            let missing: Vec<_> = inputs.iter().filter(|input| !self.mapping.contains_key(input)).copied().collect();
            if self.mapping.contains_key(&outlet) {
                pending.pop();
            } else if missing.is_empty() {
                self.copy(outlet, &inputs)?;
                pending.pop();
            } else {
                ensure!(pending.len() <= self.source.nodes().len(), "the graph has a cycle");
                pending.extend(missing.first());
            }
        }
        Ok(())
    }

    /// What the node or region that makes `outlet` reads.
    fn inputs(&self, outlet: OutletId) -> TVec<OutletId> {
        match self.region_of.get(&outlet) {
            Some(region) => self.regions[*region].0.inputs.iter().copied().collect(),
            None => self.source.node(outlet.node).inputs.iter().copied().collect(),
        }
    }

    fn copy(&mut self, outlet: OutletId, inputs: &[OutletId]) -> TractResult<()> {
        let inputs: TVec<OutletId> = inputs.iter().map(|input| self.mapping[input]).collect();
        if let Some(index) = self.region_of.get(&outlet) {
            let (region, op) = &self.regions[*index];
            let name = format!("int8.{}", self.source.node(outlet.node).name);
            let outputs = self.target.wire_node(name, op.clone(), &inputs)?;
            self.mapping.extend(region.outputs.iter().copied().zip(outputs));
            return Ok(());
        }
        let node = self.source.node(outlet.node);
        let outputs = self.copy_node(node, &inputs)?;
        self.mapping.extend(outputs.into_iter().enumerate().map(|(slot, made)| (OutletId::new(node.id, slot), made)));
        Ok(())
    }

    fn copy_node(&mut self, node: &TypedNode, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        if let (Some(op), Some(steps)) = (node.op_as::<Dequantize>(), self.constant(inputs)) {
            return Ok(tvec!(self.target.add_const(&*node.name, op.real(&steps)?)?));
        }
        let op = self.thin_product(node, inputs).map_or_else(|| node.op.clone(), Into::into);
        self.target.wire_node(&*node.name, op, inputs)
    }

    fn constant(&self, inputs: &[OutletId]) -> Option<Arc<Tensor>> {
        self.target.outlet_fact(*inputs.first()?).ok()?.konst.clone()
    }

    fn thin_product(&self, node: &TypedNode, inputs: &[OutletId]) -> Option<ThinProduct> {
        let facts: TVec<_> = inputs.iter().map(|input| self.target.outlet_fact(*input).ok()).collect::<Option<_>>()?;
        ThinProduct::replacing(self.set, node, &facts)
    }

    fn copy_source(&mut self, input: OutletId) -> TractResult<()> {
        let made =
            self.target.add_source(&*self.source.node(input.node).name, self.source.outlet_fact(input)?.clone())?;
        self.mapping.insert(input, made);
        Ok(())
    }

    fn finish(mut self) -> TractResult<TypedModel> {
        let outputs: Vec<_> = self.source.outputs.iter().map(|output| self.mapping[output]).collect();
        self.target.select_output_outlets(&outputs)?;
        self.target.properties.clone_from(&self.source.properties);
        Ok(self.target)
    }
}
