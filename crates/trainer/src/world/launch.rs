//! How a rank learns who it is: from what torchrun, Slurm, Open MPI or a person put into the environment.

use std::str::FromStr;

use torch_ext::distributed::{StoreAddress, StoreRole};

use crate::Error;

/// Where ranks meet unless something else is said; PyTorch's own.
const PORT: u16 = 29500;

/// A rank of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Launch {
    /// Who this is, from 0.
    pub(crate) rank: usize,
    /// How many there are.
    pub(crate) world_size: usize,
    /// Which of those on this machine, from 0.
    pub(crate) local_rank: usize,
    /// How many of them are on this machine, where the launcher says so.
    pub(crate) local_size: Option<usize>,
    /// Where they meet.
    pub(crate) store: StoreAddress,
    /// Who holds the store.
    pub(crate) keeper: Keeper,
    /// What keeps this start apart from others that meet at the same store.
    pub(crate) attempt: String,
    /// Whether the launcher has started this run before.
    pub(crate) restarted: bool,
    /// Whether the launcher will start it again when it fails.
    pub(crate) may_restart: bool,
}

/// Who holds the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// A process of the launcher's.
    Launcher,
    /// The first rank.
    Rank0,
}

impl Launch {
    /// What this process is to the store.
    pub(crate) fn role(&self) -> StoreRole {
        match (self.keeper, self.rank) {
            (Keeper::Rank0, 0) => StoreRole::Host,
            _ => StoreRole::Client,
        }
    }

    /// What this process's environment says; `None` for a process on its own.
    ///
    /// # Errors
    ///
    /// Names the variable that is missing, or that cannot be meant.
    pub(crate) fn of_this_process() -> Result<Option<Self>, Error> {
        Self::from(&|name| std::env::var(name).ok())
    }

    fn from(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, Error> {
        let variables = Variables(lookup);
        let launch = if variables.has("RANK") || variables.has("WORLD_SIZE") {
            plain(&variables)?
        } else if variables.has("SLURM_PROCID") && variables.has("SLURM_STEP_ID") {
            slurm(&variables)?
        } else if variables.has("OMPI_COMM_WORLD_SIZE") {
            open_mpi(&variables)?
        } else {
            None
        };
        Ok(launch)
    }
}

/// torchrun's variables, which Kubernetes' PyTorchJob and people use as well.
fn plain(variables: &Variables<'_>) -> Result<Option<Launch>, Error> {
    let Some((rank, world_size)) = variables.place("RANK", "WORLD_SIZE")? else { return Ok(None) };
    let host = variables.needed("MASTER_ADDR")?;
    let port: u16 = variables.number("MASTER_PORT")?;
    let local_rank = match variables.has("LOCAL_RANK") {
        true => variables.number("LOCAL_RANK")?,
        false => rank,
    };
    let local_size = variables.optional("LOCAL_WORLD_SIZE")?;
    // There the launcher's own process holds the store, on the first machine.
    let agent_holds = variables.get("TORCHELASTIC_USE_AGENT_STORE").as_deref() == Some("True");
    let restarts: u64 = variables.optional("TORCHELASTIC_RESTART_COUNT")?.unwrap_or(0);
    let most: u64 = variables.optional("TORCHELASTIC_MAX_RESTARTS")?.unwrap_or(0);
    let run = variables.get("TORCHELASTIC_RUN_ID").unwrap_or_default();
    Ok(Some(Launch {
        rank,
        world_size,
        local_rank,
        local_size,
        store: StoreAddress { host, port },
        keeper: if agent_holds { Keeper::Launcher } else { Keeper::Rank0 },
        attempt: format!("xception/{run}/{restarts}"),
        restarted: restarts > 0,
        may_restart: most > 0,
    }))
}

/// `srun`'s variables. The first node of the list holds the store, at a port that follows from the job's number.
fn slurm(variables: &Variables<'_>) -> Result<Option<Launch>, Error> {
    let size = match variables.has("SLURM_STEP_NUM_TASKS") {
        true => "SLURM_STEP_NUM_TASKS",
        false => "SLURM_NTASKS",
    };
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
    let port = match variables.optional("MASTER_PORT")? {
        Some(port) => port,
        None => 15_000 + (job % 10_000) as u16,
    };
    let restarts: u64 = variables.optional("SLURM_RESTART_COUNT")?.unwrap_or(0);
    Ok(Some(Launch {
        rank,
        world_size,
        local_rank: variables.number("SLURM_LOCALID")?,
        // "4(x2),3": so many tasks on each node.
        local_size: variables.get("SLURM_STEP_TASKS_PER_NODE").and_then(|tasks| {
            tasks.parse().ok().or_else(|| tasks.split_once("(x")?.0.parse().ok())
        }),
        store: StoreAddress { host, port },
        keeper: Keeper::Rank0,
        attempt: format!("xception/{job}/{restarts}"),
        restarted: restarts > 0,
        may_restart: false,
    }))
}

/// `mpirun`'s variables, which do not say where to meet unless all are on one machine.
fn open_mpi(variables: &Variables<'_>) -> Result<Option<Launch>, Error> {
    let place = variables.place("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")?;
    let Some((rank, world_size)) = place else { return Ok(None) };
    let local_size: usize = variables.number("OMPI_COMM_WORLD_LOCAL_SIZE")?;
    let host = match variables.get("MASTER_ADDR") {
        None if local_size == world_size => "127.0.0.1".to_string(),
        _ => variables.needed("MASTER_ADDR")?,
    };
    Ok(Some(Launch {
        rank,
        world_size,
        local_rank: variables.number("OMPI_COMM_WORLD_LOCAL_RANK")?,
        local_size: Some(local_size),
        store: StoreAddress { host, port: variables.optional("MASTER_PORT")?.unwrap_or(PORT) },
        keeper: Keeper::Rank0,
        attempt: "xception".to_string(),
        restarted: false,
        may_restart: false,
    }))
}

/// `a1` of `a1`, `a1,b2`, `a[1-4,7]` and `a[01,03],b`.
fn first_node(list: &str) -> String {
    match list.split_once('[') {
        Some((name, rest)) if !name.contains(',') => {
            let number = rest.split([',', '-', ']']).next().unwrap_or_default();
            // A suffix behind the bracket belongs to every name.
            let suffix = rest.split_once(']').map_or("", |(_, rest)| rest);
            let suffix = suffix.split(',').next().unwrap_or_default();
            format!("{name}{number}{suffix}")
        }
        _ => list.split(',').next().unwrap_or_default().to_string(),
    }
}

/// The environment, or what a test has in its place. Empty counts as not set.
struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_string()).filter(|value| !value.is_empty())
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn needed(&self, name: &str) -> Result<String, Error> {
        self.get(name).ok_or_else(|| {
            Error::Usage(format!(
                "environment variable {name} expected, but not set; a launcher such as torchrun sets it, and without one \
                 it has to be there for every rank (docs/distributed.md)"
            ))
        })
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<T, Error> {
        let value = self.needed(name)?;
        value.parse().map_err(|_| absurd(name, &value, "a whole number in range"))
    }

    fn optional<T: FromStr>(&self, name: &str) -> Result<Option<T>, Error> {
        self.has(name).then(|| self.number(name)).transpose()
    }

    /// Rank and number of ranks; `None` for one alone.
    fn place(&self, rank: &str, size: &str) -> Result<Option<(usize, usize)>, Error> {
        let world_size: usize = self.number(size)?;
        let number: usize = self.number(rank)?;
        if world_size == 0 {
            return Err(absurd(size, "0", "at least 1"));
        }
        if number >= world_size {
            let expected = format!("below {size}, which is {world_size}");
            return Err(absurd(rank, &number.to_string(), &expected));
        }
        Ok((world_size > 1).then_some((number, world_size)))
    }
}

fn absurd(name: &str, value: &str, expected: &str) -> Error {
    Error::Usage(format!("environment variable {name} is {value:?}, expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(variables: &[(&str, &str)]) -> Result<Option<Launch>, String> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.to_string())
        };
        Launch::from(&lookup).map_err(|error| {
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        })
    }

    const TORCHRUN: [(&str, &str); 6] = [
        ("RANK", "0"),
        ("WORLD_SIZE", "4"),
        ("LOCAL_RANK", "0"),
        ("LOCAL_WORLD_SIZE", "2"),
        ("MASTER_ADDR", "head"),
        ("MASTER_PORT", "1234"),
    ];

    /// `TORCHRUN` with changes.
    fn torchrun<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let kept =
            TORCHRUN.iter().filter(|(name, _)| changes.iter().all(|(other, _)| other != name));
        kept.chain(changes).copied().collect()
    }

    #[test]
    fn nothing_said_is_one_process_and_so_is_one_rank() {
        assert_eq!(launch(&[]), Ok(None));
        assert_eq!(launch(&[("RANK", "0"), ("WORLD_SIZE", "1")]), Ok(None));
        let slurm = [("SLURM_PROCID", "0"), ("SLURM_STEP_ID", "3"), ("SLURM_NTASKS", "1")];
        assert_eq!(launch(&slurm), Ok(None));
        // An allocation's shell, in which nothing was started by srun.
        assert_eq!(launch(&[("SLURM_NTASKS", "8"), ("SLURM_PROCID", "0")]), Ok(None));
    }

    #[test]
    fn torchrun_holds_the_store_or_rank_0_does() {
        let alone = launch(&TORCHRUN).unwrap().unwrap();
        assert_eq!((alone.rank, alone.world_size, alone.local_size), (0, 4, Some(2)));
        assert_eq!(alone.store, StoreAddress { host: "head".to_string(), port: 1234 });
        assert_eq!(alone.role(), StoreRole::Host);
        assert!(!alone.restarted && !alone.may_restart);
        let elastic = torchrun(&[
            ("TORCHELASTIC_USE_AGENT_STORE", "True"),
            ("TORCHELASTIC_RESTART_COUNT", "1"),
            ("TORCHELASTIC_MAX_RESTARTS", "3"),
            ("TORCHELASTIC_RUN_ID", "night"),
        ]);
        let elastic = launch(&elastic).unwrap().unwrap();
        assert_eq!(elastic.role(), StoreRole::Client);
        assert_eq!(elastic.attempt, "xception/night/1");
        assert!(elastic.restarted && elastic.may_restart);
        assert_eq!(launch(&torchrun(&[("RANK", "3")])).unwrap().unwrap().role(), StoreRole::Client);
    }

    #[test]
    fn what_is_missing_or_absurd_is_named() {
        let refused = |changes: &[(&str, &str)], expected: &str| {
            let message = launch(&torchrun(changes)).unwrap_err();
            assert!(message.starts_with(&format!("environment variable {expected}")), "{message}");
        };
        refused(&[("MASTER_ADDR", "")], "MASTER_ADDR expected, but not set");
        refused(&[("MASTER_PORT", "")], "MASTER_PORT expected, but not set");
        refused(&[("RANK", "")], "RANK expected, but not set");
        refused(&[("WORLD_SIZE", " ")], "WORLD_SIZE expected, but not set");
        refused(&[("WORLD_SIZE", "0")], "WORLD_SIZE is \"0\", expected at least 1");
        refused(&[("RANK", "4")], "RANK is \"4\", expected below WORLD_SIZE, which is 4");
        refused(&[("RANK", "-1")], "RANK is \"-1\", expected a whole number");
        refused(&[("MASTER_PORT", "65536")], "MASTER_PORT is \"65536\", expected a whole number");
        refused(&[("LOCAL_RANK", "first")], "LOCAL_RANK is \"first\"");
    }

    #[test]
    fn slurm_meets_at_the_first_node() {
        let mut variables = vec![
            ("SLURM_PROCID", "5"),
            ("SLURM_STEP_ID", "0"),
            ("SLURM_STEP_NUM_TASKS", "8"),
            ("SLURM_LOCALID", "1"),
            ("SLURM_JOB_ID", "1234567"),
            ("SLURM_STEP_TASKS_PER_NODE", "4(x2)"),
            ("SLURM_JOB_NODELIST", "gpu[07-08]"),
        ];
        let rank = launch(&variables).unwrap().unwrap();
        assert_eq!((rank.rank, rank.world_size, rank.local_rank), (5, 8, 1));
        assert_eq!(rank.store, StoreAddress { host: "gpu07".to_string(), port: 19_567 });
        assert_eq!((rank.local_size, rank.attempt.as_str()), (Some(4), "xception/1234567/0"));
        variables.retain(|(name, _)| *name != "SLURM_JOB_ID");
        assert!(launch(&variables).unwrap_err().contains("SLURM_JOB_ID"));
    }

    #[test]
    fn lists_of_nodes_begin_with_their_first() {
        for (list, first) in [
            ("a1", "a1"),
            ("a1,b2", "a1"),
            ("a[1-4,7]", "a1"),
            ("n[01,03],m", "n01"),
            ("a[2-3].cluster", "a2.cluster"),
            ("b,a[1-2]", "b"),
        ] {
            assert_eq!(first_node(list), first);
        }
    }

    #[test]
    fn open_mpi_needs_an_address_across_machines() {
        let mut variables = vec![
            ("OMPI_COMM_WORLD_RANK", "1"),
            ("OMPI_COMM_WORLD_SIZE", "2"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
        ];
        let rank = launch(&variables).unwrap().unwrap();
        assert_eq!(rank.store, StoreAddress { host: "127.0.0.1".to_string(), port: 29500 });
        variables[3].1 = "1";
        assert!(launch(&variables).unwrap_err().contains("MASTER_ADDR"));
    }
}
