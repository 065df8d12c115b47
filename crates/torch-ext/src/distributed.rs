//! libtorch's distributed engine, c10d: processes that find each other by a store and reduce tensors together.
//!
//! A [`Store`] is a table of keys and values that one process holds and all reach over TCP. A [`ProcessGroup`] made from
//! it has a connection to every rank, and collectives: operations that all ranks call, in the same order and with
//! tensors of the same shape and kind. Neither asks who is calling, and nothing is encrypted: a network that others can
//! reach is no place for them.

mod error;
mod ffi;
mod group;
mod store;
#[cfg(test)]
mod tests;
mod work;

pub use self::error::DistributedError;
pub use self::group::{GlooAddress, ProcessGroup, ReduceOperation};
pub use self::store::{Store, StoreAddress, StoreRole};
pub use self::work::Work;

/// Keeps c10d from writing warnings with C++ backtraces to stderr. Errors are returned all the same.
pub fn say_less() {
    // SAFETY: writes a number that libtorch reads ahead of each warning.
    unsafe { ffi::torch_ext_say_less() }
}

/// Ends the process at once with exit status `code`: no destructor runs, for those of a broken group wait for peers that
/// may never answer. Everything that matters must be on disk.
pub fn leave(code: i32) -> ! {
    // SAFETY: does not return.
    unsafe { ffi::torch_ext_leave(code) }
}
