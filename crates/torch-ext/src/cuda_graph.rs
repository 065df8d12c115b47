//! CUDA graphs: work on a GPU recorded once and replayed by a single launch.
//!
//! A training step of a network like this one is over a thousand small kernels; with small batches the CPU cannot
//! launch them as fast as a GPU runs them. The type exists without the feature `cuda` too, and its constructor then
//! returns an error, so that callers need no `cfg`.

#[cfg(not(feature = "cuda"))]
mod absent;
#[cfg(feature = "cuda")]
mod native;

#[cfg(not(feature = "cuda"))]
use absent::Handle;
#[cfg(feature = "cuda")]
use native::Handle;

use tch::Device;

use crate::Error;

/// The operation that an error names.
const OPERATION: &str = "a CUDA graph";

/// Whether [`CudaGraph::new`] can succeed: this program was built with the feature `cuda`, and there is a CUDA device.
pub fn cuda_graphs_supported() -> bool {
    cfg!(feature = "cuda") && tch::Cuda::is_available()
}

/// Work recorded on a stream of its own. PyTorch: `torch.cuda.CUDAGraph` with `torch.cuda.graph`.
///
/// A replay repeats the recorded work at the same addresses of the GPU: copy new inputs into the tensors that the work read,
/// and find the results in those that it made. So:
///
/// - All tensors that the work reads and writes must live as long as the graph is replayed. The memory of a dropped tensor
///   belongs to another one on the GPU, whose values a replay would overwrite.
/// - Numbers that the CPU passed to kernels, such as a learning rate, keep their values; a number that is to change must
///   be a tensor on the device.
/// - The work must not wait for the device: reading a number back ends the capture with an error.
///
/// The type stays on the thread that made it, whose current stream it switches.
#[derive(Debug)]
pub struct CudaGraph {
    handle: Handle,
    warm: bool,
}

impl CudaGraph {
    /// An empty graph for work on `device`, with a side stream to record it on.
    ///
    /// # Errors
    ///
    /// Without the feature `cuda`, or when `device` is no CUDA device of this machine.
    pub fn new(device: Device) -> Result<Self, Error> {
        Ok(Self { handle: Handle::new(device)?, warm: false })
    }

    /// Runs `work` once, without recording it, on the graph's stream, between the work that the caller enqueues before and
    /// after.
    ///
    /// In the first runs libtorch makes library handles and workspaces and chooses kernels, which cannot be recorded.
    /// Three runs are enough for all of it; one is required.
    ///
    /// # Errors
    ///
    /// Those of `work`, and libtorch's.
    pub fn warm_up<T, E: From<Error>>(
        &mut self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.handle.enter()?;
        let entered = Undo::unless_done(&self.handle, Handle::leave);
        let made = work()?;
        entered.done();
        self.handle.leave()?;
        self.warm = true;
        Ok(made)
    }

    /// Records the kernels that `work` launches, without running them. Every [`replay`](Self::replay) writes the tensors
    /// that it returns; before the first one their values are undefined.
    ///
    /// # Errors
    ///
    /// Those of `work`, after which nothing is recorded and the caller's stream is current again (as when it panics); and
    /// libtorch's: without a warm-up, for a graph that holds a recording, when the work cannot be recorded.
    pub fn capture<T, E: From<Error>>(
        &mut self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if !self.warm {
            let message = "expected a warm-up run before the recording, got none".to_string();
            return Err(Error { operation: OPERATION, message }.into());
        }
        self.handle.capture_begin()?;
        let capturing = Undo::unless_done(&self.handle, Handle::capture_abandon);
        let made = work()?;
        capturing.done();
        self.handle.capture_end()?;
        Ok(made)
    }

    /// Enqueues the recorded work on the current stream, and does not wait for it.
    ///
    /// # Errors
    ///
    /// When nothing has been recorded, and libtorch's.
    pub fn replay(&self) -> Result<(), Error> {
        self.handle.replay()
    }
}

/// A function that makes the caller's stream current again.
type Restore = fn(&Handle) -> Result<(), Error>;

/// Restores the caller's stream when the work fails or panics. Its own error is dropped in favour of the work's.
struct Undo<'a> {
    handle: &'a Handle,
    undo: Option<Restore>,
}

impl<'a> Undo<'a> {
    fn unless_done(handle: &'a Handle, undo: Restore) -> Self {
        Self { handle, undo: Some(undo) }
    }

    fn done(mut self) {
        self.undo = None;
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if let Some(undo) = self.undo {
            drop(undo(self.handle));
        }
    }
}

#[cfg(test)]
mod tests;
