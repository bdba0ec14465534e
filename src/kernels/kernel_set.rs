//! The kernel sets of this build and the choice among them.
use crate::kernels::{
    add::Add,
    columns::Columns,
    depthwise::DepthwiseKernel,
    error::KernelError,
    excitation::Excitation,
    float_depthwise::Filter,
    linear::ToFloat,
    matrix::{MatrixLayout, PackedMatrix, Rows},
    reference::REFERENCE,
    requantize::{Addend, Limits, Quantization, Requantize},
    simd,
    window::Window,
};
use std::fmt;

/// A family of kernels that this CPU can run.
#[derive(Clone, Copy)]
pub struct KernelSet(&'static Kernels);

/// The functions of one set. They may use instructions of which `is_supported` has reported the presence: a
/// [`KernelSet`] is only made after that check.
pub(crate) struct Kernels {
    pub name: &'static str,
    pub is_supported: fn() -> bool,
    pub matrix_layout: MatrixLayout,
    pub multiply_to_u8: fn(&PackedMatrix, Rows<'_>, &Requantize, Addend<'_>, &mut [u8]),
    /// Computes the blocks that begin in the columns.
    pub multiply_to_f32: fn(&PackedMatrix, Rows<'_>, &[Quantization], &ToFloat, Columns<'_>),
    /// By preference; the reference's kernels follow.
    pub depthwise: &'static [DepthwiseKernel],
    pub elementwise: Elementwise,
}

/// Plain loops, compiled once for each set's instructions.
pub(crate) struct Elementwise {
    pub quantize: fn(&[f32], f32, Limits, &mut [u8]),
    pub interleave: fn(&[&[u8]], &mut [u8]),
    pub dequantize: fn(&[u8], Quantization, &mut [f32]),
    pub range: fn(&[f32]) -> (f32, f32),
    pub add: fn(&Add, &[u8], &[u8], &mut [u8]),
    pub excite: fn(&Excitation, &[u8], &[u8], &mut [u8]),
    pub sum_pixels: fn(&[u8], usize, usize, &mut [i32]),
    pub row_times_matrix: fn(&[f32], &[f32], &mut [f32]),
    pub matrix_times_column: fn(&[f32], &[f32], &mut [f32]),
    pub filter_split: fn(&Filter<'_>, &[f32], &mut [f32]),
}

impl KernelSet {
    /// The fastest set that this CPU can run.
    pub fn detect() -> Self {
        Self::available().next().unwrap_or_else(Self::reference)
    }

    /// The set of that name.
    ///
    /// # Errors
    /// If this build or this CPU does not have it.
    pub fn named(name: &str) -> Result<Self, KernelError> {
        let of_that_name = all().find(|kernels| kernels.name == name);
        let kernels = of_that_name.ok_or_else(|| KernelError::UnknownSet { name: name.into() })?;
        if (kernels.is_supported)() {
            Ok(Self(kernels))
        } else {
            Err(KernelError::UnsupportedSet { name: kernels.name })
        }
    }

    /// Every set that this CPU can run, fastest first; the reference is the last.
    pub fn available() -> impl Iterator<Item = Self> {
        all().filter(|kernels| (kernels.is_supported)()).map(Self)
    }

    /// Plain Rust, which every CPU can run.
    pub fn reference() -> Self {
        Self(&REFERENCE)
    }

    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Bytes that a weight takes once it is packed.
    pub(crate) fn weight_len(self) -> usize {
        self.0.matrix_layout.value_bytes()
    }

    pub(crate) fn kernels(self) -> &'static Kernels {
        self.0
    }

    pub(crate) fn depthwise_kernel(self, window: &Window) -> DepthwiseKernel {
        let by_preference = self.0.depthwise.iter().chain(REFERENCE.depthwise);
        let fitting =
            by_preference.copied().find(|kernel| kernel.channels <= window.channels && (kernel.supports)(window));
        fitting.expect("the reference has a kernel for one channel and any window")
    }
}

impl PartialEq for KernelSet {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for KernelSet {}

impl fmt::Debug for KernelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KernelSet({})", self.name())
    }
}

fn all() -> impl Iterator<Item = &'static Kernels> {
    simd::SETS.iter().copied().chain([&REFERENCE])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_runs_everywhere_and_comes_last() {
        assert_eq!(KernelSet::available().last(), Some(KernelSet::reference()));
        assert_eq!(KernelSet::named("reference"), Ok(KernelSet::reference()));
    }

    #[test]
    fn an_unknown_name_is_refused() {
        assert_eq!(KernelSet::named("mmx"), Err(KernelError::UnknownSet { name: "mmx".into() }));
    }

    #[test]
    fn a_set_that_the_cpu_lacks_is_refused() {
        for kernels in all().filter(|kernels| !(kernels.is_supported)()) {
            assert_eq!(KernelSet::named(kernels.name), Err(KernelError::UnsupportedSet { name: kernels.name }));
        }
    }

    #[test]
    fn detection_takes_the_first_available_set() {
        assert_eq!(Some(KernelSet::detect()), KernelSet::available().next());
    }
}
