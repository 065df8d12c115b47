//! The matrix product in fp32: six pixels by four vectors of columns in registers, from the first factor to the last.
//!
//! It reaches what the CPU can multiply as long as the weights are near. They are not: each tile walks through all of
//! them, and no cache that is near holds them. So every few steps a line of the block that comes next is asked for,
//! and while one block is multiplied the next one arrives. Sums go from the registers through [`Finish`] to the map.

use super::finish::Finish;
use crate::parallel::Shared;
use crate::simd::{Element, Kernel, Simd};

/// Bytes that the caches move at a time.
const LINE: usize = 64;

/// Factors between two lines that are asked for.
const PACE: usize = 4;

/// A tile's rows times one block of columns.
pub(super) struct Product<'a, E: Element> {
    /// `[pixels, k]`
    pub(super) rows: Shared<f32>,
    pub(super) pixels: usize,
    pub(super) k: usize,
    /// `[k, width]`, and behind it the blocks that follow.
    pub(super) panel: &'a [f32],
    /// A multiple of 16.
    pub(super) width: usize,
    pub(super) finish: Finish<E>,
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

impl<E: Element<Number = f32>> Kernel<E> for Product<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
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
}

impl<E: Element<Number = f32>> Product<'_, E> {
    /// All pixels under `V` vectors of columns, six at a time.
    #[inline(always)]
    unsafe fn columns<S: Simd<E>, const V: usize>(&self, column: usize, ahead: &mut Ahead) {
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
    ) {
        let Self { rows, k, panel, width, .. } = *self;
        let whole = S::span(S::LANES);
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [[S::zero(); V]; P];
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
                            *sum = S::fma(factor, weight, *sum);
                        }
                    }
                    columns = columns.add(width);
                    at += 1;
                }
            }
            for (p, sums) in sums.into_iter().enumerate() {
                for (v, sum) in sums.into_iter().enumerate() {
                    self.finish.put::<S>(pixel + p, column + v * S::LANES, sum);
                }
            }
        }
    }
}
