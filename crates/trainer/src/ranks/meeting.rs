//! From a launcher's word to ranks that are connected.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tch::Device;
use torch_ext::SumOverProcesses;
use torch_ext::distributed::{
    self, DistributedError, GlooAddress, ProcessGroup, ReduceOperation, Store, StoreAddress,
    StoreRole, Work,
};

use super::address::{check_addresses, check_card, check_host, own_address, reach, reached_at};
use super::failure::{self, Cause, Chain, Exit, Run};
use super::heartbeat;
use super::launch::{Keeper, Launch};
use super::rendezvous::{Attendee, Meeting, Patience, Rendezvous};
use super::silence::Silence;
use super::{Links, World};
use crate::Error;
use crate::console::log;

/// How long ranks wait for each other at the start: queues give machines one after the other.
const GATHERING: Duration = Duration::from_secs(600);
/// After so long a store that rank 0 holds is gone if rank 0 is about to start again: the others have missed somebody.
const STORE_GOES: Duration = Duration::from_secs(15);
/// How long an operation may take. Who is dead is found out within seconds by its heartbeat; this bounds what is alive
/// and goes astray, and has to be longer than rank 0 writes a checkpoint.
pub(super) const OPERATION: Duration = Duration::from_secs(1800);
/// How long the machines may take to connect to each other once all are there.
const CONNECTING: Duration = Duration::from_secs(60);

impl World {
    /// Meets the other ranks, if a launcher says that there are others and this one is `fit` to come.
    ///
    /// # Errors
    ///
    /// For a launcher's variable that is missing or absurd, and when the others do not come. What goes wrong after that is
    /// told to all of them, and ends the process.
    pub(crate) fn join(fit: Result<(), Error>) -> Result<Self, Error> {
        let met = fit.and_then(|()| Launch::of_this_process()).and_then(|launch| match launch {
            Some(launch) => Self::meet(&launch),
            None => Ok(Self { restarts: Launch::restarts()?, ..Self::single() }),
        });
        met.inspect_err(|error| failure::tell_launcher(&Chain(error).to_string(), Cause::ThisRank))
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
        // Ahead of the meeting, so that the first sign of life follows it at once.
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
        // Somebody waits for this rank now.
        let connected = Connected::new(launch, &meeting, &address);
        let Connected { device, cpu, gpu } = connected.unwrap_or_else(|error| exit.fail(&error));
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
        Ok(Self { rank, size: world_size, device, restarts, links: Some(Arc::new(links)) })
    }
}

/// Ends the process when the store falls silent ahead of the heartbeat.
fn watch(silence: Arc<Silence>, keeper: String, place: (usize, usize)) {
    heartbeat::spawn("store-watch", move || {
        if let Some(verdict) = silence.wait(&keeper) {
            failure::leave_for(&verdict, place, &Run::default());
        }
    });
}

/// What a rank computes on, and by what it reaches the others.
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
        let device = match tch::Cuda::is_available() {
            true => Device::Cuda(local_rank % tch::Cuda::device_count() as usize),
            false => Device::Cpu,
        };
        // A port that is not open is found out here, and not by waiting for as long as an operation may take.
        let connecting = cpu_group(&meeting.store, "connecting", launch, address, CONNECTING);
        let connecting = connecting.map_err(closed)?;
        let cpu = Mutex::new(cpu_group(&meeting.store, "cpu", launch, address, OPERATION)?);
        // Not earlier: the others may still have been connecting, and all have come to the second group now.
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
    /// What adds up the statistics of batch norms; `None` for one rank alone. All ranks call it.
    ///
    /// On CPUs by a group of its own: they must not wait behind a bucket of gradients.
    pub(crate) fn synchronised(&self) -> Result<Option<SumOverProcesses>, Error> {
        let Some(links) = &self.links else { return Ok(None) };
        let (launch, address) = (&links.launch, &links.address);
        let own = cpu_group(&links.store, "statistics", launch, address, OPERATION)?;
        let (own, world) = (Mutex::new(own), self.clone());
        Ok(Some(SumOverProcesses::new(move |tensor| {
            let summed = match tensor.device().is_cuda() {
                true => world.sum(tensor),
                false => {
                    let work = super::lock(&own).all_reduce(tensor, ReduceOperation::Sum);
                    work.and_then(Work::wait).map_err(Error::from)
                }
            };
            if let Err(error) = summed {
                // In the middle of libtorch's backward pass, which knows no way out.
                world.fail(&error);
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

/// What it means when machines that have met do not reach each other.
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

/// Ranks on one machine share its cores, unless somebody said how many threads each has.
fn share_cores(local_size: Option<usize>) {
    if std::env::var_os("OMP_NUM_THREADS").is_none()
        && let (Some(ranks), Ok(cores)) = (local_size, std::thread::available_parallelism())
    {
        tch::set_num_threads((cores.get() / ranks).max(1) as i32);
    }
}

/// Ranks that do not know of each other take all cores each, and stand in each other's way.
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
