//! An error while ranks meet, or in one of them alone, is reported by all.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use super::super::SMALL;
use super::super::own_images::write_images;
use super::*;

fn error_file(folder: &Path, rank: usize) -> String {
    let text = fs::read_to_string(folder.join(format!("error-{rank}.json"))).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    document["message"]["message"].as_str().unwrap().to_string()
}

#[test]
fn an_error_while_ranks_meet_reaches_the_others_and_the_launcher() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let port = port();
    let [mut leader, mut other] = [("0", "lo"), ("1", "no-such-card")].map(|(number, card)| {
        let file = folder.join(format!("error-{number}.json")).display().to_string();
        let changes = [("TORCHELASTIC_ERROR_FILE", file.as_str()), ("GLOO_SOCKET_IFNAME", card)];
        rank(folder, number.parse().unwrap(), port, &RUN, &changes)
    });
    let (code, said) = ended_in_time(&mut other);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("GLOO_SOCKET_IFNAME is \"no-such-card\""), "{said}");
    assert!(error_file(folder, 1).contains("no-such-card"), "{}", error_file(folder, 1));
    let (code, said) = ended_in_time(&mut leader);
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("rank 1 of 2") && said.contains("no-such-card"), "{said}");
    assert!(error_file(folder, 0).starts_with("xception: rank 0 of 2 left: rank 1 of 2"));
}

/// As Kubernetes does with a pod: the one that died is missed all the same, and the next start is one of all ranks.
#[test]
fn a_rank_that_is_started_again_alone_does_not_pass_for_the_one_that_died() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let port = port();
    let often = ["--set", "checkpoints.every_minutes=0", "--out", "run"];
    let begins = [RUN.as_slice(), &often].concat();
    let mut leader = rank(folder, 0, port, &begins, &[]);
    let mut gone = rank(folder, 1, port, &begins, &[]);
    wait_for_lines(&folder.join("run"), 2);
    gone.kill().unwrap();
    gone.wait().unwrap();
    let resumes = ["--resume", "run", "--set", "checkpoints.every_minutes=0"];
    let mut again = rank(folder, 1, port, &resumes, &[]);
    let (code, said) = ended_in_time(&mut leader);
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains(&format!("process {}) has given no sign of life", gone.id())), "{said}");
    // The store went with rank 0.
    let (code, said) = ended_in_time(&mut again);
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("rank 1 of 2: meeting the other ranks"), "{said}");
    for number in [0, 1].map(|number| rank(folder, number, port, &resumes, &[])) {
        let (code, _, said) = ended(number);
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn shares_of_broken_images_are_left_out() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    write_images(&folder.join("shapes"), 100);
    for name in ["a", "b", "c"] {
        fs::write(folder.join(format!("shapes/disc/{name}.png")), "not an image").unwrap();
    }
    let input = "input={ side = 32, crop_fraction = 1.0, interpolation = 'bicubic', broken = 'leave-out', workers = 1 }";
    let set = ["epochs=2", "batch_size=1", SMALL, input].map(|set| ["--set", set]).concat();
    train(folder, &[&["--data", "folder:shapes", "--out", "run"][..], &set].concat());
    let results = fs::read_to_string(folder.join("run/results.json")).unwrap();
    let results: Value = serde_json::from_str(&results).unwrap();
    let left_out = &results["left_out"];
    let count = ["train", "test"].map(|set| left_out[set].as_array().unwrap().len());
    assert!(count[0] > 0 && count[0] + count[1] == 3, "{left_out}");
}
