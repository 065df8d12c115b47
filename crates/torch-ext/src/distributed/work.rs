//! A collective under way.

use tch::Tensor;

use super::DistributedError;
use super::ffi::{self, RawWork};

/// A collective that was begun. Its tensors belong to it until [`Work::wait`] returns.
#[derive(Debug)]
pub struct Work {
    handle: *mut RawWork,
    operation: &'static str,
    rank: (usize, usize),
    peer: Option<String>,
    /// What it reads and writes must live as long.
    #[allow(dead_code, reason = "held, not read")]
    tensors: Vec<Tensor>,
}

// SAFETY: c10d's work is guarded by a lock of its own.
unsafe impl Send for Work {}

impl Work {
    /// # Safety
    ///
    /// `handle` is a work of C++ that nobody else frees.
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
    /// On a GPU it is the current stream that waits: what is launched next sees the result.
    ///
    /// # Errors
    ///
    /// When a peer is gone or does not answer in time; the tensors then hold nothing of use.
    pub fn wait(self) -> Result<(), DistributedError> {
        // SAFETY: a live work.
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

    /// Whether it has ended, well or not.
    ///
    /// # Errors
    ///
    /// libtorch's.
    pub fn is_done(&self) -> Result<bool, DistributedError> {
        let mut done = false;
        // SAFETY: a live work, and a place for the answer.
        ffi::check(self.operation, unsafe { ffi::torch_ext_work_done(self.handle, &mut done) })?;
        Ok(done)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // SAFETY: ours, and freed once. Nobody is left to hear of an error.
        drop(ffi::check(self.operation, unsafe { ffi::torch_ext_work_free(self.handle) }));
    }
}
