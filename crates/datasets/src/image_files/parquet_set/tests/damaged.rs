//! Files that are cut, changed or lie: an error for each, whatever they say.

use super::written::{Layout, bytes};
use super::*;

/// The layouts of pages, each with a file of eight rows.
fn files() -> Vec<(Layout, Vec<u8>)> {
    let names = ["cat", "dog"];
    let labels = numbers(&[0, 1, 0, 1, 0, 1, 0, 1]);
    [Layout::Common, Layout::Second, Layout::Small]
        .into_iter()
        .map(|layout| {
            let table = Table { layout, names: Some(&names), ..Table::new(labels.clone()) };
            (layout, bytes(&table))
        })
        .collect()
}

fn message(root: &Path, bytes: &[u8]) -> Option<String> {
    std::fs::write(root.join("train.parquet"), bytes).unwrap();
    read(root).err().map(|error| error.to_string())
}

#[test]
fn pages_of_every_layout_are_read_alike() {
    let root = tempfile::tempdir().unwrap();
    let mut read_before = None;
    for (layout, bytes) in files() {
        assert_eq!(message(root.path(), &bytes), None, "{layout:?}");
        let found = read(root.path()).unwrap();
        let own = [images(&found.train), images(&found.test)].concat();
        assert_eq!(own.len(), 8);
        assert_eq!(*read_before.get_or_insert(own.clone()), own, "{layout:?}");
    }
}

#[test]
fn an_encoding_that_is_not_read_is_named() {
    let root = tempfile::tempdir().unwrap();
    let table = Table { layout: Layout::Prefixes, ..Table::new(numbers(&[0, 1])) };
    let message = message(root.path(), &bytes(&table)).expect("a refusal");
    assert!(
        message.contains("it cannot be read: a page has the encoding DELTA_BYTE_ARRAY;"),
        "{message}"
    );
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    let root = tempfile::tempdir().unwrap();
    for (layout, bytes) in files() {
        for length in (0..bytes.len()).step_by(7).chain(bytes.len() - 12..bytes.len()) {
            let message = message(root.path(), &bytes[..length]).expect("a refusal");
            let is_said =
                ["cut off", "no Parquet file", "damaged"].iter().any(|said| message.contains(said));
            assert!(is_said, "{layout:?} cut to {length}: {message}");
        }
    }
}

/// Every second byte, one after another, replaced by another: the set is read or refused.
#[test]
fn no_single_byte_makes_it_panic_or_take_memory() {
    let root = tempfile::tempdir().unwrap();
    for (layout, whole) in files() {
        let (mut tried, mut refused) = (0, 0);
        for place in (0..whole.len()).step_by(2) {
            let mut damaged = whole.clone();
            damaged[place] ^= [0x01, 0x80, 0xff][place / 2 % 3];
            tried += 1;
            refused += usize::from(message(root.path(), &damaged).is_some());
        }
        assert!(refused > tried / 8, "{layout:?}: {refused} of {tried}");
    }
}

#[test]
fn other_files_are_told_from_parquet() {
    let root = tempfile::tempdir().unwrap();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n";
    let encrypted = [b"PAR1", &[0; 8][..], b"PARE"].concat();
    let long = [b"PAR1", &[0; 8][..], &[0xff; 4], b"PAR1"].concat();
    let cases: [(&[u8], &str); 6] = [
        (b"", "train.parquet: it is no Parquet file: it does not begin with PAR1"),
        (b"image,label\n", "it is no Parquet file"),
        (
            pointer,
            "it is a pointer of Git LFS, which stands for the file; fetch that with `git lfs pull`",
        ),
        (b"PAR1PAR1", "it is cut off: it does not end with PAR1; fetch or copy it again"),
        (&encrypted, "it is encrypted"),
        (&long, "it is damaged: its footer claims 4294967295 bytes of 20"),
    ];
    for (bytes, expected) in cases {
        let message = message(root.path(), bytes).expect("a refusal");
        assert!(message.contains(expected), "{message}");
    }
    assert!(refusal(read(&root.path().join("none.parquet"))).starts_with("cannot read "));
    if cfg!(unix) {
        let error = read(Path::new("/dev/zero")).err().unwrap();
        let reason = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(reason, "it is a device, a pipe or a socket, and no file");
    }
}
