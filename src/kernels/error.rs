//! What can go wrong when kernels are chosen or weights are packed.
use std::fmt;

/// Why a kernel set was refused or an operator could not be packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelError {
    /// No kernel set of this build has that name.
    UnknownSet { name: String },
    /// The CPU lacks what the named kernel set needs.
    UnsupportedSet { name: &'static str },
    /// A slice of weights, scales or biases has another length than the operator's shape asks for.
    WrongLength { what: &'static str, expected: usize, actual: usize },
    /// The window does not fit: an empty kernel, stride 0, or a kernel larger than the padded image.
    BadWindow,
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSet { name } => write!(f, "unknown kernel set {name} (see `inspect` for those of this build)"),
            Self::UnsupportedSet { name } => write!(f, "this CPU cannot run the kernel set {name}"),
            Self::WrongLength { what, expected, actual } => {
                write!(f, "{what} has {actual} values where the shape asks for {expected}")
            }
            Self::BadWindow => write!(f, "the convolution window does not fit its padded image"),
        }
    }
}

impl std::error::Error for KernelError {}

pub(crate) fn check_length(what: &'static str, actual: usize, expected: usize) -> Result<(), KernelError> {
    if actual == expected { Ok(()) } else { Err(KernelError::WrongLength { what, expected, actual }) }
}
