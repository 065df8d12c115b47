//! Memory that stays from step to step, in large pages.

use crate::ffi;

/// Makes libtorch take large tensors from memory that is kept when they go, in pages of 2 MiB.
///
/// A training step allocates and frees hundreds of megabytes of the same sizes, over and over; given back to the
/// system each time, a tenth of the step goes to page faults. What was once taken is kept to the end of the process.
///
/// For programs, once and ahead of the first tensor: it concerns the whole process. Does nothing but on Linux.
pub fn keep_memory() {
    // SAFETY: settings of libtorch and the C library that concern later allocations only.
    unsafe { ffi::torch_ext_keep_memory() }
}
