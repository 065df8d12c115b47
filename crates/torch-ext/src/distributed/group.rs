//! Ranks that reduce tensors together. PyTorch: `torch.distributed.ProcessGroup`.

use std::ffi::{CString, c_int};
use std::time::Duration;

use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

use super::ffi::{self, RawGroup, RawWork};
use super::store::milliseconds;
use super::{DistributedError, Store, Work};

/// How [`ProcessGroup::all_reduce`] makes one number of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReduceOperation {
    /// Their sum.
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

/// Under which of its addresses the others reach this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum GlooAddress {
    /// What its host name resolves to. A host name that `/etc/hosts` gives a loopback address reaches nobody else.
    #[default]
    HostName,
    /// That of a network interface, such as `eth0`. PyTorch: `GLOO_SOCKET_IFNAME`.
    Interface(String),
    /// This one.
    Address(String),
}

/// A connection to every rank.
///
/// All ranks call the same operations in the same order, with tensors of equal shape and kind. That is for the caller
/// to see to: Gloo ends the process when two ranks disagree in size.
#[derive(Debug)]
pub struct ProcessGroup {
    handle: *mut RawGroup,
    rank: usize,
    world_size: usize,
    device: Device,
}

// SAFETY: a group may be used from any thread, though by one at a time: the order of its operations has to be the same
// on all ranks.
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
        let pointer =
            |text: &Option<CString>| text.as_ref().map_or(std::ptr::null(), |t| t.as_ptr());
        let mut handle = std::ptr::null_mut();
        // SAFETY: a live store, NUL-terminated texts or null, and a place for the result.
        ffi::check(operation, unsafe {
            ffi::torch_ext_gloo(
                store.handle(),
                rank as c_int,
                world_size as c_int,
                milliseconds(timeout),
                pointer(&interface),
                pointer(&host),
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
            // SAFETY: a live store and a place for the result.
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

    /// Who this is, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many there are.
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
        self.begin("all_reduce", None, &[tensor], |handle, out| unsafe {
            ffi::torch_ext_all_reduce(handle, pointer(tensor), number, out)
        })
    }

    /// Makes `tensor` what `root` has, in place.
    ///
    /// # Errors
    ///
    /// As [`ProcessGroup::all_reduce`], and for a root that is no rank.
    pub fn broadcast(&self, tensor: &Tensor, root: usize) -> Result<Work, DistributedError> {
        check_rank("broadcast", root, self.world_size)
            .map_err(|error| error.by(self.rank, self.world_size))?;
        let peer = (root != self.rank).then(|| format!("rank {root}"));
        self.begin("broadcast", peer, &[tensor], |handle, out| unsafe {
            ffi::torch_ext_broadcast(handle, pointer(tensor), root as i64, out)
        })
    }

    /// Fills `gathered` with the `tensor` of each rank, in their order.
    ///
    /// # Errors
    ///
    /// As [`ProcessGroup::all_reduce`], and unless there is one of equal shape and kind for each rank.
    pub fn all_gather(
        &self,
        tensor: &Tensor,
        gathered: &[Tensor],
    ) -> Result<Work, DistributedError> {
        let fits = |other: &Tensor| other.size() == tensor.size() && other.kind() == tensor.kind();
        if gathered.len() != self.world_size || !gathered.iter().all(fits) {
            let message = format!(
                "{} tensors to gather into; they must be {}, each of shape {:?} and kind {:?}",
                gathered.len(),
                self.world_size,
                tensor.size(),
                tensor.kind()
            );
            return Err(self.refusal("all_gather", &message));
        }
        let tensors: Vec<&Tensor> = std::iter::once(tensor).chain(gathered).collect();
        let places = crate::ffi::pointers(gathered);
        self.begin("all_gather", None, &tensors, |handle, out| unsafe {
            ffi::torch_ext_all_gather(handle, pointer(tensor), places.as_ptr(), places.len(), out)
        })
    }

    /// Ends when every rank has called it.
    ///
    /// # Errors
    ///
    /// libtorch's.
    pub fn barrier(&self) -> Result<Work, DistributedError> {
        self.begin("barrier", None, &[], |handle, out| unsafe {
            ffi::torch_ext_barrier(handle, out)
        })
    }

    /// Gives up what is under way, as far as the engine can: NCCL's ranks, which wait for ever. Gloo's end by timeout.
    ///
    /// # Errors
    ///
    /// libtorch's.
    pub fn abort(&self) -> Result<(), DistributedError> {
        // SAFETY: a live group.
        ffi::check("abort", unsafe { ffi::torch_ext_group_abort(self.handle) })
            .map_err(|error| error.by(self.rank, self.world_size))
    }

    fn begin(
        &self,
        operation: &'static str,
        peer: Option<String>,
        tensors: &[&Tensor],
        call: impl FnOnce(*const RawGroup, *mut *mut RawWork) -> *mut std::ffi::c_char,
    ) -> Result<Work, DistributedError> {
        for tensor in tensors {
            if let Some(problem) = self.problem(tensor) {
                return Err(self.refusal(operation, &problem));
            }
        }
        let mut work = std::ptr::null_mut();
        ffi::check(operation, call(self.handle, &mut work))
            .map_err(|error| error.by(self.rank, self.world_size))?;
        let tensors = tensors.iter().map(|tensor| tensor.shallow_clone()).collect();
        // SAFETY: on success a work that is now ours.
        Ok(unsafe { Work::new(work, operation, (self.rank, self.world_size), peer, tensors) })
    }

    /// Why `tensor` cannot be sent, if so.
    fn problem(&self, tensor: &Tensor) -> Option<String> {
        if !tensor.defined() {
            return Some("an undefined tensor".to_string());
        }
        let (size, kind, device) = (tensor.size(), tensor.kind(), tensor.device());
        if tensor.is_sparse() {
            Some("a sparse tensor; make it dense".to_string())
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
        // SAFETY: ours, and freed once. Nobody is left to hear of an error.
        drop(ffi::check("leaving the group", unsafe { ffi::torch_ext_group_free(self.handle) }));
    }
}

/// What every engine can add up.
const KINDS: [Kind; 6] =
    [Kind::Float, Kind::Double, Kind::Half, Kind::Int64, Kind::Int, Kind::Uint8];

fn pointer(tensor: &Tensor) -> *const C_tensor {
    tensor.as_ptr()
}

fn check_rank(operation: &str, rank: usize, world_size: usize) -> Result<(), DistributedError> {
    if rank < world_size && world_size <= c_int::MAX as usize {
        return Ok(());
    }
    let message =
        format!("rank {rank} of {world_size}: ranks count from 0 to one below their number");
    Err(DistributedError::new(operation, &message))
}
