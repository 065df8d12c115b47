//! Memory that stays from step to step, in large pages.

use crate::ffi;

/// Makes the C library keep the memory of freed tensors for the next ones, and libtorch ask for large pages.
///
/// A training step allocates and frees hundreds of megabytes of the same sizes, over and over; given back to the
/// system each time, a tenth of the step goes to page faults. For programs, at their start: it concerns the whole
/// process, and libtorch looks once. Does nothing but on Linux with glibc.
pub fn keep_memory() {
    // SAFETY: two settings of the C library; called ahead of any thread that reads the environment.
    unsafe { ffi::torch_ext_keep_memory() }
}
