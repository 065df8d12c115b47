//! The memory of a product's result: a matrix that several threads write, each in blocks of its own.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

use tch::{Device, Kind, Tensor};

/// A matrix of fp32 that nobody else has seen yet, so that it can be written to.
#[derive(Debug)]
pub(crate) struct NewMatrix(Tensor);

impl NewMatrix {
    /// A matrix `[rows, columns]` without values.
    pub(crate) fn empty(rows: usize, columns: usize) -> Self {
        let shape = [rows, columns].map(|size| size as i64);
        Self(Tensor::empty(shape, (Kind::Float, Device::Cpu)))
    }

    /// The memory of its elements, row by row.
    pub(crate) fn memory(&mut self) -> &mut [MaybeUninit<f32>] {
        let (start, count) = (self.0.data_ptr().cast(), self.0.numel());
        if count == 0 {
            return &mut [];
        }
        // SAFETY: libtorch has allocated a contiguous tensor of so many fp32 numbers, and this is the only handle on it,
        // borrowed exclusively as long as the list lives.
        unsafe { std::slice::from_raw_parts_mut(start, count) }
    }

    /// The matrix, once it is written.
    pub(crate) fn into_tensor(self) -> Tensor {
        self.0
    }
}

/// A matrix that is written block by block.
#[derive(Debug)]
pub(crate) struct Blocks<'a, E> {
    start: *mut E,
    rows: usize,
    columns: usize,
    memory: PhantomData<&'a mut [E]>,
}

impl<'a, E> Blocks<'a, E> {
    /// The rows of `memory`, each of `columns` elements.
    ///
    /// # Panics
    /// Where `memory` does not consist of whole rows.
    pub(crate) fn new(memory: &'a mut [MaybeUninit<E>], columns: usize) -> Self {
        let rows = memory.len() / columns.max(1);
        assert_eq!(memory.len(), rows * columns, "expected rows of {columns} elements");
        Self { start: memory.as_mut_ptr().cast(), rows, columns, memory: PhantomData }
    }

    /// The elements in `rows` and `columns`.
    ///
    /// # Safety
    /// No other block with one of these elements is used as long as this one.
    ///
    /// # Panics
    /// Where the matrix has no such rows or columns.
    pub(crate) unsafe fn block(&self, rows: Range<usize>, columns: Range<usize>) -> Block<'a, E> {
        assert!(
            rows.start <= rows.end
                && rows.end <= self.rows
                && columns.start <= columns.end
                && columns.end <= self.columns,
            "expected a block of {} rows and {} columns, got {rows:?} and {columns:?}",
            self.rows,
            self.columns
        );
        let first = rows.start * self.columns + columns.start;
        Block {
            to: self.start.wrapping_add(first),
            first,
            rows: rows.len(),
            columns: columns.len(),
            ld: self.columns,
            elements: self.rows * self.columns,
            memory: PhantomData,
        }
    }
}

// SAFETY: threads that share the matrix can only make blocks of it, and each caller that makes one promises that it has
// the elements to itself.
unsafe impl<E: Send> Sync for Blocks<'_, E> {}

/// Some columns of some rows.
#[derive(Debug)]
pub(crate) struct Block<'a, E> {
    /// The first column of the first row.
    to: *mut E,
    /// The index of that element in the whole matrix.
    first: usize,
    rows: usize,
    columns: usize,
    /// Elements from a row to the next.
    ld: usize,
    /// Elements of the whole matrix.
    elements: usize,
    memory: PhantomData<&'a mut [E]>,
}

impl<E> Block<'_, E> {
    /// The element in the first row and column. Of each of [`Self::rows`], which start [`Self::ld`] elements apart,
    /// [`Self::columns`] elements can be written.
    pub(super) fn start(&self) -> *mut E {
        self.to
    }

    /// The index of that element in the whole matrix.
    pub(super) fn first(&self) -> usize {
        self.first
    }

    /// The number of rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Elements from a row to the next.
    pub(super) fn ld(&self) -> usize {
        self.ld
    }

    /// Elements of the whole matrix.
    pub(super) fn elements(&self) -> usize {
        self.elements
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_lies_within_its_matrix() {
        let mut memory = [MaybeUninit::<f32>::uninit(); 12];
        let blocks = Blocks::new(&mut memory, 4);
        // SAFETY: the only block.
        let block = unsafe { blocks.block(1..3, 2..4) };
        assert_eq!(block.start(), blocks.start.wrapping_add(6));
        assert_eq!([block.first(), block.rows(), block.columns(), block.ld()], [6, 2, 2, 4]);
    }

    #[test]
    #[should_panic(expected = "expected a block of 3 rows and 4 columns, got 2..4 and 0..1")]
    fn rows_beyond_the_last_are_refused() {
        let mut memory = [MaybeUninit::<f32>::uninit(); 12];
        // SAFETY: the only block.
        let _ = unsafe { Blocks::new(&mut memory, 4).block(2..4, 0..1) };
    }

    #[test]
    #[should_panic(expected = "expected rows of 5 elements")]
    fn parts_of_rows_are_refused() {
        Blocks::new(&mut [MaybeUninit::<f32>::uninit(); 12], 5);
    }
}
