//! The files of `deploy/` do what they say, as far as that can be seen without a cluster.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{SMALL, binary};

/// Starts both ranks as Slurm's does: their numbers in the environment, and no meeting place.
const SRUN: &str = r#"#!/bin/bash
export SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_NODELIST=localhost SLURM_STEP_TASKS_PER_NODE=2
SLURM_PROCID=1 SLURM_LOCALID=1 "$@" & other=$!
SLURM_PROCID=0 SLURM_LOCALID=0 "$@"; code=$?
wait "$other"
exit "$code"
"#;

/// Records its arguments.
const SCONTROL: &str = "#!/bin/bash\necho \"$@\" >>asked\n";

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

fn program(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Submits the job, with `srun` as given: its exit code, and what was asked of `scontrol`.
fn submit(folder: &Path, srun: &str, restarts: &str, arguments: &[&str]) -> (Option<i32>, String) {
    program(folder, "srun", srun);
    program(folder, "scontrol", SCONTROL);
    fs::write(folder.join("asked"), "").unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{}:{path}", folder.display(), binary().parent().unwrap().display());
    // A port of this test's own, as far as that can be.
    let job = format!("77{:04}", std::process::id() % 10_000);
    let output = Command::new("bash")
        .arg(deploy("slurm.sbatch"))
        .args(arguments)
        .current_dir(folder)
        .env("PATH", path)
        .env("XCEPTION_CACHE", folder.join("cache"))
        .envs([("SLURM_JOB_ID", job.as_str()), ("SLURM_CPUS_PER_TASK", "1")])
        .envs([("XCEPTION_RUN", "run"), ("SLURM_RESTART_COUNT", restarts)])
        .output()
        .unwrap();
    let asked = fs::read_to_string(folder.join("asked")).unwrap();
    (output.status.code(), asked.replace(&job, "JOB"))
}

#[test]
fn a_job_trains_resumes_and_knows_when_to_begin_again() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let train =
        ["--data", "synthetic", "--set", "epochs=1", "--set", "batch_size=250", "--set", SMALL];
    assert_eq!(submit(folder, SRUN, "0", &train), (Some(0), String::new()));
    assert!(folder.join("run/rank-1.log").is_file());
    // Begun again, it finds its folder.
    assert_eq!(submit(folder, SRUN, "1", &train), (Some(0), String::new()));
    let environment = fs::read_to_string(folder.join("run/env.json")).unwrap();
    assert!(environment.contains("\"from_step\": 20"), "{environment}");

    let ends = |code: i32, restarts: &str| {
        submit(folder, &format!("#!/bin/bash\nexit {code}\n"), restarts, &[])
    };
    for restarts in 1..=5 {
        // Time limits in between do not count.
        assert_eq!(ends(143, "90"), (Some(143), "requeue JOB\n".to_string()));
        assert_eq!(ends(7, &restarts.to_string()), (Some(7), "requeue JOB\n".to_string()));
    }
    // A rank that was killed counts as well.
    assert_eq!(ends(137, "9"), (Some(137), String::new()));
    fs::remove_file(folder.join("run.failures")).unwrap();
    assert_eq!(ends(137, "9"), (Some(137), "requeue JOB\n".to_string()));
    assert_eq!(ends(2, "0"), (Some(2), String::new()));
}

/// Every `xception` that a file runs is understood.
#[test]
fn what_pods_run_is_understood() {
    let text = fs::read_to_string(deploy("kubernetes.yaml")).unwrap();
    let line = text.lines().find(|line| line.contains("exec xception")).expect("a pod runs it");
    let arguments: Vec<&str> =
        line.trim().split(' ').skip(2).filter(|word| *word != "\"$@\"").collect();
    let folder = TempDir::new().unwrap();
    let ended = super::xception(folder.path(), &arguments);
    assert_eq!(ended.code, Some(3), "only the images are missing: {}", ended.stderr);
    assert!(ended.stderr.contains("folder:/images"), "{}", ended.stderr);
}
