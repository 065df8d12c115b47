//! Panels: the columns of a product laid out factor by factor, as the kernel reads them.
//!
//! A factor is an fp32 number, or two numbers rounded to bf16. Either way a lane holds it, so that what is laid out
//! are lanes, and only where they come from differs.

use super::{Pair, Product, Single, VECTOR};
use crate::parallel::Shared;
use crate::simd::pairs::{PairKernel, Pairs};
use crate::simd::{Element, Kernel, Simd};

/// Rows that are asked for ahead of those that are read: they lie too far apart for the CPU to guess.
const AHEAD: usize = 16;

/// How factors are made and multiplied: [`Single`] or [`Pair`].
pub(crate) trait Scheme: Sized {
    /// Numbers in a factor.
    const NUMBERS: usize;

    /// `to[at, column]`, factors from `numbers[k, columns]`, whose rows lie `step` numbers apart.
    fn fill_from_rows<T: Element<Number = f32>>(
        numbers: Shared<T>,
        step: usize,
        size: [usize; 2],
        to: Shared<f32>,
    );

    /// `to[at, column]`, factors from the transpose of `numbers[columns, k]`, whose rows lie `step` numbers apart.
    fn fill_from_columns(numbers: Shared<f32>, step: usize, size: [usize; 2], to: Shared<f32>);

    fn multiply<E: Element<Number = f32>>(product: Product<E, Self>);
}

impl Scheme for Single {
    const NUMBERS: usize = 1;

    fn fill_from_rows<T: Element<Number = f32>>(
        numbers: Shared<T>,
        step: usize,
        size: [usize; 2],
        to: Shared<f32>,
    ) {
        T::run(FromRows { numbers, step, size, to });
    }

    fn fill_from_columns(numbers: Shared<f32>, step: usize, size: [usize; 2], to: Shared<f32>) {
        f32::run(FromColumns { numbers, step, size, to });
    }

    fn multiply<E: Element<Number = f32>>(product: Product<E, Self>) {
        E::run(product);
    }
}

impl Scheme for Pair {
    const NUMBERS: usize = 2;

    fn fill_from_rows<T: Element<Number = f32>>(
        numbers: Shared<T>,
        step: usize,
        size: [usize; 2],
        to: Shared<f32>,
    ) {
        T::run_pairs(FromRows { numbers, step, size, to });
    }

    fn fill_from_columns(numbers: Shared<f32>, step: usize, size: [usize; 2], to: Shared<f32>) {
        f32::run_pairs(FromColumns { numbers, step, size, to });
    }

    fn multiply<E: Element<Number = f32>>(product: Product<E, Self>) {
        E::run_pairs(product);
    }
}

struct FromRows<T> {
    numbers: Shared<T>,
    step: usize,
    /// Numbers of a column, and columns.
    size: [usize; 2],
    to: Shared<f32>,
}

struct FromColumns {
    numbers: Shared<f32>,
    step: usize,
    size: [usize; 2],
    to: Shared<f32>,
}

// SAFETY: numbers and panel have the sizes that the fields say.
unsafe impl<T: Element<Number = f32>> Kernel<T> for FromRows<T> {
    #[inline(always)]
    unsafe fn run<S: Simd<T>>(self) {
        let Self { numbers, step, size: [k, columns], to } = self;
        let width = columns.next_multiple_of(VECTOR);
        for at in 0..k {
            for c in (0..width).step_by(S::LANES) {
                let span = S::span(columns.saturating_sub(c));
                // SAFETY: `columns` numbers of the row, and `width` of the panel's.
                unsafe {
                    let row = numbers.0.wrapping_add(at * step + c).cast_const();
                    S::prefetch_near(row.wrapping_add(AHEAD * step).cast());
                    let factors = S::load(row, span);
                    S::store_numbers(to.0.add(at * width + c), S::span(S::LANES), factors);
                }
            }
        }
    }
}

// SAFETY: numbers and panel have the sizes that the fields say.
unsafe impl<T: Element<Number = f32>> PairKernel<T> for FromRows<T> {
    #[inline(always)]
    unsafe fn run<S: Pairs<T>>(self) {
        let Self { numbers, step, size: [k, columns], to } = self;
        let width = columns.next_multiple_of(VECTOR);
        for at in (0..k).step_by(2) {
            for c in (0..width).step_by(S::LANES) {
                let span = S::span(columns.saturating_sub(c));
                // SAFETY: `columns` numbers of both rows, of which the last may have no other, and `width` of the
                // panel's.
                unsafe {
                    let row = numbers.0.wrapping_add(at * step + c).cast_const();
                    for ahead in [AHEAD, AHEAD + 1] {
                        S::prefetch_near(row.wrapping_add(ahead * step).cast());
                    }
                    let first = S::load(row, span);
                    let second =
                        if at + 1 < k { S::load(row.wrapping_add(step), span) } else { S::zero() };
                    let factors = S::interleave(first, second);
                    S::store_numbers(to.0.add(at / 2 * width + c), S::span(S::LANES), factors);
                }
            }
        }
    }
}

// SAFETY: numbers and panel have the sizes that the fields say.
unsafe impl Kernel<f32> for FromColumns {
    #[inline(always)]
    unsafe fn run<S: Simd<f32>>(self) {
        // SAFETY: up to `lanes` numbers lie at the places that are asked for.
        unsafe { self.transposed::<S>(1, |at, lanes| S::load(at, S::span(lanes))) }
    }
}

// SAFETY: numbers and panel have the sizes that the fields say.
unsafe impl PairKernel<f32> for FromColumns {
    #[inline(always)]
    unsafe fn run<S: Pairs<f32>>(self) {
        // SAFETY: as above, two numbers a lane.
        unsafe { self.transposed::<S>(2, |at, lanes| S::load_pairs(at, S::span(lanes))) }
    }
}

impl FromColumns {
    /// Square by square, each row of a square some factors of one column, as `load` brings them.
    #[inline(always)]
    unsafe fn transposed<S: Simd<f32>>(
        self,
        numbers_a_factor: usize,
        load: impl Fn(*const f32, usize) -> S::Vector,
    ) {
        let Self { numbers, step, size: [k, columns], to } = self;
        let (factors, width) = (k / numbers_a_factor, columns.next_multiple_of(VECTOR));
        for c in (0..width).step_by(S::LANES) {
            for at in (0..factors).step_by(S::LANES) {
                // SAFETY: factors of columns that exist, and places of the panel.
                unsafe {
                    let mut square = [S::zero(); 16];
                    for (row, column) in square.iter_mut().zip(c..columns).take(S::LANES) {
                        let from = numbers.0.add(column * step + at * numbers_a_factor);
                        S::prefetch_near(from.wrapping_add(2 * S::LANES * numbers_a_factor).cast());
                        *row = load(from, factors - at);
                    }
                    let square = S::transpose(square);
                    for (row, at) in square.iter().zip(at..factors).take(S::LANES) {
                        S::store_numbers(to.0.add(at * width + c), S::span(S::LANES), *row);
                    }
                }
            }
        }
    }
}
