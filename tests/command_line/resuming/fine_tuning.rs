//! A fine-tune that is interrupted in either of its phases, and whose first weights are gone by then.

use super::*;

#[test]
fn a_fine_tune_ends_as_the_straight_one_to_the_bit() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let first = [&RECIPES[0][..4], &["--set", "epochs=1", "--out", "first"], &NETWORK].concat();
    let (code, said) = xception_on_one_thread(folder, &first);
    assert_eq!(code, Some(0), "{said}");

    let tune = |out| {
        let recipe = ["--recipe", "finetune", "--weights", "first", "--data", "synthetic"];
        let brief = ["--set", "epochs=2", "--set", "transfer.frozen_epochs=1"];
        let size = ["--set", "batch_size=125", "--set", "log_every=10", "--out", out];
        [&recipe[..], &brief, &size].concat()
    };
    let (code, said) = xception_on_one_thread(folder, &tune("straight"));
    assert_eq!(code, Some(0), "{said}");

    // Eighty steps an epoch: while the head is trained alone, and while everything is.
    let run = folder.join("run");
    let child = start(folder, &tune("run"));
    let (code, said) = end(child, Signal::Terminate, || step(&run) >= 30);
    assert_eq!(code, Some(143), "{said}");
    assert!(step(&run) < 80, "the first phase was over");
    fs::remove_dir_all(folder.join("first")).unwrap();
    let resume = ["--resume", "run"];
    let child = start(folder, &resume);
    let (code, said) = end(child, Signal::Terminate, || step(&run) >= 110);
    assert_eq!(code, Some(143), "{said}");
    let (code, said) = xception_on_one_thread(folder, &resume);
    assert_eq!(code, Some(0), "{said}");

    let straight = folder.join("straight");
    assert_eq!(metrics(&run), metrics(&straight));
    assert!(last_checkpoint(&run) == last_checkpoint(&straight), "other bits");
    let weights = |run: &Path| fs::read(run.join("last.safetensors")).unwrap();
    assert!(weights(&run) == weights(&straight));
}
