//! Every launcher's variables, whole and broken.

use super::*;

fn launch(variables: &[(&str, &str)]) -> Result<Option<Launch>, String> {
    let lookup = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.to_string())
    };
    Launch::from(&lookup).map_err(|error| {
        assert_eq!(error.exit_code(), crate::exit_code::ExitCode::Usage);
        error.to_string()
    })
}

fn restarts(variables: &[(&str, &str)]) -> bool {
    Launch::restarts_by(&|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.to_string())
    })
    .unwrap()
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
    let kept = TORCHRUN.iter().filter(|(name, _)| changes.iter().all(|(other, _)| other != name));
    kept.chain(changes).copied().collect()
}

#[test]
fn nothing_said_is_one_process_and_so_is_one_rank() {
    assert_eq!(launch(&[]), Ok(None));
    assert_eq!(launch(&[("RANK", "0"), ("WORLD_SIZE", "1")]), Ok(None));
    let slurm = [("SLURM_PROCID", "0"), ("SLURM_STEP_ID", "3"), ("SLURM_NTASKS", "1")];
    assert_eq!(launch(&slurm), Ok(None));
    assert!(restarts(&[slurm[0], slurm[1], ("SLURM_RESTART_COUNT", "1")]));
    assert!(!restarts(&[slurm[0], slurm[1], ("SLURM_RESTART_COUNT", "0")]));
    // An allocation's shell, in which nothing was started by srun.
    assert_eq!(launch(&[("SLURM_NTASKS", "8"), ("SLURM_PROCID", "0")]), Ok(None));
}

#[test]
fn torchrun_holds_the_store_or_rank_0_does() {
    let alone = launch(&TORCHRUN).unwrap().unwrap();
    assert_eq!((alone.rank, alone.world_size, alone.local_size), (0, 4, Some(2)));
    assert_eq!(alone.store, StoreAddress { host: "head".to_string(), port: 1234 });
    assert_eq!(alone.role(), StoreRole::Host);
    assert!(!restarts(&TORCHRUN));
    let elastic = torchrun(&[
        ("TORCHELASTIC_USE_AGENT_STORE", "True"),
        ("TORCHELASTIC_MAX_RESTARTS", "3"),
        ("TORCHELASTIC_RUN_ID", "night"),
    ]);
    assert!(restarts(&elastic));
    let elastic = launch(&elastic).unwrap().unwrap();
    assert_eq!(elastic.role(), StoreRole::Client);
    assert_eq!(elastic.run, "xception/night");
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
    refused(&[("WORLD_SIZE", "0")], "WORLD_SIZE is \"0\", expected 1 to 65536");
    refused(&[("RANK", "4")], "RANK is \"4\", expected below WORLD_SIZE, which is 4");
    refused(&[("RANK", "-1")], "RANK is \"-1\", expected a whole number");
    refused(&[("MASTER_PORT", "65536")], "MASTER_PORT is \"65536\", expected a whole number");
    refused(&[("WORLD_SIZE", "1000000000000")], "WORLD_SIZE is \"1000000000000\", expected 1 to");
    refused(&[("LOCAL_WORLD_SIZE", "0")], "LOCAL_WORLD_SIZE is \"0\", expected 1 to 65536");
    refused(&[("MASTER_PORT", "0")], "MASTER_PORT is \"0\", expected a port");
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
    assert_eq!((rank.local_size, rank.run.as_str()), (Some(4), "xception/1234567.0"));
    // Another step of the job, at the same time; and mpirun, whose own processes srun started.
    variables[1].1 = "3";
    let other = launch(&variables).unwrap().unwrap();
    assert_eq!((other.store.port, other.run.as_str()), (19_570, "xception/1234567.3"));
    let mpirun = [
        ("OMPI_COMM_WORLD_RANK", "1"),
        ("OMPI_COMM_WORLD_SIZE", "2"),
        ("OMPI_COMM_WORLD_LOCAL_RANK", "0"),
        ("OMPI_COMM_WORLD_LOCAL_SIZE", "1"),
        ("MASTER_ADDR", "head"),
    ];
    let by_mpirun = launch(&[variables.as_slice(), &mpirun].concat()).unwrap().unwrap();
    assert_eq!((by_mpirun.rank, by_mpirun.world_size), (1, 2));
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
