//! libtorch's distributed engine, c10d: processes that find each other by a store and reduce tensors together.
//!
//! A [`Store`] is a table of keys and values that one process holds and all reach over TCP. A [`ProcessGroup`] made from
//! it has a connection to every rank, and collectives: operations that all ranks call, in the same order and with
//! tensors of the same shape and kind. Neither authenticates a peer, and nothing is encrypted: keep both inside a trusted
//! network.

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
    // SAFETY: no arguments; it writes one number, which libtorch reads before each warning.
    unsafe { ffi::torch_ext_say_less() }
}

/// Ends the process at once with exit status `code`, without destructors: those of a broken group wait for peers that may
/// never answer. Everything that matters must be on disk.
pub fn leave(code: i32) -> ! {
    // SAFETY: any number is a status, and the call does not return.
    unsafe { ffi::torch_ext_leave(code) }
}
