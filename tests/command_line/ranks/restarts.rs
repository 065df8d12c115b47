//! A launcher that starts a run again says what it said the first time.

use tempfile::TempDir;

use super::super::SMALL;
use super::super::own_images::write_images;
use super::*;

/// As torchrun says it to ranks that it would start again.
const RESTARTS: [(&str, &str); 1] = [("TORCHELASTIC_MAX_RESTARTS", "3")];

/// Both ranks to the end; what rank 0 said on stderr.
#[track_caller]
fn train_again(folder: &Path, arguments: &[&str]) -> String {
    let port = port();
    let pair = [0, 1].map(|number| rank(folder, number, port, arguments, &RESTARTS));
    let [(code, _, said), (other, _, said_by_other)] = pair.map(ended);
    assert_eq!((code, other), (Some(0), Some(0)), "{said}{said_by_other}");
    said
}

/// Settings that follow from images and weights are not given again, and a run that has them is the same run.
#[test]
fn runs_on_images_and_from_weights_are_found_by_the_same_command() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    write_images(&folder.join("shapes"), 100);
    let data = ["--data", "folder:shapes"];
    // The recipe has no table for images.
    let set = ["epochs=1", "batch_size=8", SMALL].map(|set| ["--set", set]).concat();
    let first = [&data[..], &set, &["--out", "first"]].concat();
    train_again(folder, &first);
    let said = train_again(folder, &first);
    assert!(said.contains("5 steps, 5 of them done"), "{said}");
    // The weights say what the network is, and lie at a path that is written in full.
    let set = ["epochs=2", "batch_size=8"].map(|set| ["--set", set]).concat();
    let weights = ["--recipe", "finetune", "--weights", "first", "--out", "tuned"];
    let tuned = [&weights[..], &data, &set].concat();
    train_again(folder, &tuned);
    let said = train_again(folder, &tuned);
    assert!(said.contains("10 steps, 10 of them done"), "{said}");
    // Another run it is not.
    let port = port();
    let other = [tuned.as_slice(), &["--set", "seed=5"]].concat();
    let pair = [0, 1].map(|number| rank(folder, number, port, &other, &RESTARTS));
    let [(code, _, said), _] = pair.map(ended);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("seed: it was 0, now it is 5"), "{said}");
}

/// One rank is found, too: a job of one process that was put into the queue again.
#[test]
fn so_is_a_run_of_one_rank() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let set = ["epochs=1", "batch_size=500", SMALL].map(|set| ["--set", set]).concat();
    let arguments = [&["--data", "synthetic", "--out", "run"][..], &set].concat();
    let start = |restarts: &str| {
        let child = train_on_one_thread(folder, &arguments)
            .envs([("SLURM_PROCID", "0"), ("SLURM_STEP_ID", "0"), ("SLURM_STEP_NUM_TASKS", "1")])
            .env("SLURM_RESTART_COUNT", restarts)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        ended(child.unwrap())
    };
    let (code, _, said) = start("0");
    assert_eq!(code, Some(0), "{said}");
    let (code, _, said) = start("0");
    assert_eq!(code, Some(2), "not started again: {said}");
    let (code, _, said) = start("1");
    assert!(code == Some(0) && said.contains("20 steps, 20 of them done"), "{said}");
}
