//! Tensors that cross the seam.

use std::sync::Arc;

use tract_onnx::tract_core::internal::*;

use crate::caption::Token;

/// A tensor, shared between graphs without a copy.
#[derive(Debug, Clone)]
pub(crate) struct Value(pub(super) Arc<Tensor>);

impl Value {
    /// A zero-filled f32 tensor.
    pub fn zeros(shape: &[usize]) -> Self {
        Self(Arc::new(Tensor::zero::<f32>(shape).expect("f32 can be zeroed at any checked shape")))
    }

    /// Room for the last token of each beam row, (rows, 1).
    pub fn tokens(rows: usize) -> Self {
        Self(Arc::new(Tensor::zero::<i64>(&[rows, 1]).expect("i64 can be zeroed at any checked shape")))
    }

    pub fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    /// Elements in row-major order; empty if the tensor is not f32.
    pub fn as_f32(&self) -> &[f32] {
        if self.0.datum_type() != f32::datum_type() {
            return &[];
        }
        self.0.as_plain_ram().map_or(&[], |view| view.as_slice::<f32>().unwrap_or(&[]))
    }

    /// Writes elements in row-major order; copies the tensor first if another holder still reads it.
    pub fn write_f32(&mut self, write: impl FnOnce(&mut [f32])) {
        if let Some(mut view) = Arc::make_mut(&mut self.0).as_plain_ram_mut()
            && let Ok(elements) = view.as_slice_mut::<f32>()
        {
            write(elements);
        }
    }

    /// Writes one token a row; rows beyond `tokens` keep what they had.
    pub fn set_tokens(&mut self, tokens: &[Token]) {
        if let Some(mut view) = Arc::make_mut(&mut self.0).as_plain_ram_mut()
            && let Ok(slots) = view.as_slice_mut::<i64>()
        {
            for (slot, token) in slots.iter_mut().zip(tokens) {
                *slot = i64::from(*token);
            }
        }
    }
}
