//! Pickled dictionaries that Python wrote with each protocol (`files/make_numpy.py`), and the same files damaged.

use std::path::Path;

use weight_files::{DType, Pickled, parse_pickled};

/// The files: those of protocols 2 to 5, and the first as Python 2 writes it.
const FILES: [&str; 5] =
    ["numpy2.pickle", "numpy3.pickle", "numpy4.pickle", "numpy5.pickle", "python2.pickle"];

fn bytes(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn arrays_of_every_protocol_are_read_alike() {
    for name in FILES {
        let values = parse_pickled(&bytes(name)).unwrap_or_else(|error| panic!("{name} {error}"));
        let Pickled::Array(data) = &values["data"] else { panic!("{name}: {values:?}") };
        assert_eq!((data.dtype, &data.shape[..]), (DType::U8, &[4, 64][..]), "{name}");
        assert!(data.data.iter().map(|&byte| usize::from(byte)).eq(0..256), "{name}");
        assert_eq!(values["labels"], Pickled::Integers(vec![3, 0, 300, -1]), "{name}");
        let Pickled::Array(numbers) = &values["numbers"] else { panic!("{name}: {values:?}") };
        assert_eq!((numbers.dtype, &numbers.shape[..]), (DType::I64, &[2][..]), "{name}");
        assert_eq!(numbers.data[..9], [7, 0, 0, 0, 0, 0, 0, 0, 254], "{name}");
        assert_eq!(values["names"], Pickled::Other, "{name}");
    }
}

#[test]
fn arrays_that_are_not_read_are_named() {
    for (name, expected) in [
        ("columns.pickle", "its array data is not in row-major order"),
        ("big_endian.pickle", "its array data has numbers of a type that is not read"),
        ("list.pickle", "it is a pickle of something else than a dict"),
    ] {
        let message = parse_pickled(&bytes(name)).unwrap_err().to_string();
        assert!(message.contains(expected), "{name}: {message}");
    }
}

#[test]
fn damaged_files_are_refused_or_read() {
    for name in FILES {
        let whole = bytes(name);
        for cut in 0..whole.len() {
            assert!(parse_pickled(&whole[..cut]).is_err(), "{name} cut to {cut}");
        }
        for place in 0..whole.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff, b'.', b'q', b'R'] {
                let mut damaged = whole.clone();
                damaged[place] = byte;
                drop(parse_pickled(&damaged));
            }
        }
    }
}

/// One array under many names would take more memory than the file has bytes.
#[test]
fn an_array_is_not_repeated() {
    let whole = bytes("repeated.pickle");
    let message = parse_pickled(&whole).unwrap_err().to_string();
    assert!(message.contains("its arrays have more bytes than the file"), "{message}");
}
