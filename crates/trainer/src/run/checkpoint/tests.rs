//! A checkpoint is whole or skipped, whatever happens to the disk and whenever.

mod faulty_disk;

use std::fs;
use std::path::Path;

use tch::{Device, Kind, Tensor};
use tempfile::TempDir;

use super::*;
use crate::recipe::Recipe;
use crate::recipe::Request;
use faulty_disk::{Fault, FaultyDisk};

/// A small one, after `step` steps.
fn checkpoint(step: u64) -> Checkpoint {
    let tensors = |name: &str| {
        let numbers = Tensor::arange(3, (Kind::Float, Device::Cpu)) + step as f64;
        Tensors::from([(name.to_string(), numbers)])
    };
    Checkpoint {
        state: State {
            origin: Origin {
                recipe: Recipe::resolve(&Request::default()).unwrap(),
                data: Fingerprint {
                    name: "synthetic".into(),
                    training: 3,
                    validation: 0,
                    test: 2,
                    sha256: "0".into(),
                },
                ranks: 1,
                arithmetic: Arithmetic {
                    threads: 2,
                    precision: "fp32".into(),
                    device: "Cpu".into(),
                    instruction_set: "Portable".into(),
                    libtorch: "2.13.0".into(),
                },
            },
            step,
            best: Some(Best { epoch: 1, top1: 0.1 + 0.2, value: None }),
            epoch: Sums { images: 7, loss: 1.0 / 3.0, correct: 2 },
            unlogged: Sums::default(),
            skipped: vec![3],
            roll_backs: 0,
            stopping: Some(Watch { best: 0.1 + 0.2, since: 1, ended: 0 }),
            plateau: None,
            learning_rate_factor: 1.0,
        },
        logs: Logs { metrics: 99, events: None, seconds: 0.7 },
        model: tensors("conv1.weight"),
        optimizer: tensors("mean.conv1.weight"),
        average: tensors("conv1.weight"),
    }
}

fn open(folder: &Path, keep: usize) -> Checkpoints {
    Checkpoints::open(RealDisk, folder.to_path_buf(), keep).unwrap()
}

/// A folder with checkpoints after these steps.
fn saved(steps: &[u64]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = open(folder.path(), steps.len().max(2));
    for &step in steps {
        checkpoints.save(&checkpoint(step)).unwrap();
    }
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn newest_step(folder: &Path) -> Option<u64> {
    let found = open(folder, 2).newest().unwrap();
    found.newest.map(|(_, checkpoint)| checkpoint.state.step)
}

#[test]
fn what_was_saved_comes_back_to_the_bit() {
    let folder = saved(&[10]);
    let (place, got) = open(folder.path(), 2).newest().unwrap().newest.unwrap();
    let expected = checkpoint(10);
    assert_eq!(place, folder.path().join("step-000000010"));
    assert_eq!((&got.state, &got.logs), (&expected.state, &expected.logs));
    for (got, expected) in [
        (got.model, expected.model),
        (got.optimizer, expected.optimizer),
        (got.average, expected.average),
    ] {
        assert!(got.keys().eq(expected.keys()));
        assert!(got.values().zip(expected.values()).all(|(got, expected)| got.equal(expected)));
    }
}

#[test]
fn the_newest_are_kept_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = open(folder.path(), 2);
    for step in [1, 2, 3, 4] {
        checkpoints.save(&checkpoint(step)).unwrap();
    }
    assert_eq!(names(folder.path()), ["step-000000003", "step-000000004"]);
    checkpoints.save(&checkpoint(4)).expect("what is there already is there");
    assert_eq!(names(folder.path()).len(), 2);
}

#[test]
fn damaged_ones_do_not_count_and_are_not_removed() {
    let folder = saved(&[1, 2, 3]);
    for step in [2, 3] {
        fs::write(folder.path().join(format!("step-00000000{step}/state.json")), "{}").unwrap();
    }
    let mut checkpoints = open(folder.path(), 2);
    checkpoints.save(&checkpoint(4)).unwrap();
    // Of four, two are good, and these are kept: a count of folders would have removed the good one.
    assert_eq!(
        names(folder.path()),
        ["step-000000001", "step-000000002", "step-000000003", "step-000000004"]
    );
    checkpoints.save(&checkpoint(3)).expect("a good one takes the place of a damaged one");
    let found = open(folder.path(), 2).newest().unwrap();
    assert_eq!(found.newest.unwrap().1.state.step, 4);
    assert!(names(folder.path()).iter().any(|name| name.starts_with("step-000000003.damaged-")));
}

#[test]
fn every_damage_to_any_file_is_seen_and_an_older_one_taken() {
    let folder = saved(&[10, 20]);
    let newest = folder.path().join("step-000000020");
    let mut tried = 0;
    for name in names(&newest) {
        let path = newest.join(name);
        let whole = fs::read(&path).unwrap();
        let mut refused = |damaged: &[u8], what: &str| {
            fs::write(&path, damaged).unwrap();
            let found = open(folder.path(), 2).newest().unwrap();
            assert_eq!(found.newest.unwrap().1.state.step, 10, "{}: {what}", path.display());
            assert_eq!(found.skipped[0].folder, newest);
            tried += 1;
        };
        for length in 0..whole.len() {
            refused(&whole[..length], &format!("cut to {length}"));
        }
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            refused(&damaged, &format!("bit {bit}"));
        }
        refused(&[whole.as_slice(), b"\n"].concat(), "a byte more");
        fs::remove_file(&path).unwrap();
        assert_eq!(newest_step(folder.path()), Some(10));
        fs::write(&path, &whole).unwrap();
        assert_eq!(newest_step(folder.path()), Some(20));
    }
    fs::write(newest.join("more"), "").unwrap();
    assert_eq!(newest_step(folder.path()), Some(10));
    assert!(tried > 10_000, "{tried}");
}

#[test]
fn reasons_are_given_in_words() {
    let folder = saved(&[10, 20]);
    let reason = |name: &str, text: &[u8]| {
        let path = folder.path().join("step-000000020").join(name);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, text).unwrap();
        let reason = open(folder.path(), 2).newest().unwrap().skipped[0].reason.clone();
        fs::write(&path, whole).unwrap();
        reason
    };
    assert_eq!(
        reason("logs.json", b"{}"),
        format!("logs.json has 2 bytes and should have {}", json(&checkpoint(20).logs).len())
    );
    assert_eq!(
        reason("manifest.json", b"{}"),
        "manifest.json does not have the sha256 that manifest.json.sha256 says"
    );
}

#[test]
fn any_call_to_the_disk_may_fail_and_nothing_is_lost() {
    for fault in [Fault::Error, Fault::Full, Fault::HalfWritten, Fault::Crash] {
        let mut call = 0;
        loop {
            let folder = saved(&[10, 20]);
            let disk = FaultyDisk::failing(call, fault);
            let opened = Checkpoints::open(&disk, folder.path().to_path_buf(), 2);
            let outcome = opened.map(|mut checkpoints| checkpoints.save(&checkpoint(30)));
            if !disk.failed() {
                outcome.unwrap().unwrap();
                assert_eq!(names(folder.path()), ["step-000000020", "step-000000030"]);
                break;
            }
            // As a program finds it that starts anew.
            let found = open(folder.path(), 2).newest().unwrap();
            let step = found.newest.expect("a good one").1.state.step;
            let saved = matches!(outcome, Ok(Ok(_)));
            assert!(step == 30 || !saved && step == 20, "{fault:?} of call {call}: {step}");
            let left = names(folder.path());
            let good = left
                .iter()
                .filter(|name| manifest::verified(&RealDisk, &folder.path().join(name)).is_ok());
            assert!(good.count() >= 2, "{fault:?} of call {call}: {left:?}");
            assert!(left.iter().all(|name| !name.ends_with(".tmp")), "{left:?}");
            call += 1;
        }
        assert!(call > 20, "{fault:?}: only {call} calls");
    }
}

#[test]
fn an_error_leaves_no_debris_even_without_a_restart() {
    let folder = saved(&[10, 20]);
    let disk = FaultyDisk::failing(9, Fault::Full);
    let mut checkpoints = Checkpoints::open(&disk, folder.path().to_path_buf(), 2).unwrap();
    let error = checkpoints.save(&checkpoint(30)).unwrap_err().to_string();
    assert!(
        error.starts_with("the disk is full: ") && error.contains(" bytes are missing"),
        "{error}"
    );
    assert_eq!(names(folder.path()), ["step-000000010", "step-000000020"]);
    checkpoints.save(&checkpoint(40)).expect("the disk has room again");
    assert_eq!(names(folder.path()), ["step-000000020", "step-000000040"]);
}

#[test]
fn a_disk_without_room_is_not_written_to() {
    let folder = saved(&[10, 20]);
    let mut disk = FaultyDisk::failing(u64::MAX, Fault::Error);
    disk.free = Some(1000);
    let mut checkpoints = Checkpoints::open(&disk, folder.path().to_path_buf(), 2).unwrap();
    let Err(SaveError::Full { missing, needed, .. }) = checkpoints.save(&checkpoint(30)) else {
        panic!("saved without room");
    };
    assert_eq!(missing, needed - 1000);
    assert_eq!(names(folder.path()), ["step-000000010", "step-000000020"]);
}

#[test]
fn everything_is_on_the_disk_before_its_name_is() {
    let folder = saved(&[10]);
    let disk = FaultyDisk::failing(u64::MAX, Fault::Error);
    let mut checkpoints = Checkpoints::open(&disk, folder.path().to_path_buf(), 2).unwrap();
    checkpoints.save(&checkpoint(20)).unwrap();
    let calls = disk.calls.borrow();
    let of = |name: &str| calls.iter().filter(|call| **call == name).count();
    let rename = calls.iter().position(|call| *call == "rename").unwrap();
    let synced_ahead = calls[..rename].iter().filter(|call| **call == "sync").count();
    assert_eq!(synced_ahead, of("create_file") + 1, "each file and the folder: {calls:?}");
    assert_eq!(calls[rename + 1..rename + 3], ["open", "sync"], "then the folder above");
}

#[test]
fn differences_are_named() {
    let was = checkpoint(1).state.origin;
    let mut now = was.clone();
    assert!(differences(&was, &now).is_empty());
    now.recipe.epochs = 99;
    now.arithmetic.threads = 4;
    assert_eq!(
        differences(&was, &now),
        ["arithmetic.threads: it was 2, now it is 4", "recipe.epochs: it was 10, now it is 99"]
    );
}
