//! The ranks of a run: the processes that train one network together.
//!
//! One rank runs the same code as many. What differs is decided here: collectives return at once for one rank, and
//! [`World::peers`] is the one place where a caller takes another strategy, once, when it is built.

mod address;
mod attendee;
mod error;
mod failure;
mod gradient_sum;
mod heartbeat;
mod join;
mod launch;
mod peers;
mod rendezvous;
mod store_silence;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datasets::Share;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Device, Kind, Tensor};
use torch_ext::distributed::{DistributedError, GlooAddress, ProcessGroup, Store, Work};

pub(crate) use self::error::Error;
pub(crate) use self::failure::Failure;
pub(crate) use self::gradient_sum::Buckets;
pub(crate) use self::peers::Peers;

use self::failure::Exit;
#[cfg(test)]
pub(crate) use self::launch::Keeper;
pub(crate) use self::launch::Launch;

/// The ranks of a run, as one of them sees them.
///
/// Collectives are methods: all ranks call the same ones in the same order. They go through libtorch's c10d: Gloo for
/// tensors on a CPU, NCCL for those on a GPU.
#[derive(Clone)]
pub(crate) struct World {
    rank: usize,
    device: Device,
    restarts: bool,
    /// Absent for one rank.
    links: Option<Arc<Links>>,
}

/// The connections of a rank to the others.
struct Links {
    /// Tensors on CPUs, and everything that is not a tensor.
    cpu: Mutex<ProcessGroup>,
    /// Tensors on GPUs, where the run has them.
    gpu: Option<Mutex<ProcessGroup>>,
    /// The part of the store that belongs to this start of the run alone.
    store: Store,
    exit: Exit,
    launch: Launch,
    /// The address at which the others reach this machine.
    address: GlooAddress,
    /// Whether this is the first rank of its machine, whose terminal a person may watch.
    is_seen: bool,
}

impl World {
    /// This process alone.
    pub(crate) fn single() -> Self {
        let device = Device::cuda_if_available();
        World { rank: 0, device, restarts: false, links: None }
    }

    /// This rank, from 0.
    pub(crate) fn rank(&self) -> usize {
        self.rank
    }

    /// The number of ranks, to be written down or printed. Code that behaves differently for several ranks belongs into
    /// this module, or in what [`World::peers`] returns.
    pub(crate) fn ranks(&self) -> usize {
        self.links.as_ref().map_or(1, |links| links.launch.world_size)
    }

    /// The other ranks; `None` for one rank. For the choice of a strategy, once, at construction.
    pub(crate) fn peers(&self) -> Option<Peers> {
        self.links.clone().map(Peers::new)
    }

    /// The number of ranks that share this machine, as far as the launcher says.
    pub(crate) fn on_this_machine(&self) -> u64 {
        let known = self.links.as_ref().and_then(|links| links.launch.local_size);
        known.unwrap_or(1) as u64
    }

    /// Whether this is the first rank of another machine than rank 0's.
    pub(crate) fn leads_a_machine(&self) -> bool {
        self.rank > 0 && self.links.as_ref().is_some_and(|links| links.is_seen)
    }

    /// Whether this is rank 0, which alone writes files and prints.
    pub(crate) fn leads(&self) -> bool {
        self.rank == 0
    }

    /// Whether a launcher starts this run again when it fails, or has done so.
    pub(crate) fn restarts(&self) -> bool {
        self.restarts
    }

    /// Whether a launcher starts several ranks of this run again, which must then find the same folder.
    pub(crate) fn restarts_together(&self) -> bool {
        self.restarts && self.links.is_some()
    }

    /// The device of this rank.
    pub(crate) fn device(&self) -> Device {
        self.device
    }

    /// Whether steps can be recorded as graphs: a graph cannot hold what ranks exchange on the CPU.
    pub(crate) fn can_record_steps(&self) -> bool {
        self.links.is_none()
    }

    /// The share of every batch that belongs to this rank.
    pub(crate) fn share(&self) -> Share {
        Share { rank: self.rank, world_size: self.ranks() }
    }

    /// The number of images of the rank that has most of `images`.
    pub(crate) fn largest_share(&self, images: usize) -> usize {
        images.div_ceil(self.ranks())
    }

    /// The number of images in a batch of all ranks, of which each has `batch_size`.
    pub(crate) fn global_batch(&self, batch_size: usize) -> usize {
        batch_size * self.ranks()
    }

    /// ` × 4 ranks, NOTE` to follow the size of a batch; nothing for one rank.
    pub(crate) fn times_ranks(&self, note: &str) -> String {
        match &self.links {
            Some(_) => format!(" × {} ranks, {note}", self.ranks()),
            None => String::new(),
        }
    }

    /// Sums `tensor` over all ranks, in place.
    pub(crate) fn sum(&self, tensor: &Tensor) -> Result<(), Error> {
        match self.peers() {
            Some(peers) => Ok(peers.begin_sum(tensor)?.wait()?),
            None => Ok(()),
        }
    }

    /// Copies the tensors of rank 0 into those of every other rank, in place.
    pub(crate) fn broadcast(&self, tensors: &[Tensor]) -> Result<(), Error> {
        let Some(links) = &self.links else { return Ok(()) };
        let begun: Vec<Work> = tch::no_grad(|| {
            let begin = |tensor: &Tensor| links.group_of(tensor)?.broadcast(&tensor.detach(), 0);
            tensors.iter().map(begin).collect::<Result<_, DistributedError>>()
        })?;
        Ok(begun.into_iter().try_for_each(Work::wait)?)
    }

    /// Returns the `bytes` of rank 0 on every rank.
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
        let tensor = if self.leads() {
            Tensor::from_slice(&bytes)
        } else {
            Tensor::zeros([length], (Kind::Uint8, Device::Cpu))
        };
        self.broadcast(std::slice::from_ref(&tensor))?;
        Ok(if self.leads() { bytes } else { Vec::try_from(&tensor)? })
    }

    /// Returns the value of rank 0 on every rank, which `share` sends and receives. Rank 0 keeps its own; one rank alone
    /// sends nothing.
    pub(crate) fn broadcast_value<T, E>(
        &self,
        own: T,
        share: impl FnOnce(&Self, T) -> Result<T, E>,
    ) -> Result<T, E> {
        if self.links.is_some() { share(self, own) } else { Ok(own) }
    }

    /// Returns the `value` of every rank, in their order, on every rank. `what` it is goes into an error.
    pub(crate) fn gather<T: Serialize + DeserializeOwned>(
        &self,
        what: &str,
        value: T,
    ) -> Result<Vec<T>, Error> {
        let Some(links) = &self.links else { return Ok(vec![value]) };
        let own = serde_json::to_vec(&value).expect("plain values");
        let read = |(rank, bytes): (usize, Vec<u8>)| {
            serde_json::from_slice(&bytes).map_err(|reason| Error::Unreadable {
                what: what.to_string(),
                rank,
                reason,
            })
        };
        links.gather_bytes(own)?.into_iter().enumerate().map(read).collect()
    }

    /// The `bytes` of every rank, in the order of ranks, on every rank.
    pub(crate) fn gather_bytes(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>, Error> {
        match &self.links {
            Some(links) => links.gather_bytes(bytes),
            None => Ok(vec![bytes]),
        }
    }

    /// Compares what `bytes` returns on every rank with rank 0's. Returns the first rank that differs. One rank alone does
    /// not call it.
    pub(crate) fn first_that_differs<E: From<Error>>(
        &self,
        bytes: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Option<usize>, E> {
        let Some(links) = &self.links else { return Ok(None) };
        let all = links.gather_bytes(bytes()?)?;
        Ok((1..all.len()).find(|&rank| all[rank] != all[0]))
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

    /// Has this rank's text about `what` compared with rank 0's by `check`, which takes this rank's and then rank 0's. One
    /// rank alone calls neither `own` nor `check`.
    ///
    /// This goes through the store and not through the group: ranks that differ would send what the others do not expect.
    pub(crate) fn check_against_rank_0<E: From<Error>>(
        &self,
        what: &str,
        own: impl FnOnce() -> Result<String, E>,
        check: impl FnOnce(&str, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(links) = &self.links else { return Ok(()) };
        let own = own()?;
        let of_rank_0 = links.text_of_rank_0(self.leads(), what, &own)?;
        check(&own, &of_rank_0)
    }

    /// Returns rank 0's value for `what`, where this rank would choose `own`. Through the store, as
    /// [`World::check_against_rank_0`].
    pub(crate) fn follow_rank_0<T: Serialize + DeserializeOwned>(
        &self,
        what: &str,
        own: T,
    ) -> Result<T, Error> {
        let Some(links) = &self.links else { return Ok(own) };
        let unreadable = |reason| Error::NoAgreement { what: what.to_string(), reason };
        let text = serde_json::to_string(&own).map_err(unreadable)?;
        let text = links.text_of_rank_0(self.leads(), what, &text)?;
        serde_json::from_str(&text).map_err(unreadable)
    }
}

impl Links {
    fn group_of(&self, tensor: &Tensor) -> Result<MutexGuard<'_, ProcessGroup>, DistributedError> {
        Ok(match &self.gpu {
            Some(group) if tensor.device().is_cuda() => lock(group),
            _ => lock(&self.cpu),
        })
    }

    /// The `bytes` of every rank, in their order.
    fn gather_bytes(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>, Error> {
        let group = lock(&self.cpu);
        let all = |tensor: &Tensor| -> Result<Vec<Tensor>, Error> {
            let gathered: Vec<Tensor> =
                (0..self.launch.world_size).map(|_| tensor.zeros_like()).collect();
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

    /// Rank 0's text about `what`, on every rank.
    fn text_of_rank_0(&self, leads: bool, what: &str, own: &str) -> Result<String, Error> {
        if leads {
            self.store.set(what, own.as_bytes())?;
            return Ok(own.to_string());
        }
        // Rank 0 may still be reading a million files.
        self.store.wait(what, join::OPERATION)?;
        Ok(String::from_utf8_lossy(&self.store.get(what)?).into_owned())
    }
}

/// Locks `value`, also after a panic: a collective that failed has not changed its group.
fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
