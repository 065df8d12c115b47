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

/// One file under a name that no writer would write.
fn renamed(written: &str, name: &str) -> Vec<u8> {
    let mut archive = zip(|writer| add(writer, written, b"1"));
    replace(&mut archive, written.as_bytes(), name.as_bytes());
    archive
}

#[track_caller]
fn refused(archive: &[u8], expected: &str) {
    match try_install(archive) {
        Err(err) => assert!(err.contains(expected), "{err}"),
        Ok(count) => panic!("{count} files came, expected: {expected}"),
    }
}

#[test]
fn a_symbolic_link_is_refused() {
    let archive = zip(|writer| {
        writer.add_symlink("lib/a.so", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    });
    refused(&archive, "entry \"lib/a.so\" is not a regular file");
}

#[test]
fn a_name_that_comes_twice_is_refused() {
    let mut twice = zip(|writer| {
        add(writer, "lib/a.so", b"1");
        add(writer, "lib/b.so", b"2");
    });
    replace(&mut twice, b"lib/b.so", b"lib/a.so");
    refused(&twice, "two entries of the same name");
}

#[test]
fn an_absolute_path_is_refused() {
    refused(&renamed("Xlib/a", "/lib/a"), "entry \"/lib/a\" leads out of the folder");
}

#[test]
fn a_path_that_climbs_out_is_refused() {
    refused(&renamed("lib/xx/a", "lib/../a"), "entry \"lib/../a\" leads out of the folder");
}

#[test]
fn a_path_with_a_dot_is_refused() {
    refused(&renamed("lib/x/a", "lib/./a"), "entry \"lib/./a\" is not a regular file");
}

#[test]
fn a_file_of_another_size_is_refused() {
    refused(&zip(|writer| add(writer, "lib/sized", b"abcd")), "has 4 bytes, expected 3");
}

#[test]
fn a_file_over_the_cap_is_refused() {
    let archive = zip(|writer| add(writer, "lib/big", &vec![0; (1 << 20) + 1]));
    refused(&archive, "x.zip unpacks to more than 1048576 bytes, at \"lib/big\"");
}

#[test]
fn rotten_bytes_are_refused() {
    let mut rotten = zip(|writer| {
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        writer.start_file("lib/a.so", stored).unwrap();
        writer.write_all(b"0123456789").unwrap();
    });
    replace(&mut rotten, b"0123456789", b"0123456780");
    refused(&rotten, "entry \"lib/a.so\" cannot be read");
}

#[test]
fn a_page_instead_of_an_archive_is_refused() {
    refused(b"<html>not found</html>", "x.zip is not a readable zip");
}
