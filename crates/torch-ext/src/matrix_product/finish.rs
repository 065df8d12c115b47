//! The epilogue of a product: bias, residual and ReLU are applied to its sums before they are stored.

use super::blocks::Block;
use super::{LINE, VECTOR};
use crate::simd::{Element, Kernel, Simd};

/// The block of the result that sums are stored to, and the operations that are applied to them first.
#[derive(Debug)]
pub(crate) struct Finish<'a, E: Element> {
    block: Block<'a, E>,
    /// A number for each column.
    bias: &'a [f32],
    /// The elements that are added, which lie as those of the whole result do, from the block's first on.
    residual: Option<*const E>,
    residual_relu: bool,
    relu: bool,
}

impl<'a, E: Element> Finish<'a, E> {
    /// Adds `bias`, a number for each column of `block` and maybe more, and nothing else.
    ///
    /// # Panics
    /// Where `bias` is too short.
    pub(crate) fn new(block: Block<'a, E>, bias: &'a [f32]) -> Self {
        let (columns, count) = (block.columns(), bias.len());
        assert!(count >= columns, "expected a bias for each of {columns} columns, got {count}");
        Self { block, bias, residual: None, residual_relu: false, relu: false }
    }

    /// The same; with `relu`, a ReLU comes last.
    pub(crate) fn with_relu(self, relu: bool) -> Self {
        Self { relu, ..self }
    }

    /// The same, with `residual` added, which lies as the whole result does; with `relu`, a ReLU applies to it first.
    ///
    /// # Panics
    /// Where it has another number of elements.
    pub(crate) fn with_residual(self, residual: &'a [E], relu: bool) -> Self {
        let (expected, got) = (self.block.elements(), residual.len());
        assert_eq!(got, expected, "expected a residual of {expected} elements, got {got}");
        let residual = Some(residual.as_ptr().wrapping_add(self.block.first()));
        Self { residual, residual_relu: relu, ..self }
    }

    /// The same, with the elements added that the block holds already.
    ///
    /// # Safety
    /// Every element of the block has been written.
    pub(crate) unsafe fn accumulating(self) -> Self {
        let residual = Some(self.block.start().cast_const());
        Self { residual, residual_relu: false, ..self }
    }

    /// The number of rows that can be stored.
    pub(super) fn rows(&self) -> usize {
        self.block.rows()
    }
}

impl<E: Element<Number = f32>> Finish<'_, E> {
    /// Prefetches `count` columns from `c` on of a row, which are written soon, and those that are added to them.
    #[inline(always)]
    pub(super) fn ask<S: Simd<E>>(&self, row: usize, c: usize, count: usize) {
        let at = row * self.block.ld() + c;
        for line in (0..count * size_of::<E>()).step_by(LINE) {
            S::prefetch_to_write(
                self.block.start().wrapping_add(at).wrapping_byte_add(line).cast(),
            );
            if let Some(residual) = self.residual {
                S::prefetch(residual.wrapping_add(at).wrapping_byte_add(line).cast());
            }
        }
    }

    /// Stores the sums of a vector of columns from `c` on of a row. Columns that the block does not have are ignored.
    ///
    /// # Safety
    /// The CPU has the instructions of `S`, and `row` is below [`Self::rows`].
    #[inline(always)]
    pub(super) unsafe fn put<S: Simd<E>>(&self, row: usize, c: usize, sum: S::Vector) {
        let Some(columns) = self.block.columns().checked_sub(c).filter(|&columns| columns > 0)
        else {
            return;
        };
        let (span, at) = (S::span(columns), row * self.block.ld() + c);
        // SAFETY: the caller has the instructions. The span ends with the block's columns, for which there are biases,
        // elements and, as `with_residual` compared and `accumulating` was promised, numbers to add.
        unsafe {
            let mut y = S::add(sum, S::load_numbers(self.bias.as_ptr().add(c), span));
            if let Some(residual) = self.residual {
                let x = S::load(residual.add(at), span);
                y = S::add(y, if self.residual_relu { S::relu(x) } else { x });
            }
            let y = if self.relu { S::relu(y) } else { y };
            S::store(self.block.start().add(at), span, y);
        }
    }
}

/// Stores sums that lie in memory.
pub(crate) struct Sums<'a, E: Element> {
    sums: &'a [f32],
    width: usize,
    finish: Finish<'a, E>,
}

impl<'a, E: Element> Sums<'a, E> {
    /// `sums` holds a row of `width` numbers, whole vectors, for each row of `finish`.
    ///
    /// # Panics
    /// Where it is shorter, or `width` is no multiple of [`VECTOR`].
    pub(crate) fn new(sums: &'a [f32], width: usize, finish: Finish<'a, E>) -> Self {
        assert!(
            width.is_multiple_of(VECTOR) && sums.len() >= finish.rows() * width,
            "expected {} rows of {width} sums, got {}",
            finish.rows(),
            sums.len()
        );
        Self { sums, width, finish }
    }
}

// SAFETY: `new` has compared the sums with the rows, and `put` keeps to the block's columns.
unsafe impl<E: Element<Number = f32>> Kernel<E> for Sums<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd<E>>(self) {
        for row in 0..self.finish.rows() {
            for c in (0..self.width).step_by(S::LANES) {
                // SAFETY: the caller has the instructions; the row's sums are whole vectors, as `VECTOR` is a multiple of
                // every set's lanes.
                unsafe {
                    let at = self.sums.as_ptr().add(row * self.width + c);
                    let sum = S::load_numbers(at, S::span(S::LANES));
                    self.finish.put::<S>(row, c, sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;

    use super::super::blocks::Blocks;
    use super::*;

    fn with_block(test: impl FnOnce(Block<f32>)) {
        let mut memory = [MaybeUninit::uninit(); 12];
        // SAFETY: the only block.
        test(unsafe { Blocks::new(&mut memory, 4).block(1..3, 1..4) });
    }

    #[test]
    #[should_panic(expected = "expected a bias for each of 3 columns, got 2")]
    fn a_short_bias_is_refused() {
        with_block(|block| {
            let _ = Finish::new(block, &[0.0; 2]);
        });
    }

    #[test]
    #[should_panic(expected = "expected a residual of 12 elements, got 6")]
    fn a_short_residual_is_refused() {
        with_block(|block| {
            let _ = Finish::new(block, &[0.0; 3]).with_residual(&[0.0; 6], true);
        });
    }

    #[test]
    #[should_panic(expected = "expected 2 rows of 16 sums, got 31")]
    fn too_few_sums_are_refused() {
        with_block(|block| {
            let _ = Sums::new(&[0.0; 31], 16, Finish::new(block, &[0.0; 3]));
        });
    }
}
