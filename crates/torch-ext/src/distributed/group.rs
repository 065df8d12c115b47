//! Ranks that reduce tensors together. PyTorch: `torch.distributed.ProcessGroup`.

use std::ffi::{CString, c_int};
use std::time::Duration;

use tch::{Device, Kind, Tensor};

use super::ffi::{self, RawGroup, RawWork};
use super::store::milliseconds;
use super::{DistributedError, Store, Work};
use crate::dense::is_dense;
use crate::ffi::ErrorText;

/// The operation by which [`ProcessGroup::all_reduce`] combines the ranks' numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReduceOperation {
    /// Their sum.
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

/// The address of this machine under which the others reach it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum GlooAddress {
    /// The one that its host name resolves to. Where `/etc/hosts` gives the name a loopback address, no other machine
    /// reaches it.
    #[default]
    HostName,
    /// The one of a network interface, such as `eth0`. PyTorch: `GLOO_SOCKET_IFNAME`.
    Interface(String),
    /// This one.
    Address(String),
}

/// A connection to every rank.
///
/// All ranks must call the same operations in the same order, with tensors of equal shape and kind. No rank can check
/// that: Gloo ends the process when two ranks disagree in size.
#[derive(Debug)]
pub struct ProcessGroup {
    handle: *mut RawGroup,
    rank: usize,
    world_size: usize,
    device: Device,
}

// SAFETY: c10d ties a group to no thread. It is not `Sync`: one thread at a time uses it, for the order of its operations
// must be the same on all ranks.
unsafe impl Send for ProcessGroup {}

impl ProcessGroup {
    /// Ranks on CPUs, which meet at `store`. `timeout` bounds the meeting and every operation.
    ///
    /// # Errors
    ///
    /// When a rank does not come in time, or the address is not one of this machine's.
    pub fn gloo(
        store: &Store,
        rank: usize,
        world_size: usize,
        address: &GlooAddress,
        timeout: Duration,
    ) -> Result<Self, DistributedError> {
        let operation = "meeting the other ranks";
        check_rank(operation, rank, world_size)?;
        let (interface, host) = match address {
            GlooAddress::HostName => (None, None),
            GlooAddress::Interface(name) => (Some(ffi::text(operation, name)?), None),
            GlooAddress::Address(host) => (None, Some(ffi::text(operation, host)?)),
        };
        let address =
            |text: &Option<CString>| text.as_ref().map_or(std::ptr::null(), |t| t.as_ptr());
        let mut handle = std::ptr::null_mut();
        // SAFETY: the live store of `store`; texts that are NUL-terminated and live through the call, or null; and room for
        // the result. `check_rank` has seen to the range of the numbers.
        ffi::check(operation, unsafe {
            ffi::torch_ext_gloo(
                store.handle(),
                rank as c_int,
                world_size as c_int,
                milliseconds(timeout),
                address(&interface),
                address(&host),
                &mut handle,
            )
        })
        .map_err(|error| error.by(rank, world_size))?;
        Ok(Self { handle, rank, world_size, device: Device::Cpu })
    }

    /// Ranks on GPUs, of which `device` is this one's. `timeout` bounds every operation.
    ///
    /// # Errors
    ///
    /// Without the feature `cuda`, or when NCCL refuses.
    #[cfg_attr(
        not(feature = "cuda"),
        allow(unused_variables, reason = "refused without the feature")
    )]
    pub fn nccl(
        store: &Store,
        rank: usize,
        world_size: usize,
        device: Device,
        timeout: Duration,
    ) -> Result<Self, DistributedError> {
        let operation = "meeting the other ranks' GPUs";
        check_rank(operation, rank, world_size)?;
        #[cfg(not(feature = "cuda"))]
        return Err(DistributedError::new(
            operation,
            "this program was built without the feature `cuda`",
        ));
        #[cfg(feature = "cuda")]
        {
            let mut handle = std::ptr::null_mut();
            // SAFETY: the live store of `store` and room for the result. `check_rank` has seen to the range of the numbers.
            ffi::check(operation, unsafe {
                ffi::torch_ext_nccl(
                    store.handle(),
                    rank as c_int,
                    world_size as c_int,
                    milliseconds(timeout),
                    &mut handle,
                )
            })
            .map_err(|error| error.by(rank, world_size))?;
            Ok(Self { handle, rank, world_size, device })
        }
    }

    /// The rank of this process, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The number of ranks.
    pub fn world_size(&self) -> usize {
        self.world_size
    }

    /// Makes `tensor` the sum, the least or the greatest of those of all ranks, in place.
    ///
    /// # Errors
    ///
    /// For a tensor that is empty, not contiguous, of a kind that cannot be reduced, or on another device than the
    /// group's; and libtorch's.
    pub fn all_reduce(
        &self,
        tensor: &Tensor,
        operation: ReduceOperation,
    ) -> Result<Work, DistributedError> {
        let number = match operation {
            ReduceOperation::Sum => 0,
            ReduceOperation::Min => 1,
            ReduceOperation::Max => 2,
        };
        // SAFETY: `handle` is live until `self` is dropped; a live tensor, which `begin` has checked; room for the result.
        self.begin("all_reduce", None, &[tensor], |out| unsafe {
            ffi::torch_ext_all_reduce(self.handle, tensor.as_ptr(), number, out)
        })
    }

    /// Copies the `tensor` of `root` into the others', in place.
    ///
    /// # Errors
    ///
    /// As [`ProcessGroup::all_reduce`], and for a root that is no rank.
    pub fn broadcast(&self, tensor: &Tensor, root: usize) -> Result<Work, DistributedError> {
        check_rank("broadcast", root, self.world_size)
            .map_err(|error| error.by(self.rank, self.world_size))?;
        let peer = (root != self.rank).then(|| format!("rank {root}"));
        // SAFETY: as in `all_reduce`; `root` is a rank.
        self.begin("broadcast", peer, &[tensor], |out| unsafe {
            ffi::torch_ext_broadcast(self.handle, tensor.as_ptr(), root as i64, out)
        })
    }

    /// Fills `gathered` with the `tensor` of each rank, in their order.
    ///
    /// # Errors
    ///
    /// As [`ProcessGroup::all_reduce`], and unless there is one of equal shape and kind for each rank, with memory of its
    /// own.
    pub fn all_gather(
        &self,
        tensor: &Tensor,
        gathered: &[Tensor],
    ) -> Result<Work, DistributedError> {
        let operation = "all_gather";
        let tensors: Vec<&Tensor> = std::iter::once(tensor).chain(gathered).collect();
        self.check(operation, &tensors)?;
        let fits = |other: &Tensor| other.size() == tensor.size() && other.kind() == tensor.kind();
        if gathered.len() != self.world_size || !gathered.iter().all(fits) {
            let message = format!(
                "{} tensors to gather into; they must be {}, each of shape {:?} and kind {:?}",
                gathered.len(),
                self.world_size,
                tensor.size(),
                tensor.kind()
            );
            return Err(self.refusal(operation, &message));
        }
        // Contiguous tensors of one size: those that begin less than that apart overlap.
        let mut starts: Vec<usize> =
            tensors.iter().map(|tensor| tensor.data_ptr().addr()).collect();
        starts.sort_unstable();
        let bytes = tensor.numel() * tensor.kind().elt_size_in_bytes();
        if starts.windows(2).any(|pair| pair[1] - pair[0] < bytes) {
            let message = "tensors that share memory; each needs memory of its own";
            return Err(self.refusal(operation, message));
        }
        let places = crate::ffi::pointers(gathered);
        // SAFETY: as in `all_reduce`; the list points to live tensors and is passed with its length.
        self.begin(operation, None, &tensors, |out| unsafe {
            ffi::torch_ext_all_gather(
                self.handle,
                tensor.as_ptr(),
                places.as_ptr(),
                places.len(),
                out,
            )
        })
    }

    /// Ends when every rank has called it.
    ///
    /// # Errors
    ///
    /// libtorch's.
    pub fn barrier(&self) -> Result<Work, DistributedError> {
        // SAFETY: `handle` is live until `self` is dropped; room for the result.
        self.begin("barrier", None, &[], |out| unsafe { ffi::torch_ext_barrier(self.handle, out) })
    }

    /// Aborts running operations, as far as the engine can: NCCL's ranks, which wait without end. Gloo's end by timeout.
    ///
    /// # Errors
    ///
    /// libtorch's.
    pub fn abort(&self) -> Result<(), DistributedError> {
        // SAFETY: `handle` is live until `self` is dropped.
        ffi::check("abort", unsafe { ffi::torch_ext_group_abort(self.handle) })
            .map_err(|error| error.by(self.rank, self.world_size))
    }

    fn begin(
        &self,
        operation: &'static str,
        peer: Option<String>,
        tensors: &[&Tensor],
        call: impl FnOnce(&mut *mut RawWork) -> ErrorText,
    ) -> Result<Work, DistributedError> {
        self.check(operation, tensors)?;
        let mut work = std::ptr::null_mut();
        ffi::check(operation, call(&mut work))
            .map_err(|error| error.by(self.rank, self.world_size))?;
        let tensors = tensors.iter().map(|tensor| tensor.shallow_clone()).collect();
        // SAFETY: on success `work` is a new work that is now ours.
        Ok(unsafe { Work::new(work, operation, (self.rank, self.world_size), peer, tensors) })
    }

    fn check(&self, operation: &str, tensors: &[&Tensor]) -> Result<(), DistributedError> {
        match tensors.iter().find_map(|tensor| self.problem(tensor)) {
            Some(problem) => Err(self.refusal(operation, &problem)),
            None => Ok(()),
        }
    }

    /// The reason why `tensor` cannot be sent, if there is one.
    fn problem(&self, tensor: &Tensor) -> Option<String> {
        if !tensor.defined() {
            return Some("an undefined tensor".to_string());
        }
        let (size, device) = (tensor.size(), tensor.device());
        let Ok(kind) = tensor.f_kind() else {
            return Some(format!(
                "a tensor of an unknown kind; those that can be sent are {KINDS:?}"
            ));
        };
        if tensor.is_sparse() || tensor.is_mkldnn() {
            Some("a sparse tensor or one in oneDNN's layout; make it dense".to_string())
        } else if tensor.is_neg() {
            Some("a view that is negated when it is read; copy it first".to_string())
        } else if tensor.internal_is_zerotensor() || (device == Device::Cpu && !is_dense(tensor)) {
            Some(format!("a tensor of shape {size:?} without memory of its own; copy it first"))
        } else if tensor.numel() == 0 {
            Some(format!("a tensor of shape {size:?} holds nothing"))
        } else if device != self.device {
            Some(format!("a tensor on {device:?}, and the group's are on {:?}", self.device))
        } else if !KINDS.contains(&kind) {
            Some(format!("a tensor of kind {kind:?}; those that can be sent are {KINDS:?}"))
        } else if !tensor.is_contiguous() {
            Some(format!("a tensor of shape {size:?} that is not contiguous; copy it first"))
        } else {
            None
        }
    }

    fn refusal(&self, operation: &str, message: &str) -> DistributedError {
        DistributedError::new(operation, message).by(self.rank, self.world_size)
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // SAFETY: `self` owns the live `handle`, and nothing uses it afterwards. Nobody is left to receive an error.
        drop(ffi::check("leaving the group", unsafe { ffi::torch_ext_group_free(self.handle) }));
    }
}

/// The kinds that every engine can add up.
const KINDS: [Kind; 6] =
    [Kind::Float, Kind::Double, Kind::Half, Kind::Int64, Kind::Int, Kind::Uint8];

fn check_rank(operation: &str, rank: usize, world_size: usize) -> Result<(), DistributedError> {
    if rank < world_size && world_size <= c_int::MAX as usize {
        return Ok(());
    }
    let message =
        format!("rank {rank} of {world_size}: ranks count from 0 to one below their number");
    Err(DistributedError::new(operation, &message))
}
