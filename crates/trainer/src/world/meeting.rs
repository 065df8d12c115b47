//! From a launcher's word to ranks that are connected.

use std::net::{IpAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tch::Device;
use torch_ext::SumOverProcesses;
use torch_ext::distributed::{
    self, GlooAddress, ProcessGroup, ReduceOperation, Store, StoreAddress, StoreRole, Work,
};

use super::failure::{self, Folder};
use super::heartbeat::Heartbeat;
use super::launch::{Keeper, Launch};
use super::{Links, World};
use crate::{Error, log};

/// How long ranks wait for each other at the start: queues give machines one after the other.
const GATHERING: Duration = Duration::from_secs(600);
/// How long an operation may take. Who is dead is found out within seconds by its heartbeat; this bounds what is alive
/// and goes astray, and has to be longer than rank 0 writes a checkpoint.
const OPERATION: Duration = Duration::from_secs(1800);
/// What names the network card that the others reach this machine at, as for PyTorch.
const INTERFACE: &str = "GLOO_SOCKET_IFNAME";

impl World {
    /// Meets the other ranks, if a launcher says that there are others.
    ///
    /// # Errors
    ///
    /// For a launcher's variable that is missing or absurd, and when the others do not come.
    pub(crate) fn join() -> Result<Self, Error> {
        match Launch::of_this_process()? {
            Some(launch) => Self::meet(&launch),
            None => Ok(Self::single()),
        }
    }

    /// Whether the launcher has started this run before.
    pub(crate) fn restarted(&self) -> bool {
        self.links.as_ref().is_some_and(|links| links.launch.restarted)
    }

    /// Whether the launcher will start the run again when it fails.
    pub(crate) fn may_restart(&self) -> bool {
        self.links.as_ref().is_some_and(|links| links.launch.may_restart)
    }

    /// Meets the ranks that `launch` is one of.
    pub(crate) fn meet(launch: &Launch) -> Result<Self, Error> {
        let &Launch { rank, world_size, local_rank, local_size, .. } = launch;
        if rank > 0 {
            log::follow(rank);
        }
        distributed::say_less();
        share_cores(local_size);
        let device = match tch::Cuda::is_available() {
            true => Device::Cuda(local_rank % tch::Cuda::device_count() as usize),
            false => Device::Cpu,
        };
        let StoreAddress { host, port } = &launch.store;
        let keeper = match launch.keeper {
            Keeper::Launcher => format!("the launcher's store at {host}:{port}"),
            Keeper::Rank0 => {
                format!("rank 0 of {world_size}, which holds the store at {host}:{port},")
            }
        };
        let connect =
            |role| Store::tcp(&launch.store, role, GATHERING)?.with_prefix(&launch.attempt);
        let store = connect(launch.role())?;
        let folder = Folder::default();
        let (run, place) = (folder.clone(), (rank, world_size));
        let over = move |verdict: &str| failure::leave_for(verdict, place, &run);
        // Ahead of the group: from here on nobody waits for somebody who is dead.
        let beats = connect(StoreRole::Client)?;
        let heartbeat = Heartbeat::begin(beats, rank, world_size, keeper, over)?;
        let address = own_address(&launch.store);
        check_address(&store, rank, world_size, &address)?;
        let cpu = Mutex::new(cpu_group(&store, "cpu", launch, &address)?);
        let gpu = device.is_cuda().then(|| -> Result<_, Error> {
            let store = store.with_prefix("gpu")?;
            let group = ProcessGroup::nccl(&store, rank, world_size, device, OPERATION)?;
            Ok(Mutex::new(group))
        });
        let links = Links {
            cpu,
            gpu: gpu.transpose()?,
            store,
            heartbeat,
            folder,
            launch: launch.clone(),
            address: address.clone(),
        };
        tracing::info!(
            "rank {rank} of {world_size} · reached at {} · met at {host}:{port}",
            match &address {
                GlooAddress::HostName => "its host name",
                GlooAddress::Interface(name) | GlooAddress::Address(name) => name,
            }
        );
        Ok(Self { rank, size: world_size, device, links: Some(Arc::new(links)) })
    }
}

impl World {
    /// What adds up the statistics of batch norms; `None` for one rank alone. All ranks call it.
    ///
    /// On CPUs by a group of its own: they must not wait behind a bucket of gradients.
    pub(crate) fn synchronised(&self) -> Result<Option<SumOverProcesses>, Error> {
        let Some(links) = &self.links else { return Ok(None) };
        let own = cpu_group(&links.store, "statistics", &links.launch, &links.address)?;
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
) -> Result<ProcessGroup, Error> {
    let store = store.with_prefix(prefix)?;
    let &Launch { rank, world_size, .. } = launch;
    Ok(ProcessGroup::gloo(&store, rank, world_size, address, OPERATION)?)
}

/// Ranks on one machine share its cores, unless somebody said how many threads each has.
fn share_cores(local_size: Option<usize>) {
    if std::env::var_os("OMP_NUM_THREADS").is_none()
        && let (Some(ranks), Ok(cores)) = (local_size, std::thread::available_parallelism())
    {
        tch::set_num_threads((cores.get() / ranks).max(1) as i32);
    }
}

/// The address at which this machine reaches the store, unless a card is named: the host's name, which is what Gloo would
/// take, is a loopback address on many machines, and nobody else reaches that.
fn own_address(store: &StoreAddress) -> GlooAddress {
    if let Some(name) = std::env::var(INTERFACE).ok().filter(|name| !name.trim().is_empty()) {
        return GlooAddress::Interface(name);
    }
    let towards = |local: &str| -> std::io::Result<IpAddr> {
        // Connecting sends nothing: it chooses a route.
        let socket = UdpSocket::bind((local, 0))?;
        socket.connect((store.host.as_str(), store.port))?;
        Ok(socket.local_addr()?.ip())
    };
    match towards("0.0.0.0").or_else(|_| towards("::")) {
        Ok(address) => GlooAddress::Address(address.to_string()),
        Err(_) => GlooAddress::HostName,
    }
}

/// Refuses addresses that cannot all be reached: some ranks on loopback, others not.
fn check_address(
    store: &Store,
    rank: usize,
    world_size: usize,
    address: &GlooAddress,
) -> Result<(), Error> {
    let text = match address {
        GlooAddress::Address(address) => address.as_str(),
        GlooAddress::HostName | GlooAddress::Interface(_) => "",
    };
    store.set(&format!("address/{rank}"), text.as_bytes())?;
    let loopback = |text: &str| text.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    let mut alone = None;
    let mut reachable = false;
    for other in 0..world_size {
        let said = store.get(&format!("address/{other}"))?;
        let said = String::from_utf8_lossy(&said).into_owned();
        match loopback(&said) {
            true => alone = Some((other, said)),
            false => reachable = true,
        }
    }
    match alone {
        Some((other, address)) if reachable => Err(Error::Usage(format!(
            "rank {other} would be reached at {address}, which only its own machine knows: MASTER_ADDR means that there; \
             give an address that every machine knows, or name each machine's network card in {INTERFACE}"
        ))),
        _ => Ok(()),
    }
}
