//! Every way to go wrong ends in one message that names the cure, and in the exit code that scripts rely on.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::{binary, xception};

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

/// One test for each command line that ends with exit code 2.
macro_rules! usage_errors {
    ($($name:ident: $arguments:expr => $expected:expr;)*) => {$(
        #[test]
        fn $name() {
            check(&$arguments, 2, &$expected);
        }
    )*};
}

usage_errors! {
    an_unknown_command: ["trian"] => ["unrecognized subcommand 'trian'", "similar", "train"];
    an_unknown_flag: ["train", "--epoch", "3"] => ["unexpected argument '--epoch'"];
    an_unknown_recipe: ["train", "--recipe", "quik"]
        => ["recipe quik: unknown (did you mean 'quick'?); known are quick, notebook"];
    an_unknown_key: ["train", "--set", "schedule.peek=1"] => ["recipe quick: unknown field `peek`"];
    an_unknown_preset: ["train", "--preset", "resnet"] => ["unknown preset 'resnet'; known are xception"];
    an_unknown_data_set: ["train", "--data", "imagenet"]
        => ["unknown data set 'imagenet'; known are auto, cifar10[:DIR]"];
    an_input_that_is_too_small: ["summary", "--preset", "xception", "--input", "5"]
        => ["input of 5 pixels is too small"];
    an_empty_batch: ["bench", "--batch-size", "0"] => ["invalid value '0' for '--batch-size"];
    no_threads: ["bench", "--threads", "0"] => ["invalid value '0' for '--threads"];
    a_round_of_more_than_an_hour: ["bench", "--on-request", "3601"] => ["expected seconds between 0 and 3600"];
    rounds_as_one_document: ["bench", "--on-request", "1", "--json"] => ["cannot be used with '--json'"];
    a_folder_without_weights: ["eval", "--weights", "."] => ["is a folder without last.safetensors"];
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
    Xception::new(store.root(), &spec.architecture().unwrap(), 10).unwrap();
    let path = folder.join("w.safetensors");
    weights::write(&path, &weights::snapshot(&store), &Default::default()).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    alter(&mut bytes);
    fs::write(&path, bytes).unwrap();
}

const EVAL: [&str; 5] = ["eval", "--weights", "w.safetensors", "--data", "synthetic"];
const EVAL_AS_XCEPTION: [&str; 7] =
    ["eval", "--weights", "w.safetensors", "--data", "synthetic", "--preset", "xception"];

#[test]
fn weights_that_are_not_there_are_named() {
    check(&EVAL, 3, &["cannot read w.safetensors: No such file"]);
    check(&["eval", "--weights", ""], 2, &["the name of the weights is empty; give a file"]);
    check(&["eval", "--weights", "nope"], 3, &["`cargo xtask fetch weights` names the published"]);
}

#[test]
fn weights_of_an_unknown_network_need_a_preset() {
    let expected = ["w.safetensors does not say which network it belongs to; add --preset"];
    check_in(|folder| weights(folder, |_| {}), &EVAL, 2, &expected);
}

#[test]
fn fine_tuning_weights_of_an_unknown_network_needs_a_preset() {
    let tune =
        ["train", "--recipe", "finetune", "--weights", "w.safetensors", "--data", "synthetic"];
    let expected =
        ["does not say which network it belongs to", "if it is another network, add --preset"];
    check_in(|folder| weights(folder, |_| {}), &tune, 2, &expected);
}

#[test]
fn weights_of_another_network_do_not_fit() {
    let expected = ["do not fit the model in", "of another shape", "… and"];
    check_in(|folder| weights(folder, |_| {}), &EVAL_AS_XCEPTION, 3, &expected);
}

#[test]
fn weights_that_are_cut_off_are_named() {
    let expected = ["w.safetensors is not a valid safetensors file: it is cut off"];
    let prepare = |folder: &Path| weights(folder, |bytes| bytes.truncate(1000));
    check_in(prepare, &EVAL_AS_XCEPTION, 3, &expected);
}

/// One test for each file that holds no weights.
macro_rules! no_weights {
    ($($name:ident: $text:expr => $expected:expr;)*) => {$(
        #[test]
        fn $name() {
            let prepare = |folder: &Path| fs::write(folder.join("w.safetensors"), $text).unwrap();
            check_in(prepare, &EVAL, 3, &[$expected]);
        }
    )*};
}

no_weights! {
    a_text: "hello"
        => "w.safetensors holds no weights (safetensors, PyTorch's .pth, Keras's .keras or .h5): it begins with";
    an_empty_file: "" => "it is empty";
    a_web_page: "<!DOCTYPE html>\n<html>404</html>" => "it is a web page";
    a_pointer_of_git_lfs: "version https://git-lfs.github.com/spec/v1\noid sha256:1\n" => "`git lfs pull`";
}

/// Predicts for `input` beside usable weights, a text that is called an image, and a tensor without four dimensions.
#[track_caller]
fn check_input(input: &str, expected: &[&str]) {
    let prepare = |folder: &Path| {
        let golden = crate::golden_file::Golden::open("plain-shared");
        let spec = crate::golden::spec(&golden);
        let contents = crate::golden::contents(&golden);
        let tensors =
            xception::import::import(&spec, &contents, &Default::default()).unwrap().tensors;
        let flat = [("input".to_string(), tch::Tensor::from_slice(&[1.0_f32, 2.0]))].into();
        for (name, tensors) in [("w.safetensors", tensors), ("flat.safetensors", flat)] {
            xception::weights::write(&folder.join(name), &tensors, &Default::default()).unwrap();
        }
        fs::write(folder.join("text.png"), "not an image").unwrap();
    };
    let predict = ["predict", "--weights", "w.safetensors", "--preset", "plain-shared", input];
    check_in(prepare, &predict, 3, expected);
}

#[test]
fn an_image_that_cannot_be_decoded_is_named() {
    let expected = ["text.png cannot be decoded: ", "JPEG, PNG, WebP, GIF, TIFF and BMP are read"];
    check_input("text.png", &expected);
}

#[test]
fn an_image_that_is_not_there_is_named() {
    check_input("absent.png", &["cannot read absent.png: No such file"]);
}

#[test]
fn a_tensor_of_another_shape_is_named() {
    let expected = ["input must be [N, 3, H, W] of float32, is [2] of Float"];
    check_input("flat.safetensors", &expected);
}

#[test]
fn a_file_without_the_tensor_is_named() {
    check_input("w.safetensors", &["it holds no tensor named input"]);
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

/// Rust's part of the program asks the system for memory, too: for pixels, and for the bytes of files.
#[cfg(target_os = "linux")]
#[test]
fn memory_that_the_system_refuses_is_code_6() {
    let folder = TempDir::new().unwrap();
    for class in ["ant", "bee"] {
        fs::create_dir(folder.path().join(class)).unwrap();
        let image = image::RgbImage::from_pixel(12_000, 12_000, image::Rgb([9, 9, 9]));
        image.save(folder.path().join(class).join("large.png")).unwrap();
    }
    let limited = |kibibytes: u32, arguments: &str| {
        let command = format!("ulimit -v {kibibytes}; exec '{}' {arguments}", binary().display());
        Command::new("bash").args(["-c", &command]).output().unwrap()
    };
    // What the libraries take before the program begins depends on the build of libtorch.
    let starts = |kibibytes: &u32| limited(*kibibytes, "summary --preset cifar").status.success();
    let least = (400_000..8_000_000).step_by(100_000).find(starts).expect("it starts");
    // Each image takes 420,000.
    let output = limited(least + 200_000, &format!("check 'folder:{}'", folder.path().display()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("error: out of memory (432000000 bytes more"), "{said}");
}
