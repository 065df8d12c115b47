//! The matrix product: six pixels by four vectors of columns in registers, from the first factor to the last.
//!
//! A factor is an fp32 number or a pair of bf16 numbers; either way it fills a lane of 32 bits.
//! It reaches what the CPU can multiply as long as the weights are near. They are not: each tile walks through all of
//! them, and no cache that is near holds them. So every few steps a line of the block that comes next is asked for,
//! and while one block is multiplied the next one arrives. Sums go from the registers through [`Finish`] to the map.

use std::marker::PhantomData;

use super::finish::Finish;
use crate::parallel::Shared;
use crate::simd::pairs::{PairKernel, Pairs};
use crate::simd::{Element, Kernel, Simd};

/// Bytes that the caches move at a time.
const LINE: usize = 64;

/// Factors between two lines that are asked for.
const PACE: usize = 4;

/// A tile's rows times one block of columns, factors by [`Single`] or [`Pair`].
pub(super) struct Product<'a, E: Element, F> {
    /// `[pixels, k]`
    pub(super) rows: Shared<f32>,
    pub(super) pixels: usize,
    pub(super) k: usize,
    /// `[k, width]`, and behind it the blocks that follow.
    pub(super) panel: &'a [f32],
    /// A multiple of 16.
    pub(super) width: usize,
    pub(super) finish: Finish<E>,
    pub(super) factors: PhantomData<F>,
}

/// One fp32 number a lane.
pub(super) struct Single;

/// Two bf16 numbers a lane.
pub(super) struct Pair;

/// How factors are multiplied, and sums stored where the instructions for that are at hand.
pub(super) trait Multiply<E: Element, S: Simd<E>> {
    /// `a * b + sums`
    unsafe fn multiply(a: S::Vector, b: S::Vector, sums: S::Vector) -> S::Vector;
    unsafe fn store(at: *mut E, span: S::Span, sums: S::Vector);
}

impl<E: Element, S: Simd<E>> Multiply<E, S> for Single {
    #[inline(always)]
    unsafe fn multiply(a: S::Vector, b: S::Vector, sums: S::Vector) -> S::Vector {
        // SAFETY: the caller's.
        unsafe { S::fma(a, b, sums) }
    }

    #[inline(always)]
    unsafe fn store(at: *mut E, span: S::Span, sums: S::Vector) {
        // SAFETY: the caller's.
        unsafe { S::store(at, span, sums) }
    }
}

impl<E: Element, S: Pairs<E>> Multiply<E, S> for Pair {
    #[inline(always)]
    unsafe fn multiply(a: S::Vector, b: S::Vector, sums: S::Vector) -> S::Vector {
        // SAFETY: the caller's.
        unsafe { S::dot(a, b, sums) }
    }

    #[inline(always)]
    unsafe fn store(at: *mut E, span: S::Span, sums: S::Vector) {
        // SAFETY: the caller's.
        unsafe { S::store_narrowed(at, span, sums) }
    }
}

/// The part of the next block that has not been asked for yet.
struct Ahead {
    line: *const u8,
    end: *const u8,
}

impl Ahead {
    #[inline(always)]
    fn step<E: Element, S: Simd<E>>(&mut self) {
        if self.line < self.end {
            S::prefetch(self.line);
            self.line = self.line.wrapping_add(LINE);
        }
    }
}

impl<E: Element<Number = f32>> Kernel<E> for Product<'_, E, Single> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        // SAFETY: the caller's.
        unsafe { self.all::<S>() }
    }
}

impl<E: Element<Number = f32>> PairKernel<E> for Product<'_, E, Pair> {
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
        let mut ahead = Ahead { line: following.start.cast(), end: most.cast() };
        // AVX-512 has 32 registers; with 16 there is room for half as many columns.
        let vectors = if S::LANES == 16 { 4 } else { 2 };
        for column in (0..self.width).step_by(vectors * S::LANES) {
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

    /// All pixels under `V` vectors of columns, six at a time.
    #[inline(always)]
    unsafe fn columns<S: Simd<E>, const V: usize>(&self, column: usize, ahead: &mut Ahead)
    where
        F: Multiply<E, S>,
    {
        let mut pixel = 0;
        // SAFETY: the caller's.
        unsafe {
            while pixel + 6 <= self.pixels {
                self.block::<S, 6, V>(pixel, column, ahead);
                pixel += 6;
            }
            // One pixel costs a third of what six do.
            let left = self.pixels - pixel;
            if left > 2 && self.pixels >= 6 {
                self.block::<S, 6, V>(self.pixels - 6, column, ahead);
            } else {
                for pixel in pixel..self.pixels {
                    self.block::<S, 1, V>(pixel, column, ahead);
                }
            }
        }
    }

    /// `P` pixels by `V` vectors of columns.
    #[inline(always)]
    unsafe fn block<S: Simd<E>, const P: usize, const V: usize>(
        &self,
        pixel: usize,
        column: usize,
        ahead: &mut Ahead,
    ) where
        F: Multiply<E, S>,
    {
        let Self { rows, k, panel, width, .. } = *self;
        let whole = S::span(S::LANES);
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [[S::zero(); V]; P];
            (0..P).for_each(|p| self.finish.ask::<S>(pixel + p, column));
            let rows = rows.0.add(pixel * k).cast_const();
            let mut columns = panel.as_ptr().add(column);
            let mut at = 0;
            while at < k {
                ahead.step::<E, S>();
                let stop = (at + PACE).min(k);
                while at < stop {
                    let mut weights = [S::zero(); V];
                    for (v, weight) in weights.iter_mut().enumerate() {
                        *weight = S::load_numbers(columns.add(v * S::LANES), whole);
                    }
                    for (p, sums) in sums.iter_mut().enumerate() {
                        let factor = S::broadcast(rows.add(p * k + at));
                        for (sum, weight) in sums.iter_mut().zip(weights) {
                            *sum = F::multiply(factor, weight, *sum);
                        }
                    }
                    columns = columns.add(width);
                    at += 1;
                }
            }
            for (p, sums) in sums.into_iter().enumerate() {
                for (v, sum) in sums.into_iter().enumerate() {
                    self.finish.put::<S, F>(pixel + p, column + v * S::LANES, sum);
                }
            }
        }
    }
}
