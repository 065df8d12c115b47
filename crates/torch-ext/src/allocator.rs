//! An end with a sentence and an exit code, where a program gets no more memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;

use crate::ffi;

/// The system's allocator, which ends the process with an exit code of the program's choice when there is no more memory, and
/// says how much was requested. Without it a Rust program aborts, as if it were wrong.
///
/// For the `#[global_allocator]` of a program. Nothing is cleaned up, as with an abort.
#[derive(Debug)]
pub struct EndWithoutMemory {
    /// The exit code.
    pub code: u8,
}

// SAFETY: every method passes its arguments on to the system's allocator, which keeps the contract, and returns what that
// returned, unless the process ends.
unsafe impl GlobalAlloc for EndWithoutMemory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        self.checked(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        self.checked(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        self.checked(unsafe { System.realloc(start, layout, size) }, size)
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(start, layout) }
    }
}

/// More than any machine has: who requests that believes a damaged file, and may be ready for a refusal.
const ABSURD: usize = 1 << 40;

impl EndWithoutMemory {
    fn checked(&self, start: *mut u8, size: usize) -> *mut u8 {
        if start.is_null() && size < ABSURD {
            self.end(size);
        }
        start
    }

    #[cold]
    fn end(&self, size: usize) -> ! {
        // Standard error takes no memory; that it cannot be written to changes nothing.
        drop(writeln!(
            std::io::stderr(),
            "error: out of memory ({size} bytes more were requested); use smaller images, files or batches, or a machine \
             with more memory"
        ));
        // SAFETY: it takes a number and does not return.
        unsafe { ffi::_exit(self.code.into()) }
    }
}
