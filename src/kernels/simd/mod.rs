//! The SIMD kernel sets: all of the crate's `unsafe` but the thread pool's.
//!
//! `gemm` and `depthwise` hold the loops, generic over a vector type ([`vector::Vector`], [`depthwise::Filter`]); each
//! other file implements these traits with one instruction set and lists the set's kernels. The ARM sets without dot
//! products have loops of their own around assembly.
//!
//! All generic functions are `#[inline(always)]`: they end up in the one function of each set that carries its
//! `#[target_feature]`, and only there are the intrinsics compiled to instructions.
use crate::kernels::kernel_set::Kernels;

#[cfg(target_arch = "x86_64")]
#[macro_use]
mod elementwise;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[macro_use]
mod entry;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod depthwise;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod finish;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod gemm;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod vector;

#[cfg(target_arch = "x86_64")]
#[macro_use]
mod ymm;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avxvnni;

#[cfg(target_arch = "aarch64")]
#[macro_use]
mod qreg;
#[cfg(target_arch = "aarch64")]
mod dotprod;
#[cfg(target_arch = "aarch64")]
mod neon;

#[cfg(all(target_arch = "arm", not(armv7)))]
mod armv6;
#[cfg(armv7)]
mod armv7;

/// The sets of this build, fastest first.
#[cfg(target_arch = "x86_64")]
pub(crate) static SETS: &[&Kernels] = &[&avx512::AVX512VNNI, &avxvnni::AVXVNNI, &avx2::AVX2];
#[cfg(target_arch = "aarch64")]
pub(crate) static SETS: &[&Kernels] = &[&dotprod::NEON_DOTPROD, &neon::NEON];
#[cfg(armv7)]
pub(crate) static SETS: &[&Kernels] = &[&armv7::ARMV7_NEON];
#[cfg(all(target_arch = "arm", not(armv7)))]
pub(crate) static SETS: &[&Kernels] = &[&armv6::ARMV6_DSP];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "arm")))]
pub(crate) static SETS: &[&Kernels] = &[];
