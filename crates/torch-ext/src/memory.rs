//! Memory that stays from step to step, in large pages.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ops::Deref;
use std::ptr::NonNull;

use crate::ffi;

/// Makes libtorch take large tensors from memory that is kept when they go, in pages of 2 MiB.
///
/// A training step allocates and frees hundreds of megabytes of the same sizes, over and over; given back to the
/// system each time, a tenth of the step goes to page faults. What was once taken is kept to the end of the process.
///
/// For programs, once and ahead of the first tensor: it concerns the whole process. Does nothing but on Linux.
pub fn keep_memory() {
    // SAFETY: settings of libtorch and the C library that concern later allocations only.
    unsafe { ffi::torch_ext_keep_memory() }
}

/// A list in pages of 2 MiB where the system has them: weights that every image walks through from end to end
/// would otherwise need more page addresses than the CPU remembers.
#[derive(Debug)]
pub(crate) struct LargePages<T> {
    start: NonNull<T>,
    count: usize,
}

/// Size of a large page, and where lists start.
const PAGE: usize = 2 << 20;

impl<T: Copy> LargePages<T> {
    /// The values of `value` at each index below `count`.
    pub(crate) fn from_fn(count: usize, value: impl Fn(usize) -> T) -> Self {
        let layout = Self::layout(count);
        // SAFETY: the layout is not empty; the pages are ours and as many as it says.
        let start = unsafe {
            let start = alloc(layout);
            if start.is_null() {
                handle_alloc_error(layout);
            }
            ffi::torch_ext_use_large_pages(start.cast(), layout.size());
            NonNull::new_unchecked(start.cast::<T>())
        };
        for index in 0..count {
            // SAFETY: within the allocation, and written before anything reads it.
            unsafe { start.add(index).write(value(index)) };
        }
        Self { start, count }
    }
}

impl<T> LargePages<T> {
    fn layout(count: usize) -> Layout {
        let bytes = (count * size_of::<T>()).max(1);
        // Short lists fill no page.
        let align = if bytes < PAGE { 64 } else { PAGE };
        Layout::from_size_align(bytes, align).expect("weights fit the address space")
    }
}

impl<T> Deref for LargePages<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `count` values, written when the list was made.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl<T> Drop for LargePages<T> {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout; the values are plain numbers.
        unsafe { dealloc(self.start.as_ptr().cast(), Self::layout(self.count)) }
    }
}

// SAFETY: an owned list, like a Vec.
unsafe impl<T: Send> Send for LargePages<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for LargePages<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_hold_what_was_put_in() {
        for count in [0, 1, 1000, 3 << 19] {
            let list = LargePages::from_fn(count, |index| index as f32);
            assert!(list.len() == count && list.iter().zip(0..).all(|(&x, i)| x == i as f32));
        }
    }
}
