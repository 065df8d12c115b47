//! Archives whose names are too long for the header of an entry, and extensions that claim more than a name needs.

use super::*;

const LONG: usize = 300;

fn entry(
    builder: &mut tar::Builder<fs::File>,
    kind: tar::EntryType,
    name: &str,
    size: u64,
    bytes: &[u8],
) {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_path(name).unwrap();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    builder.append(&header, bytes).unwrap();
}

/// One field of a PAX header, with its own length before it.
fn pax(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let length = rest.len() + 3;
    assert!((100..1000).contains(&length) || key == "size");
    let text =
        if length < 100 { format!("{}{rest}", rest.len() + 2) } else { format!("{length}{rest}") };
    text.into_bytes()
}

#[test]
fn long_names_of_both_kinds_are_read() {
    let folder_ = TempDir::new().unwrap();
    let root = folder_.path();
    let long = "x".repeat(LONG);
    let image = png([9, 0, 0], 4, 4);
    // GNU's, as the writer of the crate makes them.
    archive(
        &root.join("gnu.tar"),
        &[(&format!("{long}.png"), &image), (&format!("{long}.cls"), b"0")],
    );
    let mut builder = tar::Builder::new(fs::File::create(root.join("pax.tar")).unwrap());
    for (ending, bytes) in [("png", &image[..]), ("cls", b"0")] {
        let name = pax("path", &format!("{long}.{ending}"));
        entry(&mut builder, tar::EntryType::XHeader, "extension", name.len() as u64, &name);
        entry(
            &mut builder,
            tar::EntryType::Regular,
            &format!("cut.{ending}"),
            bytes.len() as u64,
            bytes,
        );
    }
    builder.finish().unwrap();
    let found = shards(root, Held { fraction: 0.0, ..HELD }).unwrap();
    let mut names: Vec<_> = (0..2).map(|index| found.train.name(index).to_string()).collect();
    names.sort();
    let expected = ["gnu", "pax"].map(|kind| format!("{kind}.tar/{long}.png"));
    for (name, expected) in names.iter().zip(expected) {
        assert!(name.ends_with(&expected), "{name}");
    }
    let mut room = Decoded::default();
    assert_eq!(found.train.image(1, &mut room).unwrap().pixels[0], [9, 0, 0]);
}

/// A file of a few bytes on the disk may claim a name of gigabytes.
#[test]
fn an_extension_longer_than_a_name_is_not_read() {
    for kind in [tar::EntryType::GNULongName, tar::EntryType::XHeader] {
        let folder_ = TempDir::new().unwrap();
        let path = folder_.path().join("a.tar");
        let mut builder = tar::Builder::new(fs::File::create(&path).unwrap());
        entry(&mut builder, kind, "extension", 1 << 40, b"");
        drop(builder.into_inner().unwrap());
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(2 << 40).unwrap();
        let message = refusal(shards(folder_.path(), HELD));
        assert!(message.contains("cannot read ") && message.contains("a.tar"), "{message}");
    }
}

#[test]
fn a_size_in_an_extension_is_refused() {
    let folder_ = TempDir::new().unwrap();
    let path = folder_.path().join("a.tar");
    let mut builder = tar::Builder::new(fs::File::create(&path).unwrap());
    let size = pax("size", "9999999999");
    entry(&mut builder, tar::EntryType::XHeader, "extension", size.len() as u64, &size);
    entry(&mut builder, tar::EntryType::Regular, "1.png", 0, b"");
    builder.finish().unwrap();
    let message = refusal(shards(folder_.path(), HELD));
    assert!(message.contains("cannot read "), "{message}");
}
