//! Products of bf16 numbers, two to a lane: twice as many multiplications in an instruction as fp32 has.
//!
//! Only AVX512-BF16 has such an instruction, so a kernel that needs it runs on that set or not at all.

use super::{Bf16, Element, InstructionSet, Simd, chosen};

/// Vectors whose lanes can be read as two bf16 numbers.
///
/// # Safety
/// As for [`Simd`].
pub(crate) trait Pairs<E: Element>: Simd<E> {
    /// `sums + a.0 * b.0 + a.1 * b.1` in each lane, in fp32.
    ///
    /// # Safety
    /// The CPU has the set.
    unsafe fn dot(a: Self::Vector, b: Self::Vector, sums: Self::Vector) -> Self::Vector;

    /// Each number of `first`, rounded, and the one of `second` beside it.
    ///
    /// # Safety
    /// The CPU has the set.
    unsafe fn interleave(first: Self::Vector, second: Self::Vector) -> Self::Vector;

    /// Neighbours in memory, rounded: two numbers for each lane of the span.
    ///
    /// # Safety
    /// The CPU has the set, and twice the numbers of the span can be read at `at`.
    unsafe fn load_pairs(at: *const f32, span: Self::Span) -> Self::Vector;

    /// [`ROW`] neighbours in memory, unchanged, with zeros after the first `count`.
    ///
    /// # Safety
    /// The CPU has the set, and `count` numbers can be read at `at`.
    unsafe fn load_row(at: *const Bf16, count: usize) -> Self::Vector;

    /// `max(x, 0)` of each number of a row; NaN stays NaN.
    ///
    /// # Safety
    /// The CPU has the set.
    unsafe fn relu_row(row: Self::Vector) -> Self::Vector;

    /// Pairs of the numbers at the same place of two rows; [`place_in_zipped`] says where each pair is.
    ///
    /// # Safety
    /// The CPU has the set.
    unsafe fn zip_rows(above: Self::Vector, below: Self::Vector) -> [Self::Vector; 2];

    /// Stores the first `count` numbers, rounded, of a row in the order of [`Self::zip_rows`].
    ///
    /// # Safety
    /// The CPU has the set, and `count` numbers can be written at `at`.
    unsafe fn store_row(at: *mut Bf16, count: usize, zipped: [Self::Vector; 2]);
}

/// Numbers of bf16 in a vector.
pub(crate) const ROW: usize = 32;

/// The lane of the `index`-th pair of a row, counted through both vectors of [`Pairs::zip_rows`].
pub(crate) fn place_in_zipped(index: usize) -> usize {
    let (eight, within) = (index / 8, index % 8);
    within / 4 * 16 + eight * 4 + within % 4
}

/// As [`Kernel`](super::Kernel), for kernels that multiply pairs.
///
/// # Safety
/// As for [`Kernel`](super::Kernel).
pub(crate) unsafe trait PairKernel<E: Element> {
    /// The loop. Must be `#[inline(always)]`, or the set's instructions do not reach it.
    ///
    /// # Safety
    /// The CPU has the instructions of `S`.
    unsafe fn run<S: Pairs<E>>(self);
}

/// Whether this CPU multiplies pairs.
pub(crate) fn available() -> bool {
    chosen() == InstructionSet::Avx512Bf16
}
