//! The ranks of a run. One rank is the same code path as many: the single-process world does nothing.

mod address;
mod buckets;
mod failure;
mod heartbeat;
mod launch;
mod meeting;
mod rendezvous;
mod silence;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datasets::Share;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Device, Kind, Tensor};
use torch_ext::distributed::{
    DistributedError, GlooAddress, ProcessGroup, ReduceOperation, Store, Work,
};

use crate::Error;

pub(crate) use self::buckets::Buckets;

use self::failure::Exit;
#[cfg(test)]
pub(crate) use self::launch::Keeper;
pub(crate) use self::launch::Launch;

/// Who takes part. Collectives are methods, so that the training loop never asks how many there are.
///
/// All ranks call the same ones in the same order. They go through libtorch's c10d: Gloo for tensors on a CPU, NCCL for
/// those on a GPU.
#[derive(Clone)]
pub(crate) struct World {
    rank: usize,
    size: usize,
    device: Device,
    restarts: bool,
    links: Option<Arc<Links>>,
}

/// What connects a rank to the others.
struct Links {
    /// Tensors on CPUs, and whatever is not a tensor.
    cpu: Mutex<ProcessGroup>,
    /// Tensors on GPUs, where the run has them.
    gpu: Option<Mutex<ProcessGroup>>,
    /// The part of the store that is this start's alone.
    store: Store,
    exit: Exit,
    launch: Launch,
    /// Where the others reach this machine.
    address: GlooAddress,
    /// Whether this is the first rank of its machine, whose terminal somebody may look at.
    is_seen: bool,
}

impl World {
    /// This process alone.
    pub(crate) fn single() -> Self {
        let device = Device::cuda_if_available();
        World { rank: 0, size: 1, device, restarts: false, links: None }
    }

    /// Which rank this is, from 0.
    pub(crate) fn rank(&self) -> usize {
        self.rank
    }

    /// Ranks in all; with [`World::single`] one.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Ranks that share this machine, as far as the launcher says.
    pub(crate) fn on_this_machine(&self) -> u64 {
        let known = self.links.as_ref().and_then(|links| links.launch.local_size);
        known.unwrap_or(1) as u64
    }

    /// Whether this is the first rank of another machine than rank 0's.
    pub(crate) fn leads_a_machine(&self) -> bool {
        self.rank > 0 && self.links.as_ref().is_some_and(|links| links.is_seen)
    }

    /// Whether this rank writes files and talks.
    pub(crate) fn leads(&self) -> bool {
        self.rank == 0
    }

    /// Whether who launched this run starts it again when it fails, or has done so.
    pub(crate) fn restarts(&self) -> bool {
        self.restarts
    }

    /// Where this rank computes.
    pub(crate) fn device(&self) -> Device {
        self.device
    }

    /// What of every batch is this rank's.
    pub(crate) fn share(&self) -> Share {
        Share { rank: self.rank, world_size: self.size }
    }

    /// Sums `tensor` over all ranks, in place.
    pub(crate) fn sum(&self, tensor: &Tensor) -> Result<(), Error> {
        match self.links {
            Some(_) => Ok(self.begin_sum(tensor)?.wait()?),
            None => Ok(()),
        }
    }

    /// Begins to sum `tensor` over all ranks, in place. For several ranks only.
    pub(crate) fn begin_sum(&self, tensor: &Tensor) -> Result<Work, Error> {
        let links = self.links.as_ref().expect("there are several ranks");
        let group = links.group_of(tensor)?;
        Ok(group.all_reduce(tensor, ReduceOperation::Sum)?)
    }

    /// Gives every rank what rank 0 has, in place.
    pub(crate) fn broadcast(&self, tensors: &[Tensor]) -> Result<(), Error> {
        let Some(links) = &self.links else { return Ok(()) };
        let begun: Vec<Work> = tch::no_grad(|| {
            let begin = |tensor: &Tensor| links.group_of(tensor)?.broadcast(&tensor.detach(), 0);
            tensors.iter().map(begin).collect::<Result<_, DistributedError>>()
        })?;
        Ok(begun.into_iter().try_for_each(Work::wait)?)
    }

    /// What rank 0 has in `bytes`, for every rank.
    pub(crate) fn broadcast_bytes(&self, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
        if self.links.is_none() {
            return Ok(bytes);
        }
        let length = Tensor::from_slice(&[bytes.len() as i64]);
        self.broadcast(std::slice::from_ref(&length))?;
        let length = length.int64_value(&[0]);
        if length == 0 {
            return Ok(Vec::new());
        }
        let tensor = match self.leads() {
            true => Tensor::from_slice(&bytes),
            false => Tensor::zeros([length], (Kind::Uint8, Device::Cpu)),
        };
        self.broadcast(std::slice::from_ref(&tensor))?;
        Ok(if self.leads() { bytes } else { Vec::try_from(&tensor)? })
    }

    /// The `bytes` of every rank, in their order, for every rank.
    pub(crate) fn gather_bytes(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>, Error> {
        let Some(links) = &self.links else { return Ok(vec![bytes]) };
        let group = lock(&links.cpu);
        let all = |tensor: &Tensor| -> Result<Vec<Tensor>, Error> {
            let gathered: Vec<Tensor> = (0..self.size).map(|_| tensor.zeros_like()).collect();
            group.all_gather(tensor, &gathered)?.wait()?;
            Ok(gathered)
        };
        let lengths = all(&Tensor::from_slice(&[bytes.len() as i64]))?;
        let lengths: Vec<usize> =
            lengths.iter().map(|length| length.int64_value(&[0]) as usize).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0).max(1);
        let mut padded = bytes;
        padded.resize(longest, 0);
        let gathered = all(&Tensor::from_slice(&padded))?;
        let cut = |(tensor, length): (&Tensor, &usize)| -> Result<Vec<u8>, Error> {
            let mut bytes: Vec<u8> = tensor.try_into()?;
            bytes.truncate(*length);
            Ok(bytes)
        };
        gathered.iter().zip(&lengths).map(cut).collect()
    }

    /// The `value` of every rank, in their order, for every rank. `what` it is, for a complaint.
    pub(crate) fn gather<T: Serialize + DeserializeOwned>(
        &self,
        what: &str,
        value: &T,
    ) -> Result<Vec<T>, Error> {
        let own = serde_json::to_vec(value).expect("plain values");
        let read = |bytes: Vec<u8>| {
            serde_json::from_slice(&bytes)
                .map_err(|error| Error::Internal(format!("{what} of a rank: {error}")))
        };
        self.gather_bytes(own)?.into_iter().map(read).collect()
    }

    /// Waits for every rank.
    pub(crate) fn barrier(&self) -> Result<(), Error> {
        match &self.links {
            Some(links) => {
                let work = lock(&links.cpu).barrier()?;
                Ok(work.wait()?)
            }
            None => Ok(()),
        }
    }

    /// What rank 0 says of `what`, to be compared with what this rank would say, which is `own`.
    ///
    /// By the store, not by the group: ranks that differ would send what the others do not expect.
    pub(crate) fn said_by_rank_0(&self, what: &str, own: &str) -> Result<String, Error> {
        let Some(links) = &self.links else { return Ok(own.to_string()) };
        if self.leads() {
            links.store.set(what, own.as_bytes())?;
            return Ok(own.to_string());
        }
        // It may still look at a million files.
        links.store.wait(what, meeting::OPERATION)?;
        Ok(String::from_utf8_lossy(&links.store.get(what)?).into_owned())
    }
}

impl Links {
    fn group_of(&self, tensor: &Tensor) -> Result<MutexGuard<'_, ProcessGroup>, DistributedError> {
        Ok(match &self.gpu {
            Some(group) if tensor.device().is_cuda() => lock(group),
            _ => lock(&self.cpu),
        })
    }
}

/// What a panic left locked is as good as it was: a collective has not changed its group, say.
fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
