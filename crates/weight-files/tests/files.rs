//! Files that PyTorch and Keras wrote (`files/make.py`), and the same files damaged.

use std::path::Path;

use weight_files::{Array, Arrays, DType, Format, parse};

fn bytes(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read(name: &str) -> Arrays {
    parse(&bytes(name)).unwrap_or_else(|error| panic!("{name} {error}"))
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
    for (name, format) in [("zip.pth", Format::PytorchZip), ("legacy.pth", Format::PytorchLegacy)] {
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
    let arrays = read("wrapped.pth");
    assert_eq!(arrays.len(), 7);
    check(&arrays, "0.weight", DType::F32, &[1, 2], &made(0, 2));
    check(&read("parameter.pth"), "weight", DType::F32, &[2, 2], &made(0, 4));
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
        assert_eq!(error, "is neither a PyTorch file (.pth) nor HDF5 (.h5)");
    }
}

/// Cut at every length, and with every byte changed: an error or other numbers, never a panic.
#[test]
fn damaged_files_do_no_harm() {
    for name in ["zip.pth", "legacy.pth", "wrapped.pth", "parameter.pth"] {
        let whole = bytes(name);
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err(), "{name} cut to {length} bytes");
        }
    }
    for name in ["zip.pth", "legacy.pth", "keras3.weights.h5"] {
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
