//! Every way to go wrong ends in one message that names the cure, and in the exit code that scripts rely on.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::xception;

/// Runs in a fresh folder made by `prepare`; the exit code must be `code` and each of `expected` must be said.
#[track_caller]
fn check_in(prepare: impl Fn(&Path), arguments: &[&str], code: i32, expected: &[&str]) {
    let folder = TempDir::new().unwrap();
    prepare(folder.path());
    let ended = xception(folder.path(), arguments);
    assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
    for words in expected {
        assert!(
            ended.stderr.contains(words),
            "{arguments:?} does not say {words:?}: {}",
            ended.stderr
        );
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

#[track_caller]
fn check(arguments: &[&str], code: i32, expected: &[&str]) {
    check_in(|_| {}, arguments, code, expected);
}

#[test]
fn usage_is_code_2() {
    check(&["trian"], 2, &["unrecognized subcommand 'trian'", "similar", "train"]);
    check(&["train", "--epochs", "3"], 2, &["unexpected argument '--epochs'"]);
    check(
        &["train", "--recipe", "quik"],
        2,
        &["recipe quik: unknown (did you mean 'quick'?); known are quick, notebook"],
    );
    check(&["train", "--set", "schedule.peek=1"], 2, &["recipe quick: unknown field `peek`"]);
    check(&["train", "--preset", "resnet"], 2, &["unknown preset 'resnet'; known are xception"]);
    check(
        &["train", "--data", "imagenet"],
        2,
        &["unknown data set 'imagenet'; known are auto, cifar10[:DIR]"],
    );
    check(
        &["summary", "--preset", "xception", "--input", "5"],
        2,
        &["input of 5 pixels is too small"],
    );
    check(&["bench", "--batch-size", "0"], 2, &["invalid value '0' for '--batch-size"]);
    check(&["bench", "--threads", "0"], 2, &["invalid value '0' for '--threads"]);
    check(&["bench", "--on-request", "3601"], 2, &["expected seconds between 0 and 3600"]);
    check(&["bench", "--on-request", "1", "--json"], 2, &["cannot be used with '--json'"]);
    check(&["eval", "--weights", "."], 2, &["is a folder without last.safetensors"]);
}

#[test]
fn missing_data_is_code_3_and_says_where_it_looked() {
    let expected = [
        "cifar10 was asked for and is in none of",
        "data/cifar-10-batches-bin",
        "cache/cifar-10-batches-bin",
        "cargo xtask fetch cifar10 --from PATH_OR_URL",
        "--data cifar10:DIR",
    ];
    check(&["train", "--data", "cifar10"], 3, &expected);
    check(&["train", "--data", "cifar10:nowhere"], 3, &["nowhere", "data_batch_1.bin"]);
}

#[test]
fn damaged_data_is_code_3_and_names_the_file() {
    let prepare = |folder: &Path| {
        fs::create_dir(folder.join("set")).unwrap();
        fs::write(folder.join("set/data_batch_1.bin"), vec![0; 3073 * 2 + 5]).unwrap();
    };
    check_in(
        prepare,
        &["train", "--data", "cifar10:set"],
        3,
        &["set/data_batch_1.bin", "30730000", "6151"],
    );
    let leftover = |folder: &Path| prepare(folder);
    check_in(
        leftover,
        &["train", "--data", "cifar10:set", "--out", "run"],
        3,
        &["data_batch_1.bin"],
    );
}

/// A weights file of the smallest `cifar` network, altered by `alter`.
fn weights(folder: &Path, alter: impl Fn(&mut Vec<u8>)) {
    use xception::{CifarScale, ModelSpec, Preset, Xception, weights};
    let scale = CifarScale { width: 0.05, middle_modules: 0, ..Default::default() };
    let spec = ModelSpec { scale, ..ModelSpec::new(Preset::Cifar) };
    let store = tch::nn::VarStore::new(tch::Device::Cpu);
    Xception::new(&store.root(), &spec.architecture().unwrap(), 10).unwrap();
    let path = folder.join("w.safetensors");
    weights::write(&path, &weights::snapshot(&store), &Default::default()).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    alter(&mut bytes);
    fs::write(&path, bytes).unwrap();
}

#[test]
fn weights_that_cannot_be_used_are_named() {
    let eval = ["eval", "--weights", "w.safetensors", "--data", "synthetic"];
    let as_xception = [&eval[..], &["--preset", "xception"]].concat();
    check(&eval, 3, &["cannot read w.safetensors: No such file"]);
    check(&["eval", "--weights", "nope"], 3, &["`cargo xtask fetch weights` names the published"]);
    check_in(
        |folder| weights(folder, |_| {}),
        &eval,
        2,
        &["w.safetensors does not say which network it belongs to; add --preset"],
    );
    check_in(
        |folder| weights(folder, |_| {}),
        &as_xception,
        3,
        &["do not fit the model in", "of another shape", "… and"],
    );
    check_in(
        |folder| weights(folder, |bytes| bytes.truncate(1000)),
        &as_xception,
        3,
        &["w.safetensors is not a valid safetensors file: it is cut off"],
    );
    for (text, expected) in [
        (
            "hello",
            "w.safetensors holds no weights (safetensors, PyTorch's .pth or Keras's .h5): it begins with",
        ),
        ("", "it is empty"),
        ("<!DOCTYPE html>\n<html>404</html>", "it is a web page"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "`git lfs pull`"),
    ] {
        let prepare = |folder: &Path| fs::write(folder.join("w.safetensors"), text).unwrap();
        check_in(prepare, &eval, 3, &[expected]);
    }
    let tune =
        ["train", "--recipe", "finetune", "--weights", "w.safetensors", "--data", "synthetic"];
    let expected = ["does not say which network it belongs to", "taken; add --preset"];
    check_in(|folder| weights(folder, |_| {}), &tune, 2, &expected);
}

#[test]
fn images_that_cannot_be_read_are_named() {
    let prepare = |folder: &Path| {
        let golden = crate::golden_file::Golden::open("plain-shared");
        let spec = crate::golden::spec(&golden);
        let tensors = xception::import::import(
            &spec,
            &crate::golden::state_dict(&golden),
            &Default::default(),
        )
        .unwrap();
        xception::weights::write(&folder.join("w.safetensors"), &tensors, &Default::default())
            .unwrap();
        fs::write(folder.join("text.png"), "not an image").unwrap();
        let flat = [("input".to_string(), tch::Tensor::from_slice(&[1.0_f32, 2.0]))].into();
        xception::weights::write(&folder.join("flat.safetensors"), &flat, &Default::default())
            .unwrap();
    };
    let predict =
        |input| ["predict", "--weights", "w.safetensors", "--preset", "plain-shared", input];
    check_in(
        prepare,
        &predict("text.png"),
        3,
        &["text.png cannot be decoded: ", "JPEG, PNG, WebP and BMP are read"],
    );
    check_in(prepare, &predict("absent.png"), 3, &["cannot read absent.png: No such file"]);
    check_in(
        prepare,
        &predict("flat.safetensors"),
        3,
        &["input must be [N, 3, H, W] of float32, is [2] of Float"],
    );
    check_in(prepare, &predict("w.safetensors"), 3, &["it holds no tensor named input"]);
}

#[test]
fn a_loss_that_is_not_finite_is_code_5() {
    let diverge = [
        "train",
        "--data",
        "synthetic",
        "--out",
        "run",
        "--quiet",
        "--preset",
        "plain-shared",
        "--set",
        "schedule.peak=1e30",
        "--set",
        "batch_size=8",
        "--set",
        "schedule.start=1.0",
    ];
    check(
        &diverge,
        5,
        &[
            "the loss became",
            "in epoch 1, step",
            "at learning rate 1.000e30",
            "try a lower learning rate",
        ],
    );
}

#[test]
fn out_of_memory_is_code_6() {
    let bench = [
        "bench",
        "--preset",
        "xception",
        "--batch-size",
        "65536",
        "--input",
        "8192",
        "--precision",
        "fp32",
    ];
    check(
        &bench,
        6,
        &["out of memory (52776558133248 bytes more were requested)", "smaller --batch-size"],
    );
}
