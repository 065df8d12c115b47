//! The formats, on bytes made by the tests, and the text of every refusal.

mod python;

use super::*;

const FILE: &str = "batch.bin";

fn record(labels: &[u8], pixels: impl FnMut(usize) -> u8) -> Vec<u8> {
    labels.iter().copied().chain((0..3072).map(pixels)).collect()
}

/// A byte that depends on the channel, row and column of its pixel.
fn pattern(position: usize) -> u8 {
    let (channel, row, column) = (position / 1024, position / 32 % 32, position % 32);
    (channel * 85 + row * 2 + column / 31 * 7) as u8
}

#[test]
fn pixels_keep_row_column_and_channel() {
    let bytes = [record(&[3], |_| 0), record(&[9], pattern)].concat();
    let records = Cifar::Cifar10.parse(Path::new(FILE), &bytes, 2).unwrap();
    assert_eq!(records.labels, [3, 9]);
    let pixel = |row: usize, column: usize| &records.pixels[3072 + (row * 32 + column) * 3..][..3];
    assert_eq!(pixel(0, 0), [0, 85, 170]);
    assert_eq!(pixel(0, 31), [7, 92, 177], "first row, last column");
    assert_eq!(pixel(31, 0), [62, 147, 232], "last row, first column");
    assert_eq!(pixel(31, 31), [69, 154, 239]);
    assert!(records.pixels[..3072].iter().all(|&byte| byte == 0), "the first image is black");
}

#[test]
fn cifar100_takes_the_fine_label() {
    let bytes = [record(&[19, 99], pattern), record(&[0, 42], |_| 1)].concat();
    let records = Cifar::Cifar100.parse(Path::new(FILE), &bytes, 2).unwrap();
    assert_eq!(records.labels, [99, 42]);
    assert_eq!(records.pixels[31 * 3..][..3], [7, 92, 177]);
}

#[test]
fn labels_out_of_range_are_refused_with_offset_and_value() {
    let check = |set: Cifar, records: &[Vec<u8>], expected: &str| {
        let error = set.parse(Path::new(FILE), &records.concat(), records.len()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    let (ten, hundred) = (Cifar::Cifar10, Cifar::Cifar100);
    check(
        ten,
        &[record(&[9], pattern), record(&[10], pattern)],
        "batch.bin: byte 3073 (record 1): label is 10, expected 0 to 9; \
         run `cargo xtask fetch cifar10` to get it again",
    );
    check(
        hundred,
        &[record(&[0, 0], pattern), record(&[20, 0], pattern)],
        "batch.bin: byte 3074 (record 1): coarse label is 20, expected 0 to 19; \
         run `cargo xtask fetch cifar100` to get it again",
    );
    check(
        hundred,
        &[record(&[0, 255], pattern)],
        "batch.bin: byte 1 (record 0): fine label is 255, expected 0 to 99; \
         run `cargo xtask fetch cifar100` to get it again",
    );
}

#[test]
fn short_and_long_files_are_refused_with_offset_and_length() {
    let check = |length: usize, expected: &str| {
        let error = Cifar::Cifar10.parse(Path::new(FILE), &vec![0; length], 2).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(
        6145,
        "batch.bin: too short by 1: 6145 bytes, where 2 records of 3073 bytes make 6146; \
         the last whole record ends at byte 3073; run `cargo xtask fetch cifar10` to get it again",
    );
    check(
        6150,
        "batch.bin: too long by 4: 6150 bytes, where 2 records of 3073 bytes make 6146; \
         the last whole record ends at byte 6146; run `cargo xtask fetch cifar10` to get it again",
    );
    check(
        3 * 3073,
        "batch.bin: too long by 3073: 9219 bytes, where 2 records of 3073 bytes make 6146; \
         the last whole record ends at byte 9219; run `cargo xtask fetch cifar10` to get it again",
    );
}

#[test]
fn only_the_exact_length_is_accepted() {
    let file = Path::new(FILE);
    for set in [Cifar::Cifar10, Cifar::Cifar100] {
        let exact = 2 * set.record_bytes();
        let bytes = vec![1; exact + 50];
        for length in (0..exact + 50).step_by(7).chain(exact - 3..exact + 4) {
            let accepted = set.parse(file, &bytes[..length], 2).is_ok();
            assert_eq!(accepted, length == exact, "{set:?}, {length} bytes");
        }
        assert!(set.parse(file, &[], 0).is_ok());
        let error = set.parse(file, &bytes, usize::MAX).unwrap_err().to_string();
        assert!(error.contains("batch.bin: too short by "), "{error}");
    }
}

mod folder {
    use std::fs;

    use super::*;

    /// A file of the right length whose first record is `first`.
    fn write(folder: &Path, file: &File, set: Cifar, first: &[u8]) {
        let mut bytes = vec![0; file.records * set.record_bytes()];
        bytes[..first.len()].copy_from_slice(first);
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(file.name), bytes).unwrap();
    }

    #[test]
    fn the_archives_folder_and_its_parent_are_both_accepted() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("cifar-10-batches-bin");
        let set = Cifar::Cifar10;
        write(&folder, &set.files(Split::Test)[0], set, &record(&[7], pattern));
        let images = set.load(parent.path(), Split::Test).unwrap();
        assert_eq!(images, set.load(&folder, Split::Test).unwrap());
        assert_eq!((images.len(), images.height(), images.width()), (10_000, 32, 32));
        assert_eq!(images.labels()[..2], [7, 0]);
        assert_eq!(images.class_names()[7], "horse");
        assert_eq!(images.image(0)[31], [7, 92, 177]);
    }

    #[test]
    fn the_training_files_are_joined_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let set = Cifar::Cifar10;
        for (label, file) in set.files(Split::Train).iter().enumerate() {
            write(folder.path(), file, set, &[label as u8 + 1]);
        }
        let images = set.load(folder.path(), Split::Train).unwrap();
        assert_eq!(images.len(), 50_000);
        for file in 0..5 {
            assert_eq!(images.labels()[file * 10_000], file as u32 + 1);
        }
    }

    #[test]
    fn a_missing_file_is_named_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let error = Cifar::Cifar100.load(folder.path(), Split::Train).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{at}/train.bin is missing, and so is {at}/cifar-100-binary/train.bin; \
                 run `cargo xtask fetch cifar100`, or name the folder that holds the set"
            )
        );
    }

    #[test]
    fn one_missing_file_of_five_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let set = Cifar::Cifar10;
        write(folder.path(), &set.files(Split::Train)[0], set, &[]);
        let error = set.load(folder.path(), Split::Train).unwrap_err().to_string();
        assert!(error.contains("data_batch_2.bin is missing"), "{error}");
    }

    #[test]
    fn a_truncated_file_is_refused_before_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test_batch.bin");
        fs::write(&path, [0; 100]).unwrap();
        let error = Cifar::Cifar10.load(folder.path(), Split::Test).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{}: too short by 30729900: 100 bytes, where 10000 records of 3073 bytes make \
                 30730000; the last whole record ends at byte 0; \
                 run `cargo xtask fetch cifar10` to get it again",
                path.display()
            )
        );
    }

    #[test]
    fn a_folder_in_a_files_place_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("test_batch.bin")).unwrap();
        assert!(Cifar::Cifar10.load(folder.path(), Split::Test).is_err());
    }
}
