//! Stands in for tract-linalg's `arm32` module in an ARMv6 build: its VFP kernels without its NEON ones.
//!
//! tract chooses its NEON kernels when it runs, so they do no harm on a CPU without NEON. Without them the program has
//! no instruction that an ARM1176 lacks, which `scripts/test-arm.sh armv6` checks.

mod armvfpv2;

pub(crate) fn has_neon() -> bool {
    false
}

/// What this core has, in tract's words.
pub fn isa_set() -> crate::isa::IsaSet {
    crate::isa::IsaSet::of_arch(crate::isa::Arch::Arm)
}
