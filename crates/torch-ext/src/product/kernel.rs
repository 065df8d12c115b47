//! The matrix product: six rows by four vectors of columns in registers, from the first factor to the last.
//!
//! A factor is an fp32 number or a pair of bf16 numbers; either way it fills a lane of 32 bits.
//! It reaches what the CPU can multiply as long as the columns are near. Where they are packed weights they are not:
//! each tile of rows walks through all of them, and no cache that is near holds them. So every few steps some lines of
//! the panel that comes next are asked for, and while one is multiplied the next one arrives. Sums go from the registers
//! through [`Finish`] to where they belong.

use std::marker::PhantomData;

use super::finish::Finish;
use crate::parallel::Shared;
use crate::simd::pairs::{PairKernel, Pairs};
use crate::simd::{Element, Kernel, Simd};

/// Bytes that the caches move at a time.
pub(super) const LINE: usize = 64;

/// Rows that are multiplied at a time.
const ROWS: usize = 6;

/// Factors after which the next panel is asked for a bit more.
const PACE: usize = 4;

/// Rows times a panel of columns, factors by [`Single`] or [`Pair`]. Every count is one of factors, not of numbers.
pub(crate) struct Product<'a, E: Element, F> {
    rows: Rows,
    k: usize,
    panel: &'a [f32],
    width: usize,
    finish: Finish<E>,
    factors: PhantomData<F>,
}

impl<'a, E: Element, F> Product<'a, E, F> {
    /// Rows of `k` factors times `panel: [k, width]`, behind which the panel that follows may lie; `width` is a
    /// multiple of [`VECTOR`](super::VECTOR).
    pub(crate) fn new(
        rows: Rows,
        k: usize,
        panel: &'a [f32],
        width: usize,
        finish: Finish<E>,
    ) -> Self {
        Self { rows, k, panel, width, finish, factors: PhantomData }
    }
}

/// The left side of a product.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    pub(crate) start: Shared<f32>,
    pub(crate) count: usize,
    /// From a row to the next.
    pub(crate) row_step: usize,
    /// From a factor of a row to the next.
    pub(crate) factor_step: usize,
}

/// One fp32 number a lane.
pub(crate) struct Single;

/// Two bf16 numbers a lane.
pub(crate) struct Pair;

/// How factors are multiplied.
pub(crate) trait Multiply<E: Element, S: Simd<E>> {
    /// `a * b + sums`
    unsafe fn multiply(a: S::Vector, b: S::Vector, sums: S::Vector) -> S::Vector;
}

impl<E: Element, S: Simd<E>> Multiply<E, S> for Single {
    #[inline(always)]
    unsafe fn multiply(a: S::Vector, b: S::Vector, sums: S::Vector) -> S::Vector {
        // SAFETY: the caller's.
        unsafe { S::fma(a, b, sums) }
    }
}

impl<E: Element, S: Pairs<E>> Multiply<E, S> for Pair {
    #[inline(always)]
    unsafe fn multiply(a: S::Vector, b: S::Vector, sums: S::Vector) -> S::Vector {
        // SAFETY: the caller's.
        unsafe { S::dot(a, b, sums) }
    }
}

/// The part of the next panel that has not been asked for yet.
struct Ahead {
    line: *const u8,
    end: *const u8,
    /// So that all of it has been when the last row is multiplied.
    lines_a_step: usize,
}

impl Ahead {
    #[inline(always)]
    fn step<E: Element, S: Simd<E>>(&mut self) {
        for _ in 0..self.lines_a_step {
            if self.line < self.end {
                S::prefetch(self.line);
                self.line = self.line.wrapping_add(LINE);
            }
        }
    }
}

// SAFETY: rows, panel and outputs have the sizes that the fields say.
unsafe impl<E: Element<Number = f32>> Kernel<E> for Product<'_, E, Single> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        // SAFETY: the caller's.
        unsafe { self.all::<S>() }
    }
}

// SAFETY: rows, panel and outputs have the sizes that the fields say.
unsafe impl<E: Element<Number = f32>> PairKernel<E> for Product<'_, E, Pair> {
    #[inline(always)]
    unsafe fn run<S: Pairs<E>>(self) {
        // SAFETY: the caller's.
        unsafe { self.all::<S>() }
    }
}

impl<E: Element<Number = f32>, F> Product<'_, E, F> {
    #[inline(always)]
    unsafe fn all<S: Simd<E>>(&self)
    where
        F: Multiply<E, S>,
    {
        let following = self.panel[self.k * self.width..].as_ptr_range();
        let most = following.start.wrapping_add(self.k * self.width).min(following.end);
        let lines = (self.k * self.width * size_of::<f32>()).div_ceil(LINE);
        // AVX-512 has 32 registers; with 16 there is room for half as many columns.
        let vectors = if S::LANES == 16 { 4 } else { 2 };
        let columns = vectors * S::LANES;
        let blocks = self.rows.count.div_ceil(ROWS) * self.width.div_ceil(columns);
        let lines_a_step = lines.div_ceil((blocks * self.k.div_ceil(PACE)).max(1));
        let mut ahead = Ahead { line: following.start.cast(), end: most.cast(), lines_a_step };
        for column in (0..self.width).step_by(columns) {
            let vectors = vectors.min((self.width - column) / S::LANES);
            // SAFETY: rows and panel have these sizes.
            unsafe {
                match vectors {
                    1 => self.columns::<S, 1>(column, &mut ahead),
                    2 => self.columns::<S, 2>(column, &mut ahead),
                    3 => self.columns::<S, 3>(column, &mut ahead),
                    _ => self.columns::<S, 4>(column, &mut ahead),
                }
            }
        }
    }

    /// All rows under `V` vectors of columns.
    #[inline(always)]
    unsafe fn columns<S: Simd<E>, const V: usize>(&self, column: usize, ahead: &mut Ahead)
    where
        F: Multiply<E, S>,
    {
        let (mut row, rows) = (0, self.rows.count);
        // SAFETY: the caller's.
        unsafe {
            while row + ROWS <= rows {
                self.block::<S, ROWS, V>(row, column, ahead);
                row += ROWS;
            }
            match rows - row {
                0 => {}
                1 => self.block::<S, 1, V>(row, column, ahead),
                2 => self.block::<S, 2, V>(row, column, ahead),
                3 => self.block::<S, 3, V>(row, column, ahead),
                4 => self.block::<S, 4, V>(row, column, ahead),
                _ => self.block::<S, 5, V>(row, column, ahead),
            }
        }
    }

    /// `P` rows by `V` vectors of columns.
    #[inline(always)]
    unsafe fn block<S: Simd<E>, const P: usize, const V: usize>(
        &self,
        row: usize,
        column: usize,
        ahead: &mut Ahead,
    ) where
        F: Multiply<E, S>,
    {
        let Self { rows, k, panel, width, .. } = *self;
        let Rows { start, row_step, factor_step, .. } = rows;
        let whole = S::span(S::LANES);
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [[S::zero(); V]; P];
            (0..P).for_each(|p| self.finish.ask::<S>(row + p, column, V * S::LANES));
            let rows: [*const f32; P] =
                std::array::from_fn(|p| start.0.add((row + p) * row_step).cast_const());
            let mut columns = panel.as_ptr().add(column);
            let (mut at, mut factor_at) = (0, 0);
            while at < k {
                ahead.step::<E, S>();
                let stop = (at + PACE).min(k);
                while at < stop {
                    let mut weights = [S::zero(); V];
                    for (v, weight) in weights.iter_mut().enumerate() {
                        *weight = S::load_numbers(columns.add(v * S::LANES), whole);
                    }
                    for (p, sums) in sums.iter_mut().enumerate() {
                        let factor = S::broadcast(rows[p].add(factor_at));
                        for (sum, weight) in sums.iter_mut().zip(weights) {
                            *sum = F::multiply(factor, weight, *sum);
                        }
                    }
                    columns = columns.add(width);
                    at += 1;
                    factor_at += factor_step;
                }
            }
            for (p, sums) in sums.into_iter().enumerate() {
                for (v, sum) in sums.into_iter().enumerate() {
                    self.finish.put::<S>(row + p, column + v * S::LANES, sum);
                }
            }
        }
    }
}
