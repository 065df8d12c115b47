//! Files that PyTorch and Keras wrote (`files/make.py`), and the same files damaged.

use std::path::Path;

use weight_files::{Array, Arrays, Contents, DType, Dictionary, Format, parse};

fn bytes(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn contents(name: &str) -> Contents {
    parse(&bytes(name)).unwrap_or_else(|error| panic!("{name} {error}"))
}

/// The arrays of a file with one dictionary.
fn read(name: &str) -> Arrays {
    let [dictionary] = <[_; 1]>::try_from(contents(name).dictionaries).unwrap();
    dictionary.arrays
}

/// The numbers of an array that are exact in its kind.
fn numbers(array: &Array) -> Vec<f64> {
    let words = array.data.chunks_exact(array.dtype.bytes());
    let number = |word: &[u8]| match array.dtype {
        DType::F32 => f32::from_le_bytes(word.try_into().unwrap()).into(),
        DType::BF16 => {
            f32::from_bits(u32::from(u16::from_le_bytes(word.try_into().unwrap())) << 16).into()
        }
        DType::F16 => half(u16::from_le_bytes(word.try_into().unwrap())),
        DType::I64 => i64::from_le_bytes(word.try_into().unwrap()) as f64,
        other => panic!("{other:?}"),
    };
    words.map(number).collect()
}

/// A normal number, or zero.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    if bits == 0 { 0.0 } else { (1.0 + fraction / 1024.0) * 2_f64.powi(exponent - 15) }
}

/// The numbers that `make.py` fills an array with.
fn made(number: usize, count: usize) -> Vec<f64> {
    (0..count).map(|index| index as f64 / 8.0 + number as f64).collect()
}

#[track_caller]
fn check(arrays: &Arrays, name: &str, dtype: DType, shape: &[usize], expected: &[f64]) {
    let array = arrays.get(name).unwrap_or_else(|| panic!("{name} of {:?}", arrays.keys()));
    assert_eq!((array.dtype, &array.shape[..]), (dtype, shape), "{name}");
    assert_eq!(numbers(array), expected, "{name}");
}

#[test]
fn both_formats_of_pytorch_are_read() {
    for (name, format) in [("zip.pth", Format::Zip), ("legacy.pth", Format::PytorchLegacy)] {
        assert_eq!(Format::of(&bytes(name)), Some(format));
        let arrays = read(name);
        assert_eq!(arrays.len(), 9, "{name}");
        check(&arrays, "conv.weight", DType::F32, &[2, 3, 1, 1], &made(0, 6));
        check(&arrays, "half", DType::F16, &[3], &made(1, 3));
        check(&arrays, "bfloat", DType::BF16, &[3], &made(2, 3));
        check(&arrays, "shared", DType::F32, &[2, 2], &made(3, 4));
        check(&arrays, "shared_again", DType::F32, &[2, 2], &made(3, 4));
        check(&arrays, "transposed", DType::F32, &[3, 2], &[4.0, 4.375, 4.125, 4.5, 4.25, 4.625]);
        check(&arrays, "slice", DType::F32, &[3], &[5.25, 5.375, 5.5]);
        check(&arrays, "bn.num_batches_tracked", DType::I64, &[], &[7.0]);
        check(&arrays, "empty", DType::F32, &[0, 3], &[]);
    }
}

#[test]
fn a_wrapped_state_dict_is_found() {
    let wrapped = contents("wrapped.pth");
    assert_eq!(wrapped.dictionaries[0].place, "state_dict");
    assert_eq!(wrapped.dictionaries[0].arrays.len(), 7);
    check(&wrapped.dictionaries[0].arrays, "module.0.weight", DType::F32, &[1, 2], &made(0, 2));
    check(&read("parameter.pth"), "weight", DType::F32, &[2, 2], &made(0, 4));
}

/// The dictionary of a file at `place`.
#[track_caller]
fn at<'a>(contents: &'a Contents, place: &str) -> &'a Dictionary {
    let found = contents.dictionaries.iter().find(|dictionary| dictionary.place == place);
    found.unwrap_or_else(|| {
        let places: Vec<_> =
            contents.dictionaries.iter().map(|dictionary| &dictionary.place).collect();
        panic!("{place} of {places:?}")
    })
}

#[test]
fn all_that_trainers_save_beside_the_weights_is_passed_over() {
    for name in ["checkpoint.pth", "checkpoint_protocol4.pth"] {
        let contents = contents(name);
        let weights = &at(&contents, "trainer.models.0.state_dict").arrays;
        assert_eq!(weights.len(), 7);
        check(weights, "0.weight", DType::F32, &[1, 2], &made(0, 2));
        let average = &at(&contents, "state_dict_ema").arrays;
        check(average, "module.0.weight", DType::F32, &[1, 2], &made(10, 2));
        let root = at(&contents, "");
        check(&root.arrays, "best_acc1", DType::F32, &[], &[93.5]);
        assert!(root.unread["args"].contains("argparse.Namespace"), "{:?}", root.unread);
        let places: Vec<_> =
            contents.dictionaries.iter().map(|dictionary| dictionary.place.as_str()).collect();
        assert_eq!(places.len(), 3, "no optimizer's state: {places:?}");
    }
}

#[test]
fn tensors_with_attributes_of_their_own_are_read() {
    let arrays = read("tagged.pth");
    check(&arrays, "tagged", DType::F32, &[1, 2], &made(0, 2));
    check(&arrays, "parameter", DType::F32, &[1, 2], &made(0, 2));
    check(&arrays, "bias", DType::F32, &[1], &made(1, 1));
}

#[test]
fn a_whole_network_gives_its_state_dict() {
    let arrays = read("whole_network.pth");
    assert_eq!(arrays.len(), 7, "{:?}", arrays.keys());
    check(&arrays, "module.0.weight", DType::F32, &[1, 2], &made(0, 2));
    check(&arrays, "module.1.running_var", DType::F32, &[1], &made(5, 1));
}

#[test]
fn a_torchscript_program_gives_its_state_dict() {
    let arrays = read("script.pt");
    assert_eq!(arrays.len(), 7, "{:?}", arrays.keys());
    check(&arrays, "0.0.weight", DType::F32, &[1, 2], &made(0, 2));
    check(&arrays, "0.1.running_var", DType::F32, &[1], &made(5, 1));
}

#[test]
fn tensors_that_need_code_are_named() {
    let contents = contents("quantized.pth");
    let weights = at(&contents, "");
    check(&weights.arrays, "bias", DType::F32, &[2], &made(1, 2));
    assert!(weights.unread["weight"].contains("torch."), "{:?}", weights.unread);
}

#[test]
fn names_of_any_encoding_do_no_harm() {
    check(&read("surrogate.pth"), "weight", DType::F32, &[2], &made(0, 2));
}

#[test]
fn lists_in_parts_are_read() {
    let arrays = read("split.h5");
    assert_eq!(arrays.len(), 4, "{:?}", arrays.keys());
    check(&arrays, "first/2", DType::F32, &[2], &made(2, 2));
    check(&arrays, "second/0", DType::F32, &[2], &made(10, 2));
}

#[test]
fn an_archive_around_a_file_is_said() {
    let mut around = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    around.start_file("download/net.pth", zip::write::SimpleFileOptions::default()).unwrap();
    let error = parse(&around.finish().unwrap().into_inner()).unwrap_err().to_string();
    assert!(error.contains("around \"download/net.pth\"; unpack it"), "{error}");
}

/// PyTorch fills an archive up to multiples of 64 bytes, by the length of its folder's name.
#[test]
fn files_with_names_of_every_length_are_read() {
    let all = bytes("stems.bin");
    let mut rest = &all[..];
    for length in 1..65 {
        let (size, after) = rest.split_first_chunk::<4>().unwrap();
        let (file, after) = after.split_at(u32::from_le_bytes(*size) as usize);
        let contents = parse(file).unwrap_or_else(|error| panic!("{length}: {error}"));
        check(&contents.dictionaries[0].arrays, "a", DType::F32, &[1], &[f64::from(length)]);
        rest = after;
    }
    assert!(rest.is_empty());
}

#[test]
fn a_network_in_a_network_of_keras_has_paths() {
    for name in ["nested.keras", "nested.h5"] {
        let arrays = read(name);
        let check = |name: &str, shape: &[usize], number: usize| {
            check(&arrays, name, DType::F32, shape, &made(number, shape.iter().product()));
        };
        check("base/block1_conv1/0", &[1, 1, 3, 2], 0);
        check("base/block1_conv2/0", &[1, 1, 2, 2], 1);
        check("base/block2_sepconv1/0", &[3, 3, 2, 1], 2);
        check("base/block2_sepconv1/1", &[1, 1, 2, 2], 3);
        check("hidden/1", &[3], 5);
        check("answer/0", &[3, 2], 6);
        assert_eq!(arrays.len(), 8, "{name}: {:?}", arrays.keys());
        let network = contents(name).network.unwrap();
        let classes: Vec<_> = network.layers.iter().map(|layer| layer.class.as_str()).collect();
        assert_eq!(classes[..3], ["InputLayer", "RandomFlip", "Sequential"]);
        assert_eq!(network.layers.last().unwrap().inputs, ["dropout"]);
    }
    let arrays = read("nested.weights.h5");
    check(&arrays, "sequential/conv2d_1/0", DType::F32, &[1, 1, 2, 2], &made(1, 4));
    check(&arrays, "dense_1/1", DType::F32, &[2], &made(7, 2));
}

#[test]
fn both_formats_of_keras_are_read() {
    let check_all = |arrays: &Arrays, [conv, norm, separable, dense]: [&str; 4]| {
        let check = |layer: &str, index: usize, shape: &[usize], number: usize| {
            let name = format!("{layer}/{index}");
            check(arrays, &name, DType::F32, shape, &made(number, shape.iter().product()));
        };
        check(conv, 0, &[1, 1, 2, 3], 0);
        (0..4).for_each(|index| check(norm, index, &[3], 1 + index));
        check(separable, 0, &[3, 3, 3, 1], 5);
        check(separable, 1, &[1, 1, 3, 2], 6);
        check(dense, 0, &[2, 2], 7);
        check(dense, 1, &[2], 8);
        assert_eq!(arrays.len(), 9, "{:?}", arrays.keys());
    };
    check_all(
        &read("keras3.h5"),
        ["block1_conv1", "block1_conv1_bn", "block2_sepconv1", "predictions"],
    );
    check_all(
        &read("keras3.weights.h5"),
        ["conv2d", "batch_normalization", "separable_conv2d", "dense"],
    );
}

#[test]
fn other_files_are_not_opened() {
    for (name, outside) in [
        ("external_link.weights.h5", "/etc/hostname.h5"),
        ("external_data.weights.h5", "/etc/passwd"),
    ] {
        let error = parse(&bytes(name)).unwrap_err().to_string();
        let expected = format!(
            "keeps its numbers in another file, {outside}, which is not opened; write them into one file"
        );
        assert_eq!(error, expected, "{name}");
    }
}

#[test]
fn files_of_other_formats_are_refused() {
    for other in [&b"MZ\x90\x00 a program"[..], b"", b"{}"] {
        let error = parse(other).unwrap_err().to_string();
        assert_eq!(error, "is neither a PyTorch file (.pth) nor one of Keras (.keras, .h5)");
    }
}

/// Cut at every length, and with every byte changed: an error or other numbers, never a panic.
#[test]
fn damaged_files_do_no_harm() {
    for name in ["zip.pth", "legacy.pth", "wrapped.pth", "parameter.pth", "tagged.pth"] {
        let whole = bytes(name);
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err(), "{name} cut to {length} bytes");
        }
    }
    for name in ["zip.pth", "legacy.pth", "whole_network.pth", "script.pt", "keras3.weights.h5"] {
        let whole = bytes(name);
        for place in 0..whole.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[place] ^= change;
                drop(parse(&damaged));
            }
        }
    }
}

/// An archive of PyTorch with this pickle and one storage of four bytes.
fn archive(pickle: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, bytes) in [("a/data.pkl", pickle), ("a/data/0", &[0; 4])] {
        archive.start_file(name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A tensor of one number, which the memo holds as 1.
const TENSOR: &[u8] =
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n\
    X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQK\x00K\x01\x85K\x01\x85\x89NtRq\x01";

/// The instruction that pushes a text.
fn text(text: &[u8]) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text].concat()
}

/// A network has some thousand tensors, and every one costs time.
#[test]
fn too_many_tensors_are_refused() {
    let mut pickle = [b"\x80\x02", TENSOR, b"0}("].concat();
    for number in 0..100_001 {
        pickle.extend(text(format!("{number}").as_bytes()));
        pickle.extend(b"h\x01");
    }
    pickle.extend(b"u.");
    let error = parse(&archive(&pickle)).unwrap_err().to_string();
    assert_eq!(error, "cannot be read: it has 100001 tensors, more than 100000");
}

/// One long name, or one module, that a small file lists again and again.
#[test]
fn names_that_are_repeated_take_no_memory_without_end() {
    let long = text(&[b'k'; 1 << 20]);
    // The value 1 under the long key 2, many times.
    let mut keys = [b"\x80\x02", TENSOR, b"0", &long, b"q\x020}("].concat();
    (0..20_000).for_each(|_| keys.extend(b"h\x02h\x01"));
    keys.extend(b"u.");
    // A module with a tensor, listed many times by another one.
    let module = |parameters: &[u8], modules: &[u8]| {
        let part = |name: &[u8], items: &[u8]| [&text(name)[..], b"}(", items, b"u"].concat();
        let state =
            [part(b"_parameters", parameters), part(b"_buffers", b""), part(b"_modules", modules)];
        [b"cm\nM\n)\x81}(", &state.concat()[..], b"ub"].concat()
    };
    let parameters: Vec<u8> = (0..2000_u32)
        .flat_map(|number| [&text(format!("p{number}").as_bytes())[..], b"h\x01"].concat())
        .collect();
    let inner = [&module(&parameters, b"")[..], b"q\x03"].concat();
    let modules: Vec<u8> = (0..20_000_u32)
        .flat_map(|number| [&text(format!("m{number}").as_bytes())[..], b"h\x03"].concat())
        .collect();
    let whole = [b"\x80\x02", TENSOR, b"0", &inner, b"0", &module(b"", &modules), b"."].concat();
    for pickle in [keys, whole] {
        let error = parse(&archive(&pickle)).unwrap_err().to_string();
        assert!(error.contains("its names take more memory than"), "{error}");
    }
}
