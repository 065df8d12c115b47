//! A rank's number and meeting place, as torchrun, Slurm, Open MPI or a person put them into the environment.

use std::str::FromStr;

use torch_ext::distributed::{StoreAddress, StoreRole};

use crate::ranks::Error;

/// The port at which ranks meet unless another is set; PyTorch's own.
const PORT: u16 = 29500;

/// The most ranks of a run.
const MOST: usize = 65_536;

/// A rank of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Launch {
    /// This rank, from 0.
    pub(crate) rank: usize,
    /// The number of ranks.
    pub(crate) world_size: usize,
    /// This rank among those on its machine, from 0.
    pub(crate) local_rank: usize,
    /// The number of ranks on this machine, where the launcher says so.
    pub(crate) local_size: Option<usize>,
    /// The store at which they meet.
    pub(crate) store: StoreAddress,
    /// The process that holds the store.
    pub(crate) keeper: Keeper,
    /// The prefix that keeps this run apart from others that meet at the same store.
    pub(crate) run: String,
}

/// The process that holds the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// A process of the launcher.
    Launcher,
    /// The first rank.
    Rank0,
}

impl Launch {
    /// Whether this process holds the store or connects to it.
    pub(crate) fn role(&self) -> StoreRole {
        match (self.keeper, self.rank) {
            (Keeper::Rank0, 0) => StoreRole::Host,
            _ => StoreRole::Client,
        }
    }

    /// Reads the environment of this process; `None` for a process on its own.
    ///
    /// # Errors
    ///
    /// A variable that is missing or impossible, by name.
    pub(crate) fn of_this_process() -> Result<Option<Self>, Error> {
        Self::from(&|name| std::env::var(name).ok())
    }

    /// Whether a launcher starts this process, maybe it alone, again when it fails, or has done so.
    ///
    /// # Errors
    ///
    /// A variable that is impossible, by name.
    pub(crate) fn restarts() -> Result<bool, Error> {
        Self::restarts_by(&|name| std::env::var(name).ok())
    }

    fn restarts_by(lookup: &dyn Fn(&str) -> Option<String>) -> Result<bool, Error> {
        let variables = Variables(lookup);
        let count = |name| Ok::<u64, Error>(variables.optional(name)?.unwrap_or(0));
        let by_slurm = variables.has("SLURM_PROCID") && count("SLURM_RESTART_COUNT")? > 0;
        Ok(by_slurm || count("TORCHELASTIC_MAX_RESTARTS")? > 0)
    }

    fn from(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, Error> {
        let variables = Variables(lookup);
        let launch = if variables.has("RANK") || variables.has("WORLD_SIZE") {
            plain(&variables)?
        } else if variables.has("OMPI_COMM_WORLD_SIZE") {
            // Before Slurm: mpirun may use Slurm to start the processes that start its ranks.
            open_mpi(&variables)?
        } else if variables.has("SLURM_PROCID") && variables.has("SLURM_STEP_ID") {
            slurm(&variables)?
        } else {
            None
        };
        Ok(launch)
    }
}

/// Reads torchrun's variables, which Kubernetes' PyTorchJob and people set as well.
fn plain(variables: &Variables<'_>) -> Result<Option<Launch>, Error> {
    let Some((rank, world_size)) = variables.place("RANK", "WORLD_SIZE")? else { return Ok(None) };
    let host = variables.needed("MASTER_ADDR")?;
    let port = variables.needed_port()?;
    let local_rank =
        if variables.has("LOCAL_RANK") { variables.number("LOCAL_RANK")? } else { rank };
    let local_size = variables.count("LOCAL_WORLD_SIZE")?;
    // Then a process of the launcher holds the store, on the first machine.
    let agent_holds = variables.get("TORCHELASTIC_USE_AGENT_STORE").as_deref() == Some("True");
    let run = variables.get("TORCHELASTIC_RUN_ID").unwrap_or_default();
    Ok(Some(Launch {
        rank,
        world_size,
        local_rank,
        local_size,
        store: StoreAddress { host, port },
        keeper: if agent_holds { Keeper::Launcher } else { Keeper::Rank0 },
        run: format!("xception/{run}"),
    }))
}

/// Reads `srun`'s variables. The first node of the list holds the store, at a port that follows from the job's number.
fn slurm(variables: &Variables<'_>) -> Result<Option<Launch>, Error> {
    let size =
        if variables.has("SLURM_STEP_NUM_TASKS") { "SLURM_STEP_NUM_TASKS" } else { "SLURM_NTASKS" };
    let Some((rank, world_size)) = variables.place("SLURM_PROCID", size)? else { return Ok(None) };
    let list = match variables.get("SLURM_STEP_NODELIST") {
        Some(list) => list,
        None => variables.needed("SLURM_JOB_NODELIST")?,
    };
    let job: u64 = variables.number("SLURM_JOB_ID")?;
    let host = match variables.get("MASTER_ADDR") {
        Some(host) => host,
        None => first_node(&list),
    };
    let step = variables.get("SLURM_STEP_ID").unwrap_or_default();
    let port = match variables.port()? {
        Some(port) => port,
        // Two steps of a job may run at the same time.
        None => 15_000 + ((job + step.parse::<u64>().unwrap_or(0)) % 10_000) as u16,
    };
    Ok(Some(Launch {
        rank,
        world_size,
        local_rank: variables.number("SLURM_LOCALID")?,
        // "4(x2),3": four tasks on each of two nodes, three on the next.
        local_size: variables.get("SLURM_STEP_TASKS_PER_NODE").and_then(|tasks| {
            let tasks = tasks.parse().ok().or_else(|| tasks.split_once("(x")?.0.parse().ok());
            tasks.filter(|&tasks: &usize| tasks > 0)
        }),
        store: StoreAddress { host, port },
        keeper: Keeper::Rank0,
        run: format!("xception/{job}.{step}"),
    }))
}

/// Reads `mpirun`'s variables, which do not say where to meet unless all ranks are on one machine.
fn open_mpi(variables: &Variables<'_>) -> Result<Option<Launch>, Error> {
    let place = variables.place("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")?;
    let Some((rank, world_size)) = place else { return Ok(None) };
    let local_size = variables.count("OMPI_COMM_WORLD_LOCAL_SIZE")?;
    let host = match variables.get("MASTER_ADDR") {
        None if local_size == Some(world_size) => "127.0.0.1".to_string(),
        _ => variables.needed("MASTER_ADDR")?,
    };
    Ok(Some(Launch {
        rank,
        world_size,
        local_rank: variables.number("OMPI_COMM_WORLD_LOCAL_RANK")?,
        local_size,
        store: StoreAddress { host, port: variables.port()?.unwrap_or(PORT) },
        keeper: Keeper::Rank0,
        run: "xception".to_string(),
    }))
}

/// Returns the first node of a list: `a1` of `a1`, `a1,b2`, `a[1-4,7]`, and `a01` of `a[01,03],b`.
fn first_node(list: &str) -> String {
    match list.split_once('[') {
        Some((name, rest)) if !name.contains(',') => {
            let number = rest.split([',', '-', ']']).next().unwrap_or_default();
            // A suffix after the bracket belongs to every name.
            let suffix = rest.split_once(']').map_or("", |(_, rest)| rest);
            let suffix = suffix.split(',').next().unwrap_or_default();
            format!("{name}{number}{suffix}")
        }
        _ => list.split(',').next().unwrap_or_default().to_string(),
    }
}

/// The environment, or a test's in its place. An empty variable counts as not set.
struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_string()).filter(|value| !value.is_empty())
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn needed(&self, name: &str) -> Result<String, Error> {
        self.get(name).ok_or_else(|| Error::MissingVariable { name: name.to_string() })
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<T, Error> {
        let value = self.needed(name)?;
        value.parse().map_err(|_| impossible(name, &value, "a whole number in range"))
    }

    fn optional<T: FromStr>(&self, name: &str) -> Result<Option<T>, Error> {
        self.has(name).then(|| self.number(name)).transpose()
    }

    /// Returns a number of ranks, if it is set.
    fn count(&self, name: &str) -> Result<Option<usize>, Error> {
        match self.optional(name)? {
            Some(count) if !(1..=MOST).contains(&count) => {
                Err(impossible(name, &count.to_string(), &format!("1 to {MOST}")))
            }
            count => Ok(count),
        }
    }

    fn port(&self) -> Result<Option<u16>, Error> {
        match self.optional("MASTER_PORT")? {
            Some(0) => Err(impossible("MASTER_PORT", "0", "a port, 1 to 65535")),
            port => Ok(port),
        }
    }

    fn needed_port(&self) -> Result<u16, Error> {
        self.needed("MASTER_PORT")?;
        Ok(self.port()?.expect("it is set"))
    }

    /// Returns the rank and the number of ranks; `None` for one rank.
    fn place(&self, rank: &str, size: &str) -> Result<Option<(usize, usize)>, Error> {
        self.needed(size)?;
        let world_size = self.count(size)?.expect("it is set");
        let number: usize = self.number(rank)?;
        if number >= world_size {
            let expected = format!("below {size}, which is {world_size}");
            return Err(impossible(rank, &number.to_string(), &expected));
        }
        Ok((world_size > 1).then_some((number, world_size)))
    }
}

fn impossible(name: &str, value: &str, expected: &str) -> Error {
    Error::Variable {
        name: name.to_string(),
        value: value.to_string(),
        expected: expected.to_string(),
    }
}

#[cfg(test)]
mod tests;
