//! Files that come back as they went, and files that must not be believed.

use std::fs;

use super::*;
use crate::{CifarScale, ModelSpec, Preset, Xception};
use tch::{Device, Kind, Tensor};

fn small() -> (VarStore, ModelSpec) {
    let scale = CifarScale { width: 0.05, middle_modules: 1, ..Default::default() };
    let spec = ModelSpec { scale, ..ModelSpec::new(Preset::Cifar) };
    let store = VarStore::new(Device::Cpu);
    Xception::new(store.root(), &spec.architecture().unwrap(), spec.classes).unwrap();
    (store, spec)
}

fn description(spec: ModelSpec) -> Description {
    Description {
        spec,
        class_names: (0..10).map(|class| format!("class \"{class}\"")).collect(),
        input: 32,
        crop_fraction: 0.875,
        interpolation: Interpolation::Bicubic,
        fit: Fit::Squash,
        mean: [0.4914, 0.4822, 0.4465],
        std: [0.1 + 0.2, 0.243, 0.261],
        data: "synthetic".to_string(),
        labels: Labels::One,
    }
}

#[test]
fn a_file_comes_back_as_it_went() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let (store, spec) = small();
    let (before, said) = (snapshot(&store), description(spec));
    write(&path, &before, &said.to_metadata()).unwrap();
    let (tensors, metadata) = read(&path).unwrap();
    assert_eq!(Description::from_metadata(&path, &metadata).unwrap(), Some(said));
    assert_eq!(tensors.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    let (other, _) = small();
    load(&other, &tensors).unwrap();
    for (name, variable) in other.variables() {
        assert!(variable.equal(&before[&name]), "{name}");
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing else is left in the folder"
    );
}

#[test]
fn equal_weights_are_equal_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (store, spec) = small();
    let written: Vec<Vec<u8>> = (0..8)
        .map(|copy| {
            let path = folder.path().join(format!("{copy}.safetensors"));
            write(&path, &snapshot(&store), &description(spec).to_metadata()).unwrap();
            fs::read(path).unwrap()
        })
        .collect();
    assert!(written.iter().all(|bytes| *bytes == written[0]));
}

#[test]
fn half_precision_is_cast_to_the_models_kind() {
    let (store, _) = small();
    let rounded: Tensors = snapshot(&store)
        .into_iter()
        .map(|(name, tensor)| (name, tensor.to_kind(Kind::BFloat16)))
        .collect();
    load(&store, &rounded).unwrap();
    let variable = &store.variables()["fc.weight"];
    assert_eq!(variable.kind(), Kind::Float);
    assert!(variable.equal(&rounded["fc.weight"].to_kind(Kind::Float)));
}

#[test]
fn every_problem_is_said_at_once_and_nothing_is_loaded() {
    let (store, _) = small();
    let mut tensors = snapshot(&store);
    tensors.remove("bn1.bias");
    tensors.insert("fc.weight".into(), Tensor::zeros([10, 1], (Kind::Float, Device::Cpu)));
    tensors.insert("head.weight".into(), Tensor::zeros([1], (Kind::Float, Device::Cpu)));
    tensors.insert("bn1.num_batches_tracked".into(), Tensor::from(7_i64));
    let before = snapshot(&store);
    let error = load(&store, &tensors).unwrap_err().to_string();
    let expected = "the weights do not fit the model in 3 places\n  1 missing:\n    bn1.bias\n  1 unexpected:\n    head.weight\n  1 of another shape:\n    fc.weight: expected [10, 104], got [10, 1]";
    assert_eq!(error, expected);
    assert!(store.variables().iter().all(|(name, variable)| variable.equal(&before[name])));
}

#[test]
fn long_lists_are_counted() {
    let (store, _) = small();
    let error = load(&store, &Tensors::new()).unwrap_err().to_string();
    assert!(error.contains("… and ") && error.lines().count() < 20, "{error}");
}

#[test]
fn a_damaged_file_is_refused_wherever_it_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let (store, spec) = small();
    write(&path, &snapshot(&store), &description(spec).to_metadata()).unwrap();
    let bytes = fs::read(&path).unwrap();
    for cut in [0, 1, 7, 8, 9, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..cut]).unwrap();
        let error = read(&path).unwrap_err().to_string();
        // Of the first eight bytes nothing can be told yet.
        let expected = if cut > 8 { "file: it is cut off" } else { "holds no weights" };
        assert!(error.contains(expected), "cut at {cut}: {error}");
    }
    fs::write(&path, [&bytes[..], b"more"].concat()).unwrap();
    assert!(read(&path).is_err(), "trailing bytes");
    let error = read(&folder.path().join("absent.safetensors")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read ") && error.ends_with("absent.safetensors"), "{error}");
}

/// A file of one header and some bytes of numbers.
fn made_of(header: &str, numbers: usize) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), &vec![0; numbers]].concat()
}

#[test]
fn headers_that_lie_are_refused() {
    let path = std::path::Path::new("w.safetensors");
    let whole = made_of(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 8);
    assert_eq!(parse(path, &whole).unwrap().0["a"].size(), [2]);
    let oversized = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    for (lie, bytes) in [
        ("a header longer than the file", oversized),
        ("a header longer than any", [&(1_u64 << 40).to_le_bytes()[..], b"{}"].concat()),
        (
            "two tensors over one another",
            made_of(
                r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
                12,
            ),
        ),
        (
            "numbers that belong to no tensor",
            made_of(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8),
        ),
        (
            "more numbers than bytes",
            made_of(r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8),
        ),
        (
            "a size that overflows",
            made_of(
                r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#,
                8,
            ),
        ),
        (
            "a size that overflows beside a 0",
            made_of(
                r#"{"a":{"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}}"#,
                0,
            ),
        ),
        (
            "a size beyond libtorch's",
            made_of(
                r#"{"a":{"dtype":"F32","shape":[0,9223372036854775808],"data_offsets":[0,0]}}"#,
                0,
            ),
        ),
        (
            "a name that forges a line",
            made_of(
                r#"{"a\nwarning: all is well":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
                4,
            ),
        ),
        (
            "a kind that does not exist",
            made_of(r#"{"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}}"#, 8),
        ),
    ] {
        let error = parse(path, &bytes).err().unwrap_or_else(|| panic!("{lie} is believed"));
        let error = error.to_string();
        assert!(
            error.starts_with("w.safetensors is not a valid safetensors file: ")
                && !error.contains(char::is_control),
            "{lie}: {error}"
        );
    }
    let complex = made_of(r#"{"a":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}"#, 8);
    let error = parse(path, &complex).unwrap_err().to_string();
    assert!(error.contains("tensor a has the unsupported type"), "{error}");
}

#[test]
fn metadata_that_lies_is_named() {
    let (_, spec) = small();
    let path = std::path::Path::new("w.safetensors");
    let check = |key: &str, value: Option<&str>, expected: &str| {
        let mut metadata = description(spec).to_metadata();
        match value {
            Some(value) => metadata.insert(key.to_string(), value.to_string()),
            None => metadata.remove(key),
        };
        let error = Description::from_metadata(path, &metadata).unwrap_err().to_string();
        assert!(error.contains(expected), "{key}: {error}");
    };
    check("mean", None, "w.safetensors: metadata 'mean' is missing");
    check("classes", Some("9"), "metadata 'class_names' has 10 names for 9 classes");
    check("classes", Some("many"), "metadata 'classes' cannot be read");
    check("input", Some("-3"), "metadata 'input' must be at least 1, is -3");
    check("input", Some("1000000"), "metadata 'input' must be at most 8192, is 1000000");
    check("input", Some("9223372036854775807"), "metadata 'input' must be at most 8192");
    check("mean", Some("[1e308, 0, 0]"), "metadata 'mean' must be finite numbers of fp32");
    check("std", Some("[0, 0, 0]"), "metadata 'std' must be above 0 and finite in fp32");
    check("std", Some("[1, -1, 1]"), "metadata 'std' must be above 0");
    check("std", Some("[1, 1e-300, 1]"), "metadata 'std' must be above 0");
    check("scale", Some("{\"width\": 1, \"depth\": 2}"), "unknown field `depth`");
    check("preset", Some("resnet"), "unknown preset 'resnet'");
    assert_eq!(
        Description::from_metadata(path, &Default::default()).unwrap(),
        None,
        "a foreign file"
    );
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = write(
        std::path::Path::new("/nowhere/at/all.safetensors"),
        &Tensors::new(),
        &Default::default(),
    );
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("cannot write /nowhere/at/all.safetensors"), "{error}");
}

#[cfg(unix)]
#[test]
fn devices_are_neither_read_nor_replaced() {
    let null = std::path::Path::new("/dev/null");
    let error = read(null).unwrap_err();
    assert!(error.to_string().starts_with("cannot read /dev/null"), "{error}");
    write(null, &Tensors::new(), &Default::default()).unwrap();
    assert!(!fs::metadata(null).unwrap().is_file());
}

#[test]
fn too_many_tensors_are_refused() {
    let entry = |number: usize| {
        let (start, end) = (4 * number, 4 * number + 4);
        format!(r#""{number}":{{"dtype":"F32","shape":[1],"data_offsets":[{start},{end}]}}"#)
    };
    let entries: Vec<String> = (0..100_001).map(entry).collect();
    let header = format!("{{{}}}", entries.join(","));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + 4 * 100_001, 0);
    let error = parse(std::path::Path::new("w.safetensors"), &bytes).unwrap_err().to_string();
    assert!(error.contains("it has 100001 tensors, more than 100000"), "{error}");
}
