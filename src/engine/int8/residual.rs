//! Additions that a product can do while it writes its output.

use std::collections::HashMap;

use tract_onnx::tract_core::internal::*;

use super::layer::{Activation, Layer, Operation};
use crate::kernels::{Output, Residual};

/// Puts additions into the products that nothing else reads; `kept` are tensors that are read outside.
pub(super) fn fuse(mut layers: Vec<Layer>, kept: &[OutletId]) -> Vec<Layer> {
    let readers = count_readers(&layers, kept);
    let mut at = 0;
    while at < layers.len() {
        if let Operation::Add { addends, output } = layers[at].operation.clone() {
            let product = product_to_fuse(&layers[..at], &addends, &readers);
            if let Some((product, addend)) = product {
                let product = layers.remove(product);
                at -= 1;
                add_to(&mut layers[at], product, addend, output);
            }
        }
        at += 1;
    }
    layers
}

/// How often each tensor is read, by a layer or outside.
pub(super) fn count_readers(layers: &[Layer], kept: &[OutletId]) -> HashMap<OutletId, usize> {
    let mut readers = HashMap::new();
    for input in layers.iter().flat_map(|layer| &layer.inputs).chain(kept) {
        *readers.entry(*input).or_default() += 1;
    }
    readers
}

/// The last product that makes one of the addends for this sum alone, and the other addend.
fn product_to_fuse(
    layers: &[Layer],
    addends: &[Activation; 2],
    readers: &HashMap<OutletId, usize>,
) -> Option<(usize, Activation)> {
    let fusible = |own: &Activation, other: &Activation| {
        let index = layers.iter().position(|layer| layer.output == own.outlet)?;
        let is_free = matches!(layers[index].operation, Operation::Product { residual: None, .. })
            && readers.get(&own.outlet) == Some(&1)
            && layers[index].inputs[0] != other.outlet;
        is_free.then_some((index, *other))
    };
    let [first, second] = addends;
    fusible(first, second).into_iter().chain(fusible(second, first)).max_by_key(|(index, _)| *index)
}

fn add_to(sum: &mut Layer, product: Layer, addend: Activation, output: Output) {
    let Operation::Product { input, kernel, bias, output: own, .. } = product.operation else { return };
    let residual = Residual { addend: addend.quantization, sum: output };
    sum.inputs = tvec!(product.inputs[0], addend.outlet);
    sum.operation = Operation::Product { input, kernel, bias, output: own, residual: Some(residual) };
}
