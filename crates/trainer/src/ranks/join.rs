//! Connects the ranks that a launcher has started.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tch::Device;
use torch_ext::SumOverProcesses;
use torch_ext::distributed::{
    self, DistributedError, GlooAddress, ProcessGroup, ReduceOperation, Store, StoreAddress,
    StoreRole, Work,
};

use super::address::{check_addresses, check_card, check_host, own_address, reach, reached_at};
use super::attendee::Attendee;
use super::failure::{self, Cause, Chain, Exit, Run};
use super::heartbeat;
use super::launch::{Keeper, Launch};
use super::rendezvous::{Meeting, Patience, Rendezvous};
use super::store_silence::Silence;
use super::{Links, World};
use crate::console::log;
use crate::ranks::Error;

/// The time that ranks wait for each other at the start: a queue hands out machines one after the other.
const GATHERING: Duration = Duration::from_secs(600);
/// After this long a store that rank 0 holds is gone, if rank 0 is about to start again because a rank is missing.
const STORE_GOES: Duration = Duration::from_secs(15);
/// The longest time for an operation. The heartbeat detects a dead rank within seconds; this bounds a rank that lives and
/// hangs, and must be longer than rank 0 needs to write a checkpoint.
pub(super) const OPERATION: Duration = Duration::from_secs(1800);
/// The longest time for the machines to connect to each other once all have come.
const CONNECTING: Duration = Duration::from_secs(60);

impl World {
    /// Meets the other ranks, if a launcher has started several and this one is `fit` to train.
    ///
    /// # Errors
    ///
    /// A launcher's variable that is missing or impossible, and other ranks that do not come. An error after that is
    /// told to all of them, and ends the process.
    pub(crate) fn join<E>(fit: Result<(), E>) -> Result<Self, E>
    where
        E: std::error::Error + From<Error>,
    {
        let met = fit.and_then(|()| Ok(Self::join_launched()?));
        met.inspect_err(|error| failure::tell_launcher(&Chain(error).to_string(), Cause::ThisRank))
    }

    fn join_launched() -> Result<Self, Error> {
        match Launch::of_this_process()? {
            Some(launch) => Self::meet(&launch),
            None => Ok(Self { restarts: Launch::restarts()?, ..Self::single() }),
        }
    }

    /// Meets the ranks that `launch` is one of.
    pub(crate) fn meet(launch: &Launch) -> Result<Self, Error> {
        let &Launch { rank, world_size, local_size, .. } = launch;
        if rank > 0 {
            log::follow(rank);
        }
        distributed::say_less();
        share_cores(local_size);
        let StoreAddress { host, port } = &launch.store;
        let at = &format!("{host}:{port}");
        let (keeper, next_round) = match launch.keeper {
            Keeper::Launcher => (format!("the launcher's store at {at}"), GATHERING),
            Keeper::Rank0 => {
                (format!("rank 0 of {world_size}, which holds the store at {at},"), STORE_GOES)
            }
        };
        match launch.role() {
            StoreRole::Host => check_host(&launch.store)?,
            StoreRole::Client => reach(&launch.store, &keeper, GATHERING)?,
        }
        let connect = |role| Store::tcp(&launch.store, role, GATHERING)?.with_prefix(&launch.run);
        let store = connect(launch.role())?;
        // Connected before the meeting, so that the first heartbeat follows it at once.
        let beats = connect(StoreRole::Client)?;
        let address = own_address(&launch.store);
        let place = (rank, world_size);
        let own = Attendee::here(world_size, reached_at(&address));
        let silence = Arc::new(Silence::new());
        watch(Arc::clone(&silence), keeper.clone(), place);
        let patience = Patience { gathering: GATHERING, next_round };
        let rendezvous = Rendezvous {
            store: &store,
            at,
            keeper: &keeper,
            rank,
            world_size,
            patience,
            silence: &silence,
        };
        let met = rendezvous.come_together(&own);
        let begun = met.and_then(|meeting| {
            let stores = [meeting.part_of(&store)?, meeting.part_of(&beats)?];
            Ok((Exit::begin(&meeting, place, stores, keeper)?, meeting))
        });
        silence.end();
        let (exit, meeting) = begun?;
        // Other ranks wait for this one now.
        let connected = Connected::new(launch, &meeting, &address);
        let Connected { device, cpu, gpu } =
            connected.unwrap_or_else(|error| exit.fail(&error.failure()));
        tracing::info!(
            "rank {rank} of {world_size} · reached at {} · met at {at}",
            match &address {
                GlooAddress::HostName => "its host name",
                GlooAddress::Interface(name) | GlooAddress::Address(name) => name,
            }
        );
        let Meeting { store, round, attendees } = meeting;
        warn_of_shared_cores(launch, &attendees);
        let host = |rank: usize| &attendees[rank].host;
        let is_seen = (0..rank).all(|other| host(other) != host(rank));
        let launch = launch.clone();
        let links = Links { cpu, gpu, store, exit, launch, address, is_seen };
        let restarts = round > 1 || Launch::restarts()?;
        Ok(Self { rank, device, restarts, links: Some(Arc::new(links)) })
    }
}

/// Ends the process when the store stops answering before the heartbeat has begun.
fn watch(silence: Arc<Silence>, keeper: String, place: (usize, usize)) {
    heartbeat::spawn("store-watch", move || {
        if let Some(verdict) = silence.wait(&keeper) {
            failure::leave_for(&verdict, place, &Run::default());
        }
    });
}

/// The device of a rank, and its connections to the others.
struct Connected {
    device: Device,
    cpu: Mutex<ProcessGroup>,
    gpu: Option<Mutex<ProcessGroup>>,
}

impl Connected {
    fn new(launch: &Launch, meeting: &Meeting, address: &GlooAddress) -> Result<Self, Error> {
        let &Launch { rank, world_size, local_rank, .. } = launch;
        check_card(address)?;
        check_addresses(&meeting.attendees)?;
        let device = if tch::Cuda::is_available() {
            Device::Cuda(local_rank % tch::Cuda::device_count() as usize)
        } else {
            Device::Cpu
        };
        // Detects a closed port here, and not after the longest time that an operation may take.
        let connecting = cpu_group(&meeting.store, "connecting", launch, address, CONNECTING);
        let connecting = connecting.map_err(closed)?;
        let cpu = Mutex::new(cpu_group(&meeting.store, "cpu", launch, address, OPERATION)?);
        // Not earlier: others may still have been connecting. By now all have come to the second group.
        drop(connecting);
        let gpu = device.is_cuda().then(|| -> Result<_, Error> {
            let store = meeting.store.with_prefix("gpu")?;
            let group = ProcessGroup::nccl(&store, rank, world_size, device, OPERATION)?;
            Ok(Mutex::new(group))
        });
        Ok(Self { device, cpu, gpu: gpu.transpose()? })
    }
}

impl World {
    /// Sums the statistics of batch norms over all ranks; `None` for one rank. All ranks call it.
    ///
    /// On CPUs it has a group of its own: statistics must not wait until a bucket of gradients is sent.
    pub(crate) fn synchronised(&self) -> Result<Option<SumOverProcesses>, Error> {
        let Some(links) = &self.links else { return Ok(None) };
        let (launch, address) = (&links.launch, &links.address);
        let own = cpu_group(&links.store, "statistics", launch, address, OPERATION)?;
        let (own, world) = (Mutex::new(own), self.clone());
        Ok(Some(SumOverProcesses::new(move |tensor| {
            let summed = if tensor.device().is_cuda() {
                world.sum(tensor)
            } else {
                let work = super::lock(&own).all_reduce(tensor, ReduceOperation::Sum);
                work.and_then(Work::wait).map_err(Error::from)
            };
            if let Err(error) = summed {
                // libtorch's backward pass cannot be left with an error.
                world.fail(&error.failure());
            }
        })))
    }
}

fn cpu_group(
    store: &Store,
    prefix: &str,
    launch: &Launch,
    address: &GlooAddress,
    timeout: Duration,
) -> Result<ProcessGroup, Error> {
    let store = store.with_prefix(prefix)?;
    let &Launch { rank, world_size, .. } = launch;
    Ok(ProcessGroup::gloo(&store, rank, world_size, address, timeout)?)
}

/// Explains why machines that have met do not reach each other.
fn closed(error: Error) -> Error {
    match error {
        Error::Distributed(error) => Error::Distributed(DistributedError {
            message: format!(
                "{}; ports between the machines must be open, also those that nobody chose",
                error.message
            ),
            ..error
        }),
        other => other,
    }
}

/// Divides the cores of a machine among its ranks, unless the number of threads is set.
fn share_cores(local_size: Option<usize>) {
    if std::env::var_os("OMP_NUM_THREADS").is_none()
        && let (Some(ranks), Ok(cores)) = (local_size, std::thread::available_parallelism())
    {
        tch::set_num_threads((cores.get() / ranks).max(1) as i32);
    }
}

/// Warns of ranks on one machine that each use all of its cores, because none knows of the others.
fn warn_of_shared_cores(launch: &Launch, attendees: &[Attendee]) {
    let here = attendees.iter().filter(|other| other.host == attendees[launch.rank].host).count();
    if here > 1 && launch.local_size.is_none() && std::env::var_os("OMP_NUM_THREADS").is_none() {
        tracing::warn!(
            "{here} ranks on {} have all of its cores each; say how many share them, LOCAL_WORLD_SIZE={here}, or give \
             each some, OMP_NUM_THREADS=…",
            attendees[launch.rank].host
        );
    }
}
