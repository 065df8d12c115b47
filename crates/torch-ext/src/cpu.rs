//! What the libtorch that we run on, and the CPU under it, can do.

use std::ffi::CStr;

use crate::ffi;

/// The version of the libtorch headers that this program was built against, such as `2.13.0`.
pub fn version() -> &'static str {
    // SAFETY: a constant of the binary, NUL-terminated.
    unsafe { CStr::from_ptr(ffi::torch_ext_version()) }.to_str().unwrap_or("unknown")
}

/// Whether the CPU multiplies bf16 matrices in hardware (AMX) and the system lets programs use it.
///
/// Without it bf16 is slower than fp32 on a CPU, so this decides what `--precision auto` means.
pub fn has_bf16_matrix_unit() -> bool {
    // SAFETY: one system call, asked only of a CPU that has the unit.
    cpu_has_amx_bf16() && unsafe { ffi::torch_ext_init_amx() }
}

#[cfg(target_arch = "x86_64")]
fn cpu_has_amx_bf16() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    /// EDX of leaf 7: AMX-BF16 and AMX-TILE.
    const AMX: u32 = 1 << 22 | 1 << 24;
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & AMX == AMX
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_has_amx_bf16() -> bool {
    false
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_one_that_tch_takes() {
        assert!(["2.13.0", "2.11.0"].contains(&super::version()), "{}", super::version());
    }
}
