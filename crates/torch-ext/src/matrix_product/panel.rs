//! Panels: the columns of a product laid out factor by factor, as the kernel reads them.
//!
//! A factor is an fp32 number, or two numbers rounded to bf16. Either way a lane holds it, so that a panel consists of
//! lanes, and only their source differs.

use super::{Pair, Product, Single, VECTOR};
use crate::simd::pairs::{PairKernel, Pairs};
use crate::simd::{Element, Kernel, Simd};

/// Rows between the one that is read and the one that is prefetched: they lie too far apart for the CPU to guess.
const AHEAD: usize = 16;

/// The way in which factors are made and multiplied: [`Single`] or [`Pair`].
pub(crate) trait Scheme: Sized {
    /// Numbers in a factor.
    const NUMBERS: usize;

    /// Writes `to[at, column]`, factors from `numbers[k, columns]`, whose rows lie `step` numbers apart.
    ///
    /// # Panics
    /// Where a list is too short.
    fn fill_from_rows<T: Element<Number = f32>>(
        numbers: &[T],
        step: usize,
        size: [usize; 2],
        to: &mut [f32],
    );

    /// Writes `to[at, column]`, factors from the transpose of `numbers[columns, k]`, whose rows lie `step` numbers apart.
    ///
    /// # Panics
    /// Where a list is too short, and where `k` is no multiple of [`Self::NUMBERS`].
    fn fill_from_columns(numbers: &[f32], step: usize, size: [usize; 2], to: &mut [f32]);

    /// Multiplies.
    fn multiply<E: Element<Number = f32>>(product: Product<E, Self>);
}

impl Scheme for Single {
    const NUMBERS: usize = 1;

    fn fill_from_rows<T: Element<Number = f32>>(
        numbers: &[T],
        step: usize,
        size: [usize; 2],
        to: &mut [f32],
    ) {
        T::run(FromRows::new(numbers, step, size, to, Self::NUMBERS));
    }

    fn fill_from_columns(numbers: &[f32], step: usize, size: [usize; 2], to: &mut [f32]) {
        f32::run(FromColumns::new(numbers, step, size, to, Self::NUMBERS));
    }

    fn multiply<E: Element<Number = f32>>(product: Product<E, Self>) {
        E::run(product);
    }
}

impl Scheme for Pair {
    const NUMBERS: usize = 2;

    fn fill_from_rows<T: Element<Number = f32>>(
        numbers: &[T],
        step: usize,
        size: [usize; 2],
        to: &mut [f32],
    ) {
        T::run_pairs(FromRows::new(numbers, step, size, to, Self::NUMBERS));
    }

    fn fill_from_columns(numbers: &[f32], step: usize, size: [usize; 2], to: &mut [f32]) {
        f32::run_pairs(FromColumns::new(numbers, step, size, to, Self::NUMBERS));
    }

    fn multiply<E: Element<Number = f32>>(product: Product<E, Self>) {
        E::run_pairs(product);
    }
}

/// Whether a list of `length` numbers holds `rows` rows of `columns` numbers, which start `step` numbers apart.
fn holds(length: usize, [rows, columns]: [usize; 2], step: usize) -> bool {
    if rows == 0 || columns == 0 {
        return true;
    }
    let end = (rows - 1).checked_mul(step).and_then(|start| start.checked_add(columns));
    end.is_some_and(|end| end <= length)
}

struct FromRows<'a, T> {
    numbers: &'a [T],
    step: usize,
    /// Numbers of a column, and columns.
    size: [usize; 2],
    to: &'a mut [f32],
}

impl<'a, T> FromRows<'a, T> {
    fn new(
        numbers: &'a [T],
        step: usize,
        size: [usize; 2],
        to: &'a mut [f32],
        numbers_a_factor: usize,
    ) -> Self {
        let [k, columns] = size;
        let width = columns.next_multiple_of(VECTOR);
        assert!(
            holds(numbers.len(), size, step)
                && holds(to.len(), [k.div_ceil(numbers_a_factor), width], width),
            "expected {k} rows of {columns} numbers every {step} and a panel for them, got {} and {}",
            numbers.len(),
            to.len()
        );
        Self { numbers, step, size, to }
    }
}

struct FromColumns<'a> {
    numbers: &'a [f32],
    step: usize,
    /// Numbers of a column, and columns.
    size: [usize; 2],
    to: &'a mut [f32],
}

impl<'a> FromColumns<'a> {
    fn new(
        numbers: &'a [f32],
        step: usize,
        size: [usize; 2],
        to: &'a mut [f32],
        numbers_a_factor: usize,
    ) -> Self {
        let [k, columns] = size;
        let width = columns.next_multiple_of(VECTOR);
        assert!(
            k.is_multiple_of(numbers_a_factor)
                && holds(numbers.len(), [columns, k], step)
                && holds(to.len(), [k / numbers_a_factor, width], width),
            "expected {columns} rows of {k} numbers every {step} and a panel for them, got {} and {}",
            numbers.len(),
            to.len()
        );
        Self { numbers, step, size, to }
    }
}

// SAFETY: `new` has compared both lists with the sizes.
unsafe impl<T: Element<Number = f32>> Kernel<T> for FromRows<'_, T> {
    #[inline(always)]
    unsafe fn run<S: Simd<T>>(self) {
        let Self { numbers, step, size: [k, columns], to } = self;
        let width = columns.next_multiple_of(VECTOR);
        let (numbers, to) = (numbers.as_ptr(), to.as_mut_ptr());
        for at in 0..k {
            for c in (0..width).step_by(S::LANES) {
                let span = S::span(columns.saturating_sub(c));
                // SAFETY: the caller has the instructions; the span ends with the row's `columns` numbers, and `width` lanes
                // of the panel belong to it. An address of no number is only computed.
                unsafe {
                    let row = numbers.wrapping_add(at * step + c);
                    S::prefetch_near(row.wrapping_add(AHEAD * step).cast());
                    let factors = S::load(row, span);
                    S::store_numbers(to.add(at * width + c), S::span(S::LANES), factors);
                }
            }
        }
    }
}

// SAFETY: `new` has compared both lists with the sizes.
unsafe impl<T: Element<Number = f32>> PairKernel<T> for FromRows<'_, T> {
    #[inline(always)]
    unsafe fn run<S: Pairs<T>>(self) {
        let Self { numbers, step, size: [k, columns], to } = self;
        let width = columns.next_multiple_of(VECTOR);
        let (numbers, to) = (numbers.as_ptr(), to.as_mut_ptr());
        for at in (0..k).step_by(2) {
            for c in (0..width).step_by(S::LANES) {
                let span = S::span(columns.saturating_sub(c));
                // SAFETY: the caller has the instructions; the span ends with the `columns` numbers of both rows, of which
                // the last may have no other, and `width` lanes of the panel belong to them.
                unsafe {
                    let row = numbers.wrapping_add(at * step + c);
                    for ahead in [AHEAD, AHEAD + 1] {
                        S::prefetch_near(row.wrapping_add(ahead * step).cast());
                    }
                    let first = S::load(row, span);
                    let second =
                        if at + 1 < k { S::load(row.wrapping_add(step), span) } else { S::zero() };
                    let factors = S::interleave(first, second);
                    S::store_numbers(to.add(at / 2 * width + c), S::span(S::LANES), factors);
                }
            }
        }
    }
}

// SAFETY: `new` has compared both lists with the sizes.
unsafe impl Kernel<f32> for FromColumns<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd<f32>>(self) {
        // SAFETY: the caller has the instructions; as many numbers as lanes lie at each address that is loaded.
        unsafe { self.transposed::<S>(1, |at, lanes| S::load(at, S::span(lanes))) }
    }
}

// SAFETY: `new` has compared both lists with the sizes.
unsafe impl PairKernel<f32> for FromColumns<'_> {
    #[inline(always)]
    unsafe fn run<S: Pairs<f32>>(self) {
        // SAFETY: the caller has the instructions; twice as many numbers as lanes lie at each address that is loaded.
        unsafe { self.transposed::<S>(2, |at, lanes| S::load_pairs(at, S::span(lanes))) }
    }
}

impl FromColumns<'_> {
    /// Square by square, each row of a square some factors of one column, as `load` reads them.
    ///
    /// # Safety
    /// The CPU has the instructions of `S`, and `k` is a multiple of `numbers_a_factor`.
    #[inline(always)]
    unsafe fn transposed<S: Simd<f32>>(
        self,
        numbers_a_factor: usize,
        load: impl Fn(*const f32, usize) -> S::Vector,
    ) {
        let Self { numbers, step, size: [k, columns], to } = self;
        let (factors, width) = (k / numbers_a_factor, columns.next_multiple_of(VECTOR));
        let (numbers, to) = (numbers.as_ptr(), to.as_mut_ptr());
        for c in (0..width).step_by(S::LANES) {
            for at in (0..factors).step_by(S::LANES) {
                // SAFETY: the caller has the instructions; the columns and factors that are read exist, and so do the places
                // of the panel, which is `width` lanes wide.
                unsafe {
                    let mut square = [S::zero(); 16];
                    for (row, column) in square.iter_mut().zip(c..columns).take(S::LANES) {
                        let from = numbers.add(column * step + at * numbers_a_factor);
                        S::prefetch_near(from.wrapping_add(2 * S::LANES * numbers_a_factor).cast());
                        *row = load(from, factors - at);
                    }
                    let square = S::transpose(square);
                    for (row, at) in square.iter().zip(at..factors).take(S::LANES) {
                        S::store_numbers(to.add(at * width + c), S::span(S::LANES), *row);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(
        expected = "expected 3 rows of 2 numbers every 4 and a panel for them, got 9 and 48"
    )]
    fn too_few_numbers_are_refused() {
        Single::fill_from_rows(&[0.0_f32; 9], 4, [3, 2], &mut [0.0; 48]);
    }

    #[test]
    #[should_panic(
        expected = "expected 2 rows of 3 numbers every 3 and a panel for them, got 6 and 47"
    )]
    fn a_short_panel_is_refused() {
        Single::fill_from_columns(&[0.0; 6], 3, [3, 2], &mut [0.0; 47]);
    }
}
