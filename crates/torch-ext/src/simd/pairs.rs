//! Products of bf16 numbers, two to a lane: twice as many multiplications an instruction as fp32 has.
//!
//! Only AVX512-BF16 has such an instruction, so a kernel that needs it is entered for that set or not at all.

use super::{Bf16, Element, InstructionSet, Simd, chosen};

/// Vectors whose lanes can be read as two bf16 numbers.
pub(crate) trait Pairs<E: Element>: Simd<E> {
    /// `sums + a.0 * b.0 + a.1 * b.1` in each lane, in fp32.
    unsafe fn dot(a: Self::Vector, b: Self::Vector, sums: Self::Vector) -> Self::Vector;

    /// Each number of `first`, rounded, and the one of `second` beside it.
    unsafe fn interleave(first: Self::Vector, second: Self::Vector) -> Self::Vector;

    /// Neighbours in memory, rounded: two numbers for each lane of the span.
    unsafe fn load_pairs(at: *const f32, span: Self::Span) -> Self::Vector;

    /// [`ROW`] neighbours in memory as they lie, zeros behind the first `count`.
    unsafe fn load_row(at: *const Bf16, count: usize) -> Self::Vector;

    /// `max(x, 0)` of each number of a row; NaN stays NaN.
    unsafe fn relu_row(row: Self::Vector) -> Self::Vector;

    /// The numbers of two rows that lie at one place, paired; [`place_in_zipped`] tells which pair is where.
    unsafe fn zip_rows(above: Self::Vector, below: Self::Vector) -> [Self::Vector; 2];

    /// Stores the first `count` of a row whose numbers lie as those of [`Self::zip_rows`] do, rounded.
    unsafe fn store_row(at: *mut Bf16, count: usize, zipped: [Self::Vector; 2]);
}

/// Numbers of bf16 in a vector.
pub(crate) const ROW: usize = 32;

/// The lane of both vectors of [`Pairs::zip_rows`], counted through, that the `index`-th pair of a row comes to.
pub(crate) fn place_in_zipped(index: usize) -> usize {
    let (eight, within) = (index / 8, index % 8);
    within / 4 * 16 + eight * 4 + within % 4
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
    chosen() == InstructionSet::Avx512Bf16
}
