//! Memory that stays from step to step, in large pages.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ops::Deref;
use std::ptr::NonNull;

use crate::ffi;

/// Makes libtorch take large tensors from memory in pages of 2 MiB that the process keeps when they are dropped.
///
/// A training step allocates and frees hundreds of megabytes of the same sizes, over and over. If the system gets them
/// back each time, a tenth of the step goes to page faults. The memory is kept to the end of the process.
///
/// For programs, once and before the first tensor: it concerns the whole process. Does nothing except on Linux.
pub fn keep_memory() {
    // SAFETY: no arguments. It changes settings of libtorch and of the C library that concern later allocations only;
    // each earlier one keeps the deleter that it came with.
    unsafe { ffi::torch_ext_keep_memory() }
}

/// A list in pages of 2 MiB where the system has them. Every image walks through all packed weights, which in small pages
/// would need more page addresses than the CPU caches.
#[derive(Debug)]
pub(crate) struct LargePages<T> {
    start: NonNull<T>,
    count: usize,
}

/// Size of a large page, and alignment of lists that fill one.
const PAGE: usize = 2 << 20;

impl<T: Copy> LargePages<T> {
    /// The values of `value` at each index below `count`.
    pub(crate) fn from_fn(count: usize, value: impl Fn(usize) -> T) -> Self {
        let layout = Self::layout(count);
        // SAFETY: the layout is not empty, as `alloc` demands; a null pointer ends the process, so the address is not null;
        // the pages that are marked are the ones just allocated.
        let start = unsafe {
            let start = alloc(layout);
            if start.is_null() {
                handle_alloc_error(layout);
            }
            ffi::torch_ext_use_large_pages(start.cast(), layout.size());
            NonNull::new_unchecked(start.cast::<T>())
        };
        for index in 0..count {
            // SAFETY: `index` is below `count`, for which the layout has room, and aligned for `T`; nobody reads the place
            // before it is written.
            unsafe { start.add(index).write(value(index)) };
        }
        Self { start, count }
    }
}

impl<T> LargePages<T> {
    fn layout(count: usize) -> Layout {
        const { assert!(align_of::<T>() <= 64) };
        let bytes = count.checked_mul(size_of::<T>()).map(|bytes| bytes.max(1));
        let layout = bytes.and_then(|bytes| {
            // Short lists fill no page.
            let align = if bytes < PAGE { 64 } else { PAGE };
            Layout::from_size_align(bytes, align).ok()
        });
        layout.expect("weights fit the address space")
    }
}

impl<T> Deref for LargePages<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `from_fn`, the only constructor, has written `count` values there, and the list owns them.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl<T> Drop for LargePages<T> {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout, which depends on `count` only. The values are `Copy`, so that none has a
        // destructor.
        unsafe { dealloc(self.start.as_ptr().cast(), Self::layout(self.count)) }
    }
}

// SAFETY: the list owns its values, as a `Vec` does, and nothing else refers to them.
unsafe impl<T: Send> Send for LargePages<T> {}
// SAFETY: a shared list gives shared references only.
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
