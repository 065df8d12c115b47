//! The matrix product: six rows by four vectors of columns in registers, from the first factor to the last.
//!
//! A factor is an fp32 number or a pair of bf16 numbers; either way it fills a lane of 32 bits.
//! The loop reaches the CPU's peak rate while the columns are in a near cache. Packed weights are not: each tile of rows
//! walks through all of them, and no near cache holds them. So every few steps some lines of the next panel are
//! prefetched, and while one panel is multiplied the next one arrives. Sums go from the registers through [`Finish`] to
//! the result.

use std::marker::PhantomData;

use super::finish::Finish;
use super::{LINE, VECTOR};
use crate::simd::pairs::{PairKernel, Pairs};
use crate::simd::{Element, Kernel, Simd};

/// Rows that are multiplied at a time.
const ROWS: usize = 6;

/// Factors between two prefetches of the next panel.
const PACE: usize = 4;

/// Rows times a panel of columns, factors by [`Single`] or [`Pair`]. Every count is one of factors, not of numbers.
pub(crate) struct Product<'a, E: Element, F> {
    rows: Rows<'a>,
    k: usize,
    panel: &'a [f32],
    width: usize,
    finish: Finish<'a, E>,
    factors: PhantomData<F>,
}

impl<'a, E: Element, F> Product<'a, E, F> {
    /// Rows of `k` factors times `panel: [k, width]`, which the next panel may follow; `width` is a multiple of
    /// [`VECTOR`].
    ///
    /// # Panics
    /// Where rows, panel or result have other sizes.
    pub(crate) fn new(
        rows: Rows<'a>,
        k: usize,
        panel: &'a [f32],
        width: usize,
        finish: Finish<'a, E>,
    ) -> Self {
        assert!(
            rows.fit(k)
                && rows.count <= finish.rows()
                && width.is_multiple_of(VECTOR)
                && k.checked_mul(width).is_some_and(|lanes| lanes <= panel.len()),
            "expected rows, a panel and a result of {k} factors and {width} columns, got {rows:?}, a panel of {} and \
             {} rows",
            panel.len(),
            finish.rows()
        );
        Self { rows, k, panel, width, finish, factors: PhantomData }
    }
}

/// The left side of a product: lanes of 32 bits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    start: *const f32,
    /// Lanes that can be read there.
    room: usize,
    count: usize,
    row_step: usize,
    factor_step: usize,
    memory: PhantomData<&'a [f32]>,
}

impl<'a> Rows<'a> {
    /// `count` rows, which start `row_step` lanes apart; the factors of each are neighbours.
    pub(crate) fn new<T: Element>(lanes: &'a [T], count: usize, row_step: usize) -> Self {
        Self::strided(lanes, count, row_step, 1)
    }

    /// As [`Self::new`], with `factor_step` lanes from a factor of a row to the next.
    ///
    /// # Panics
    /// Where the first element is not aligned for a lane.
    pub(crate) fn strided<T: Element>(
        lanes: &'a [T],
        count: usize,
        row_step: usize,
        factor_step: usize,
    ) -> Self {
        let start: *const f32 = lanes.as_ptr().cast();
        assert!(start.is_aligned() || lanes.is_empty(), "expected rows that are aligned for lanes");
        let room = size_of_val(lanes) / size_of::<f32>();
        Self { start, room, count, row_step, factor_step, memory: PhantomData }
    }

    /// Whether the memory holds `k` factors of each row.
    fn fit(&self, k: usize) -> bool {
        let (Some(last_row), Some(last)) = (self.count.checked_sub(1), k.checked_sub(1)) else {
            return true;
        };
        let end = last_row
            .checked_mul(self.row_step)
            .zip(last.checked_mul(self.factor_step))
            .and_then(|(row, factor)| row.checked_add(factor));
        end.is_some_and(|end| end < self.room)
    }
}

/// One fp32 number a lane.
pub(crate) struct Single;

/// Two bf16 numbers a lane.
pub(crate) struct Pair;

/// The multiplication of factors.
pub(crate) trait Multiply<E: Element, S: Simd<E>> {
    /// `a * b + sums`
    ///
    /// # Safety
    /// The CPU has the instructions of `S`.
    unsafe fn multiply(a: S::Vector, b: S::Vector, sums: S::Vector) -> S::Vector;
}

impl<E: Element, S: Simd<E>> Multiply<E, S> for Single {
    #[inline(always)]
    unsafe fn multiply(a: S::Vector, b: S::Vector, sums: S::Vector) -> S::Vector {
        // SAFETY: the caller has the instructions.
        unsafe { S::fma(a, b, sums) }
    }
}

impl<E: Element, S: Pairs<E>> Multiply<E, S> for Pair {
    #[inline(always)]
    unsafe fn multiply(a: S::Vector, b: S::Vector, sums: S::Vector) -> S::Vector {
        // SAFETY: the caller has the instructions.
        unsafe { S::dot(a, b, sums) }
    }
}

/// The part of the next panel that has not been prefetched yet.
struct Ahead {
    line: *const u8,
    end: *const u8,
    /// As many as fetch all of it before the last row is multiplied.
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

// SAFETY: `Product::new` has compared rows, panel and result.
unsafe impl<E: Element<Number = f32>> Kernel<E> for Product<'_, E, Single> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        // SAFETY: the caller has the instructions.
        unsafe { self.all::<S>() }
    }
}

// SAFETY: `Product::new` has compared rows, panel and result.
unsafe impl<E: Element<Number = f32>> PairKernel<E> for Product<'_, E, Pair> {
    #[inline(always)]
    unsafe fn run<S: Pairs<E>>(self) {
        // SAFETY: the caller has the instructions.
        unsafe { self.all::<S>() }
    }
}

impl<E: Element<Number = f32>, F> Product<'_, E, F> {
    /// All rows times all columns.
    ///
    /// # Safety
    /// The CPU has the instructions of `S`.
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
            // SAFETY: the caller has the instructions, and so many vectors of columns follow `column`.
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
    ///
    /// # Safety
    /// The CPU has the instructions of `S`, and `V` vectors of columns start at `column`.
    #[inline(always)]
    unsafe fn columns<S: Simd<E>, const V: usize>(&self, column: usize, ahead: &mut Ahead)
    where
        F: Multiply<E, S>,
    {
        let (mut row, rows) = (0, self.rows.count);
        // SAFETY: the caller has the instructions and the columns; each call takes rows that are left.
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
    ///
    /// # Safety
    /// The CPU has the instructions of `S`; `P` rows start at `row` and `V` vectors of columns at `column`.
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
        // SAFETY: the caller has the instructions. `new` has seen that the memory of the rows holds `k` factors of each, and
        // the panel `k` lines of `width` lanes, of which these columns are a part.
        unsafe {
            let mut sums = [[S::zero(); V]; P];
            (0..P).for_each(|p| self.finish.ask::<S>(row + p, column, V * S::LANES));
            let rows: [*const f32; P] =
                std::array::from_fn(|p| start.wrapping_add((row + p) * row_step));
            let mut columns = panel.as_ptr().wrapping_add(column);
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
                    columns = columns.wrapping_add(width);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fit_up_to_the_end_of_their_memory() {
        let lanes = [0.0_f32; 10];
        assert!(Rows::new(&lanes, 3, 4).fit(2) && Rows::new(&lanes, 0, 4).fit(100));
        assert!(!Rows::new(&lanes, 3, 4).fit(3) && !Rows::new(&lanes, 4, 4).fit(1));
        assert!(Rows::strided(&lanes, 2, 1, 4).fit(3) && !Rows::strided(&lanes, 3, 1, 4).fit(3));
        assert!(!Rows::new(&lanes, usize::MAX, usize::MAX).fit(2));
    }
}
