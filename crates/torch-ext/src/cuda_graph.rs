//! CUDA graphs: work on a GPU recorded once and replayed by a single launch.
//!
//! A training step of a network like this one is over a thousand small kernels; with small batches the CPU cannot
//! launch them as fast as a GPU runs them. The type exists without the feature `cuda` too, and then says so when it is
//! asked for, so that callers need no `cfg`.

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

/// What is said to be refused when a graph is.
const OPERATION: &str = "a CUDA graph";

/// Whether [`CudaGraph::new`] can succeed: this program was built with the feature `cuda`, and there is a CUDA device.
pub fn cuda_graphs_supported() -> bool {
    cfg!(feature = "cuda") && tch::Cuda::is_available()
}

/// Work recorded on a stream of its own. PyTorch: `torch.cuda.CUDAGraph` with `torch.cuda.graph`.
///
/// A replay does to memory exactly what the recorded work would have done, at the same addresses: new inputs are copied
/// into the tensors that the work read, results appear in those that it made. So:
///
/// - Whatever the work reads and writes must live as long as the graph is replayed. Memory of a tensor that was dropped
///   belongs to somebody else, whose values a replay would overwrite.
/// - Numbers that the CPU passed to kernels, such as a learning rate, stay what they were; what is to change must be a
///   tensor on the device.
/// - The work may not wait for the device: reading a number back ends the capture with an error.
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
    /// Without the feature `cuda`, or when `device` is not a CUDA device that is there.
    pub fn new(device: Device) -> Result<Self, Error> {
        Ok(Self { handle: Handle::new(device)?, warm: false })
    }

    /// Runs `work` once, for real, on the graph's stream, between what the caller enqueued before and after.
    ///
    /// libtorch makes library handles and workspaces and chooses kernels the first times that work runs, which cannot
    /// be recorded. Three runs settle all of it; one is required.
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

    /// Records what `work` asks of the device, without running it. What it returns is what every
    /// [`replay`](Self::replay) fills anew; before the first one it holds nothing.
    ///
    /// # Errors
    ///
    /// Those of `work`, after which nothing counts as recorded and the caller's stream is current again (as when it
    /// panics); and libtorch's: without a warm-up, for a graph that holds a recording, when the work cannot be recorded.
    pub fn capture<T, E: From<Error>>(
        &mut self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if !self.warm {
            let message = "nothing can be recorded ahead of a warm-up run".to_string();
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

/// A way back to the caller's stream.
type WayBack = fn(&Handle) -> Result<(), Error>;

/// Goes back to the caller's stream on the way out through an error or a panic of the work, which is what is heard of.
struct Undo<'a> {
    handle: &'a Handle,
    undo: Option<WayBack>,
}

impl<'a> Undo<'a> {
    fn unless_done(handle: &'a Handle, undo: WayBack) -> Self {
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
