//! Products of bf16 numbers, two to a lane: twice as many multiplications an instruction as fp32 has.
//!
//! Only AVX512-BF16 has such an instruction, so a kernel that needs it is entered for that set or not at all.

use super::{Element, Simd};

/// Vectors whose lanes can be read as two bf16 numbers.
pub(crate) trait Pairs<E: Element>: Simd<E> {
    /// `sums + a.0 * b.0 + a.1 * b.1` in each lane, in fp32.
    unsafe fn dot(a: Self::Vector, b: Self::Vector, sums: Self::Vector) -> Self::Vector;

    /// Each number of `first`, rounded, and the one of `second` beside it.
    unsafe fn interleave(first: Self::Vector, second: Self::Vector) -> Self::Vector;

    /// Neighbours in memory, rounded: two numbers for each lane of the span.
    unsafe fn load_pairs(at: *const E, span: Self::Span) -> Self::Vector;

    /// As [`Simd::store`] by the set's own instruction for bf16, which makes zeros of numbers below 1.2e-38.
    unsafe fn store_narrowed(at: *mut E, span: Self::Span, vector: Self::Vector);
}

/// As [`Kernel`](super::Kernel), for kernels that multiply pairs.
pub(crate) trait PairKernel<E: Element> {
    /// The loop. Must be `#[inline(always)]`, or the set's instructions do not reach it.
    ///
    /// # Safety
    /// The CPU has the instructions of `S`, and the kernel's pointers are valid.
    unsafe fn run<S: Pairs<E>>(self);
}

/// Whether this CPU multiplies pairs.
pub(crate) fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        // The macro remembers its answer.
        super::chosen() == super::InstructionSet::Avx512 && is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}
