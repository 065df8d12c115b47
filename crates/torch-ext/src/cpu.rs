//! The version of libtorch and the abilities of the CPU under it.

use std::ffi::CStr;
use std::sync::OnceLock;

use crate::ffi;
use crate::simd::{InstructionSet, pairs};

/// The version of the libtorch headers that this program was built against, such as `2.13.0`.
pub fn version() -> &'static str {
    // SAFETY: the text is a NUL-terminated constant of the binary.
    unsafe { CStr::from_ptr(ffi::torch_ext_version()) }.to_str().unwrap_or("unknown")
}

/// Whether the CPU has a unit for products of bf16 matrices (AMX), the system lets programs use it, and
/// [`InstructionSet::chosen`] allows for it.
pub fn has_bf16_matrix_unit() -> bool {
    // Asked once: in a virtual machine every such question goes to the host, which takes microseconds.
    static ANSWER: OnceLock<bool> = OnceLock::new();
    // SAFETY: one system call without arguments, made only on a CPU that has the unit.
    *ANSWER.get_or_init(|| {
        let is_within_the_limit = InstructionSet::chosen() == InstructionSet::detected();
        is_within_the_limit && cpu_has_amx_bf16() && unsafe { ffi::torch_ext_init_amx() }
    })
}

/// Whether this CPU multiplies bf16 faster than fp32, which decides what `--precision auto` means.
///
/// AMX does so by far. AVX512-BF16 has twice the multiplications of fp32 in an instruction; AMD's CPUs start as many
/// of them in a cycle as of fp32's, Intel's half as many, which leaves no gain.
pub fn multiplies_bf16_faster() -> bool {
    has_bf16_matrix_unit() || (is_amds() && pairs::available())
}

#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "newer versions of Rust have it as a safe function")]
fn cpu_has_amx_bf16() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    /// EDX of leaf 7: AMX-BF16 and AMX-TILE.
    const AMX: u32 = 1 << 22 | 1 << 24;
    // SAFETY: every x86-64 CPU has the instruction, and leaf 7 is there where leaf 0 says so.
    unsafe { __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & AMX == AMX }
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_has_amx_bf16() -> bool {
    false
}

/// Whether AMD made this CPU.
pub(crate) fn is_amds() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| vendor() == b"AuthenticAMD")
}

#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "newer versions of Rust have it as a safe function")]
fn vendor() -> Vec<u8> {
    // SAFETY: every x86-64 CPU has the instruction and its leaf 0.
    let name = unsafe { std::arch::x86_64::__cpuid(0) };
    [name.ebx, name.edx, name.ecx].map(u32::to_le_bytes).concat()
}

#[cfg(not(target_arch = "x86_64"))]
fn vendor() -> Vec<u8> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_one_that_tch_takes() {
        assert!(["2.13.0", "2.11.0"].contains(&super::version()), "{}", super::version());
    }
}
