//! Zips that an attacker, or a broken disk, would make.

use std::fs::{self, File};
use std::io::{Cursor, Write};

use xtask::fetch::extract::zip::{Pick, extract};
use xtask::fetch::install::install;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

type Writer = ZipWriter<Cursor<Vec<u8>>>;

/// Picks what lies in `lib/`; `lib/sized` must have 3 bytes.
fn pick(name: &str) -> Option<Pick> {
    name.starts_with("lib/")
        .then(|| Pick { to: name.into(), size: (name == "lib/sized").then_some(3) })
}

fn zip(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    write(&mut writer);
    writer.finish().unwrap().into_inner()
}

fn add(writer: &mut Writer, name: &str, data: &[u8]) {
    writer.start_file(name, SimpleFileOptions::default()).unwrap();
    writer.write_all(data).unwrap();
}

fn try_install(archive: &[u8]) -> Result<usize, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    fs::write(&path, archive).unwrap();
    let target = folder.path().join("inside/lt");
    let mut count = 0;
    let result = install(&target, &[], |into| {
        count = extract("x.zip", File::open(&path)?, &pick, 1 << 20, into)?;
        Ok(())
    });
    let left = fs::read_dir(folder.path().join("inside")).unwrap().count();
    assert_eq!(left, usize::from(result.is_ok()));
    result.map(|()| count).map_err(|err| format!("{err:#}"))
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let places: Vec<_> =
        (0..=bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
}

#[test]
fn picked_files_come_out_and_others_stay() {
    let archive = zip(|writer| {
        writer.add_directory("lib", SimpleFileOptions::default()).unwrap();
        add(writer, "lib/a.so", b"code");
        add(writer, "lib/sized", b"abc");
        add(writer, "doc/readme", b"text");
    });
    assert_eq!(try_install(&archive), Ok(2));
}

#[test]
fn hostile_entries_are_refused_by_name() {
    let link = |writer: &mut Writer| {
        writer.add_symlink("lib/a.so", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    };
    let mut twice = zip(|writer| {
        add(writer, "lib/a.so", b"1");
        add(writer, "lib/b.so", b"2");
    });
    replace(&mut twice, b"lib/b.so", b"lib/a.so");
    let mut absolute = zip(|writer| add(writer, "Xlib/a", b"1"));
    replace(&mut absolute, b"Xlib/a", b"/lib/a");
    let mut climbs = zip(|writer| add(writer, "lib/xx/a", b"1"));
    replace(&mut climbs, b"lib/xx/a", b"lib/../a");
    let mut rotten = zip(|writer| {
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        writer.start_file("lib/a.so", stored).unwrap();
        writer.write_all(b"0123456789").unwrap();
    });
    replace(&mut rotten, b"0123456789", b"0123456780");
    let mut dots = zip(|writer| add(writer, "lib/x/a", b"1"));
    replace(&mut dots, b"lib/x/a", b"lib/./a");
    for (archive, expected) in [
        (zip(link), "entry \"lib/a.so\" is not a regular file"),
        (twice, "two entries of the same name"),
        (absolute, "entry \"/lib/a\" leads out of the folder"),
        (climbs, "entry \"lib/../a\" leads out of the folder"),
        (dots, "entry \"lib/./a\" is not a regular file"),
        (zip(|writer| add(writer, "lib/sized", b"abcd")), "has 4 bytes, expected 3"),
        (
            zip(|writer| add(writer, "lib/big", &vec![0; (1 << 20) + 1])),
            "x.zip unpacks to more than 1048576 bytes, at \"lib/big\"",
        ),
        (rotten, "entry \"lib/a.so\" cannot be read"),
        (b"<html>not found</html>".to_vec(), "x.zip is not a readable zip"),
    ] {
        match try_install(&archive) {
            Err(err) => assert!(err.contains(expected), "{err}"),
            Ok(count) => panic!("{count} files came, expected: {expected}"),
        }
    }
}
