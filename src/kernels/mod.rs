//! Int8 kernels: quantized convolutions and matrix products over NHWC images, the same bit for bit on every CPU.
//!
//! An operator is packed once, when a model is loaded ([`Pointwise`], [`Depthwise`], [`Convolution`], [`Linear`]),
//! for the [`KernelSet`] that the CPU has; running it allocates nothing and reads and writes only the slices it is
//! given. Every operator works on a range of output rows, so that [`Threads`] can split it:
//!
//! | operator | a run computes | rows are chosen by |
//! |---|---|---|
//! | [`Pointwise`], [`Linear`] | the rows it is given | the slices passed in |
//! | [`Convolution`], [`Depthwise`] | output rows of an image | an explicit range |
//! | quantize, dequantize, add, [`Excitation`] | the elements it is given | the slices passed in |
//!
//! Computing a block of layers in strips of about 128 KiB ([`Depthwise::run_strip`]) keeps what lies between them in
//! the second cache level and needs memory for a strip instead of an image.
//!
//! # Numbers
//! Activations are u8 with one scale and zero point per tensor, weights are i8 with one scale per output channel and
//! zero point 0, sums are wrapping i32. `requantize` holds every rounding rule and is the only place that does;
//! a plain Rust set is the reference that the SIMD sets must equal exactly.
//!
//! # Sets
//! `reference` (any CPU), `avx2`, `avxvnni` and `avx512vnni` (x86-64), `neon` and `neon-dotprod` (aarch64),
//! `armv7-neon`, `armv6-dsp`.
//! [`KernelSet::detect`] takes the best one; [`KernelSet::named`] forces another.
//!
//! # Not supported
//! Weight zero points other than 0, activation scales per channel, dilation, groups other than 1 or the channel
//! count. i8 activations must be shifted to u8 by the caller (add 128 to values and zero point).

mod add;
mod average_pool;
mod columns;
mod convolution;
mod depthwise;
mod error;
mod excitation;
mod float_depthwise;
mod kernel_set;
mod linear;
mod matrix;
mod pointwise;
mod quantize;
mod reference;
mod requantize;
mod simd;
#[cfg(test)]
mod tests;
mod thin;
mod threads;
mod window;

pub use add::Add;
pub use average_pool::GlobalAveragePool;
pub use convolution::Convolution;
pub use depthwise::Depthwise;
#[cfg(test)]
pub use error::KernelError;
pub use excitation::Excitation;
pub use float_depthwise::FloatDepthwise;
pub use kernel_set::KernelSet;
pub use linear::Linear;
pub use matrix::{WeightOrder, Weights};
pub use pointwise::Pointwise;
pub use requantize::{Output, Quantization, Residual};
pub use threads::Threads;
pub use window::{ImageRows, Window};
