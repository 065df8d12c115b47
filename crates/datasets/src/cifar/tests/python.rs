//! The version for Python: the pickles that `tests/files/make_cifar.py` wrote, beside the binary records of the same images.

use super::*;

/// Images in each file.
const RECORDS: usize = 3;

fn bytes(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn parse(set: Cifar, bytes: &[u8], records: usize) -> Result<Records, String> {
    set.parse_python(Path::new("batch"), bytes, records).map_err(|error| error.to_string())
}

#[test]
fn both_versions_are_the_same_to_the_byte() {
    for (set, name) in [(Cifar::Cifar10, "cifar10"), (Cifar::Cifar100, "cifar100")] {
        let binary = bytes(&format!("{name}.bin"));
        let expected = set.parse(Path::new("batch"), &binary, RECORDS).unwrap();
        assert!(expected.pixels.iter().max() > expected.pixels.iter().min());
        for python in ["python2", "protocol2", "protocol4", "protocol5"] {
            let records = parse(set, &bytes(&format!("{name}-{python}.pickle")), RECORDS);
            assert_eq!(records.as_ref(), Ok(&expected), "{name} of {python}");
        }
    }
}

#[test]
fn files_of_other_arrays_and_labels_are_refused() {
    let refused = |set: Cifar, name: &str, records: usize, expected: &str| {
        let message = parse(set, &bytes(&format!("cifar-{name}.pickle")), records).unwrap_err();
        let end = format!(
            "; unpack its archive again, or run `cargo xtask fetch {}` to get the binary version",
            set.name()
        );
        assert_eq!(message, format!("batch: {expected}{end}"));
    };
    let (ten, hundred) = (Cifar::Cifar10, Cifar::Cifar100);
    refused(ten, "beyond", 2, "the label of image 1 is 10, expected 0 to 9");
    refused(ten, "negative", 2, "the label of image 0 is -1, expected 0 to 9");
    refused(ten, "beyond", 3, "it has 2 'labels', expected 3");
    refused(ten, "shape", 2, "its 'data' has the shape [2, 32, 96], expected [2, 3072]");
    refused(ten, "floats", 2, "its 'data' has numbers of type F32, expected U8");
    refused(ten, "list", 2, "its 'data' is no array of numpy");
    refused(ten, "nothing", 2, "it has no 'labels'");
    refused(hundred, "beyond", 2, "it has no 'coarse_labels'");
    refused(hundred, "coarse", 2, "the coarse label of image 1 is 20, expected 0 to 19");
}

#[test]
fn a_file_that_is_cut_is_refused() {
    let whole = bytes("cifar10-python2.pickle");
    for cut in (0..whole.len()).step_by(501).chain([whole.len() - 1]) {
        let message = parse(Cifar::Cifar10, &whole[..cut], RECORDS).unwrap_err();
        assert!(message.starts_with("batch: it is damaged: its pickle ends too soon"), "{message}");
    }
    let message = parse(Cifar::Cifar10, b"no pickle", RECORDS).unwrap_err();
    assert!(message.starts_with("batch: it is damaged: "), "{message}");
}

/// A whole file, as long as the official ones: the pickle of black images.
fn black(set: Cifar, records: usize, label: u8) -> Vec<u8> {
    let text = |text: &str| [&[b'U', text.len() as u8][..], text.as_bytes()].concat();
    let length = |length: usize| [&b"J"[..], &(length as i32).to_le_bytes()].concat();
    let labels = |key: &str| {
        [text(key), b"](".to_vec(), [b'K', label].repeat(records), b"e".to_vec()].concat()
    };
    let data = [
        &text("data")[..],
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01",
        &length(records),
        b"M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T",
        &((records * 3072) as i32).to_le_bytes(),
        &vec![0; records * 3072],
        b"tb",
    ]
    .concat();
    let labels = match set {
        Cifar::Cifar10 => labels("labels"),
        Cifar::Cifar100 => [labels("coarse_labels"), labels("fine_labels")].concat(),
    };
    [b"\x80\x02}(", &data[..], &labels, b"u."].concat()
}

#[test]
fn the_folder_of_the_version_for_python_is_read() {
    for set in [Cifar::Cifar10, Cifar::Cifar100] {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join(set.python_folder());
        std::fs::create_dir(&folder).unwrap();
        for split in [Split::Train, Split::Test] {
            for (number, file) in set.files(split).iter().enumerate() {
                let name = file.name.trim_end_matches(".bin");
                std::fs::write(folder.join(name), black(set, file.records, number as u8)).unwrap();
            }
        }
        let images = set.load(parent.path(), Split::Train).unwrap();
        assert_eq!(images, set.load(&folder, Split::Train).unwrap());
        let files = set.files(Split::Train).len();
        assert_eq!((images.len(), images.labels()[49_999]), (50_000, files as u32 - 1));
        assert_eq!(set.load(&folder, Split::Test).unwrap().len(), 10_000);
        // Only one of its files is missing.
        let last = set.files(Split::Train)[files - 1].name.trim_end_matches(".bin");
        if files > 1 {
            std::fs::remove_file(folder.join(last)).unwrap();
            let message = set.load(&folder, Split::Train).unwrap_err().to_string();
            assert!(message.starts_with("cannot read ") && message.ends_with(last), "{message}");
        }
        let long = std::fs::File::create(folder.join(last)).unwrap();
        long.set_len(1 << 40).unwrap();
        let message = set.load(&folder, Split::Train).unwrap_err().to_string();
        assert!(message.contains("it has 1099511627776 bytes, and "), "{message}");
    }
}
