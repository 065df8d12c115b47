//! A collective that is running.

use tch::Tensor;

use super::DistributedError;
use super::ffi::{self, RawWork};

/// A collective that has started. Its tensors belong to it until [`Work::wait`] returns: do not read, write or resize them.
#[derive(Debug)]
#[must_use = "the tensors belong to the collective until it is waited for"]
pub struct Work {
    handle: *mut RawWork,
    operation: &'static str,
    rank: (usize, usize),
    peer: Option<String>,
    /// The tensors that it reads and writes, which must live as long.
    #[allow(dead_code, reason = "held, not read")]
    tensors: Vec<Tensor>,
}

// SAFETY: c10d finishes a work on its own threads and guards its state with a lock, so that the thread that waits may be
// another than the one that started it. The tensors are `Send`.
unsafe impl Send for Work {}

impl Work {
    /// Takes ownership of `handle`.
    ///
    /// # Safety
    ///
    /// `handle` is a live work of C++ that nobody else frees.
    pub(super) unsafe fn new(
        handle: *mut RawWork,
        operation: &'static str,
        rank: (usize, usize),
        peer: Option<String>,
        tensors: Vec<Tensor>,
    ) -> Self {
        Self { handle, operation, rank, peer, tensors }
    }

    /// Waits for the end, at most as long as the group's timeout.
    ///
    /// On a GPU the current stream waits: kernels that are launched next see the result.
    ///
    /// # Errors
    ///
    /// When a peer is gone or does not answer in time; the values of the tensors are then undefined.
    pub fn wait(self) -> Result<(), DistributedError> {
        // SAFETY: `handle` is live until `self` is dropped.
        ffi::check(self.operation, unsafe { ffi::torch_ext_work_wait(self.handle) }).map_err(
            |error| {
                let error = error.by(self.rank.0, self.rank.1);
                match &self.peer {
                    Some(peer) => error.with(peer),
                    None => error,
                }
            },
        )
    }

    /// Whether it has ended, with success or not.
    ///
    /// # Errors
    ///
    /// libtorch's.
    pub fn is_done(&self) -> Result<bool, DistributedError> {
        let mut done = false;
        // SAFETY: `handle` is live until `self` is dropped; there is room for the answer.
        ffi::check(self.operation, unsafe { ffi::torch_ext_work_done(self.handle, &mut done) })?;
        Ok(done)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // SAFETY: `self` owns the live `handle`, and nothing uses it afterwards. Nobody is left to receive an error.
        drop(ffi::check(self.operation, unsafe { ffi::torch_ext_work_free(self.handle) }));
    }
}
