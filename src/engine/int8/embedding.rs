//! Rows of a quantized table: gathered as integers, so that only these rows are dequantized.

use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::Gather;

use super::scheme::Dequantize;
use super::view::View;

/// Moves the dequantization of every constant table behind the Gather that reads it.
pub(super) fn gather_integers(model: &mut TypedModel) -> TractResult<()> {
    for id in 0..model.nodes().len() {
        if let Some(patch) = gathered(model, model.node(id))? {
            patch.apply(model)?;
        }
    }
    Ok(())
}

fn gathered(model: &TypedModel, node: &TypedNode) -> TractResult<Option<TypedModelPatch>> {
    let Some(op) = node.op_as::<Gather>() else { return Ok(None) };
    let &[table, indices] = &node.inputs[..] else { return Ok(None) };
    let Some((source, dequantize)) = (View { model }).maker::<Dequantize>(table) else { return Ok(None) };
    let is_constant = model.outlet_fact(source.inputs[0])?.konst.is_some();
    if !is_constant || dequantize.scheme.of_tensor().is_none() {
        return Ok(None);
    }
    let mut patch = TypedModelPatch::default();
    let taps = patch.taps(model, &[source.inputs[0], indices])?;
    let rows = patch.wire_node(format!("{}.integers", node.name), op.clone(), &taps)?;
    let real = patch.wire_node(&*node.name, dequantize.clone(), &rows)?;
    patch.shunt_outside(model, node.id.into(), real[0])?;
    Ok(Some(patch))
}
