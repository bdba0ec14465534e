//! What the pass finds in a graph: layers that compute on u8 tensors, with their weights.

use std::sync::Arc;

use tract_onnx::tract_core::internal::*;

use crate::kernels::{Output, Quantization, Residual, WeightOrder, Weights, Window};

/// Longest tensor that the pass takes on; longer ones are left to tract.
const MAX_LEN: usize = 1 << 28;

/// How the elements of a tensor lie in the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// (1, channels, height, width) in ONNX; kept pixel by pixel (HWC).
    Image { height: usize, width: usize, channels: usize },
    /// (..., channels) in ONNX; kept as it is.
    Rows { rows: usize, channels: usize },
}

impl Layout {
    /// Of a tensor of `shape`; none if it is empty, a batch of images, or too long.
    pub fn of(shape: &[usize]) -> Option<Self> {
        let len = shape.iter().try_fold(1_usize, |len, dim| len.checked_mul(*dim))?;
        if len == 0 || len > MAX_LEN {
            return None;
        }
        match *shape {
            [] => Some(Self::Rows { rows: 1, channels: 1 }),
            [1, channels, 1, 1] => Some(Self::Rows { rows: 1, channels }),
            [1, channels, height, width] => Some(Self::Image { height, width, channels }),
            [_, _, _, _] => None,
            [.., channels] => Some(Self::Rows { rows: len / channels, channels }),
        }
    }

    pub fn channels(self) -> usize {
        match self {
            Self::Image { channels, .. } | Self::Rows { channels, .. } => channels,
        }
    }

    /// Pixels or rows.
    pub fn rows(self) -> usize {
        match self {
            Self::Image { height, width, .. } => height * width,
            Self::Rows { rows, .. } => rows,
        }
    }

    pub fn len(self) -> usize {
        self.rows() * self.channels()
    }

    /// Height and width; a single row is an image of one pixel.
    pub fn size(self) -> Option<[usize; 2]> {
        match self {
            Self::Image { height, width, .. } => Some([height, width]),
            Self::Rows { rows: 1, .. } => Some([1, 1]),
            Self::Rows { .. } => None,
        }
    }
}

/// A quantized tensor that a layer reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Activation {
    pub outlet: OutletId,
    pub quantization: Quantization,
    pub layout: Layout,
}

/// Signed weights of a convolution or product as they lie in the model, zero point 0.
#[derive(Debug, Clone)]
pub(super) struct Kernel {
    pub values: Arc<Tensor>,
    pub order: WeightOrder,
    pub scales: Vec<f32>,
}

/// What a layer computes.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    /// f32 to u8.
    Quantize(Quantization),
    /// u8 to f32.
    Dequantize(Quantization),
    /// Each row times a matrix, to u8; the second input is added if there is a residual.
    Product {
        input: Activation,
        kernel: Kernel,
        bias: Vec<i32>,
        output: Output,
        residual: Option<Residual>,
    },
    /// Each row times a matrix, to f32.
    Linear {
        input: Activation,
        kernel: Kernel,
        bias: Vec<f32>,
    },
    /// Rows of f32, quantized to the range that they have, times a matrix, to f32.
    DynamicLinear {
        input: Layout,
        kernel: Kernel,
        bias: Vec<f32>,
    },
    Convolution {
        window: Window,
        is_depthwise: bool,
        input: Activation,
        kernel: Kernel,
        bias: Vec<i32>,
        output: Output,
    },
    Add {
        addends: [Activation; 2],
        output: Output,
    },
    GlobalAveragePool {
        input: Activation,
        output: Output,
    },
    /// An image times a factor a channel.
    Excitation {
        image: Activation,
        factors: Activation,
        output: Output,
    },
    /// The step of each step.
    Lookup(Box<[u8; 256]>),
}

/// A layer and the tensors of the graph that it reads and writes.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub name: String,
    pub operation: Operation,
    pub inputs: TVec<OutletId>,
    pub output: OutletId,
    /// Of the output.
    pub layout: Layout,
}

impl Layer {
    /// Whether it is worth a region of its own.
    pub fn is_heavy(&self) -> bool {
        use Operation::{Convolution, DynamicLinear, Linear, Product};
        matches!(self.operation, Product { .. } | Linear { .. } | DynamicLinear { .. } | Convolution { .. })
    }

    /// Lets go of weights that are packed.
    pub fn release_weights(&mut self) {
        use Operation::{Convolution, DynamicLinear, Linear, Product};
        if let Product { kernel, .. }
        | Linear { kernel, .. }
        | DynamicLinear { kernel, .. }
        | Convolution { kernel, .. } = &mut self.operation
        {
            kernel.values = Arc::default();
        }
    }

    pub fn is_dequantization(&self) -> bool {
        matches!(self.operation, Operation::Dequantize(_))
    }

    /// Whether it writes f32, to leave the region.
    pub fn is_float(&self) -> bool {
        use Operation::{Dequantize, DynamicLinear, Linear};
        matches!(self.operation, Dequantize(_) | Linear { .. } | DynamicLinear { .. })
    }
}

impl Kernel {
    /// What the kernels pack.
    pub fn weights<'a>(&'a self, bias: &'a [i32]) -> TractResult<Weights<'a>> {
        let values = self.values.try_as_plain_ram()?.as_slice::<i8>()?;
        Ok(Weights { values, order: self.order, scales: &self.scales, bias })
    }
}
