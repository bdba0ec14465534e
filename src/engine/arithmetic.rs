//! Who computes the quantized parts of a graph.

use std::env;

use crate::error::{Error, Result};
use crate::kernels::KernelSet;

/// Forces a choice, for tests and comparisons.
const VARIABLE: &str = "SCENESCRIBE_KERNELS";

/// The value of the variable that leaves every graph to tract.
const TRACT: &str = "tract";

/// The arithmetic of the quantized parts of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    /// On 8-bit integers, by our kernels.
    Int8(KernelSet),
    /// On floats between their scales, by tract.
    Float,
}

impl Arithmetic {
    /// The fastest kernels of this CPU, or what the environment variable `SCENESCRIBE_KERNELS` names.
    ///
    /// # Errors
    /// [`Error::Kernels`] if it names nothing that this build and this CPU have.
    pub fn from_env() -> Result<Self> {
        match env::var_os(VARIABLE) {
            Some(name) => Self::named(&name.to_string_lossy()),
            None => Ok(Self::Int8(KernelSet::detect())),
        }
    }

    fn named(name: &str) -> Result<Self> {
        if name == TRACT {
            return Ok(Self::Float);
        }
        KernelSet::named(name)
            .map(Self::Int8)
            .map_err(|cause| Error::Kernels { variable: VARIABLE, cause: cause.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_chosen_by_name() {
        assert_eq!(Arithmetic::named("tract").ok(), Some(Arithmetic::Float));
        assert_eq!(Arithmetic::named("reference").ok(), Some(Arithmetic::Int8(KernelSet::reference())));
    }

    #[test]
    fn a_name_of_no_kernels_is_an_error_that_says_so() {
        let message = Arithmetic::named("mmx").unwrap_err().to_string();
        assert!(message.contains("SCENESCRIBE_KERNELS") && message.contains("mmx"), "{message}");
    }
}
