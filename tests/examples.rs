//! The examples of every crate run, and come to what they say.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use tch::{Device, Kind, Tensor, nn::VarStore};
use xception::weights::{self, Description};
use xception::{CifarScale, ModelSpec, Preset};

/// The folder of the examples, built with the features that the tests have: another selection of packages would build the
/// crates below anew.
static EXAMPLES: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = env::current_exe().expect("this test is a program");
    let folder = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "--workspace", "--examples"]);
    if folder.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().expect("cargo runs").success(), "the examples cannot be built");
    folder.join("examples")
});

/// Runs an example and returns its output.
#[track_caller]
fn run(example: &str, arguments: &[&Path]) -> String {
    let program = EXAMPLES.join(example).with_extension(env::consts::EXE_EXTENSION);
    let output = Command::new(&program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{example}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn an_image_is_classified() {
    let folder = tempfile::tempdir().unwrap();
    let (file, image) = (folder.path().join("w.safetensors"), folder.path().join("grey.png"));
    let scale = CifarScale { width: 0.1, middle_modules: 1, ..CifarScale::default() };
    let spec = ModelSpec { scale, ..ModelSpec::new(Preset::Cifar) };
    let store = VarStore::new(Device::Cpu);
    let _model = spec.build(store.root()).unwrap();
    let preprocessing = spec.preset.preprocessing();
    let description = Description {
        spec,
        class_names: (0..spec.classes).map(|class| format!("class {class}")).collect(),
        input: preprocessing.side,
        crop_fraction: preprocessing.crop_fraction,
        interpolation: preprocessing.interpolation,
        fit: preprocessing.fit,
        mean: preprocessing.mean,
        std: preprocessing.std,
        data: "nothing".to_string(),
        labels: weights::Labels::One,
    };
    weights::write(&file, &weights::snapshot(&store), &description.to_metadata()).unwrap();
    let grey = Tensor::full([3, 30, 40], 99, (Kind::Uint8, Device::Cpu));
    tch::vision::image::save(&grey, &image).unwrap();
    let said = run("classify", &[&file, &image]);
    assert_eq!(said.matches(" %  class ").count(), 5, "{said}");
}

#[test]
fn features_come_in_five_levels() {
    let said = run("features", &[]);
    assert_eq!(said.matches("level of ").count(), 5, "{said}");
    assert!(said.contains("features at output stride 8: [1, 2048, 16, 16]"), "{said}");
}

#[test]
fn fine_tuning_by_hand_beats_the_head_alone() {
    let said = run("fine_tune", &[]);
    let correct = |start: &str| -> f64 {
        let percent = said.lines().find_map(|line| line.strip_prefix(start)).unwrap();
        percent.trim_end_matches(" % correct").parse().unwrap()
    };
    assert!(correct("everything: ") > correct("head alone, on columns: "), "{said}");
}

#[test]
fn a_separable_layer_works_in_another_network() {
    let said = run("in_another_network", &[]);
    assert!(said.contains("accuracy on new images: "), "{said}");
}
