//! Tar archives that an attacker, or a broken disk, would make.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::{Compress, Compression, FlushCompress, Status};
use xtask::fetch::artefact::Size;
use xtask::fetch::extract::Wanted;
use xtask::fetch::extract::tar::{Contents, extract};
use xtask::fetch::install::install;
use xtask::fetch::partial::sha256_of;

use super::archives::{entry, file, tar_gz};

const A: &[u8] = &[1; 1000];

fn wanted(sha256: Option<&str>) -> [Wanted<'_>; 2] {
    [
        Wanted { path: "a.bin", size: Size::Exactly(1000), sha256, required: true },
        Wanted { path: "notes.txt", size: Size::AtMost(100), sha256: None, required: false },
    ]
}

/// Installs an archive as `fetch` does; on failure nothing may be left.
fn try_install(archive: &[u8], contents: &Contents<'_>) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    fs::write(&path, archive).unwrap();
    let target = folder.path().join("inside/set");
    let result = install(&target, &[], |into| extract(File::open(&path)?, contents, into));
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let beside = names(&folder.path().join("inside"));
    match result {
        Ok(()) => {
            assert_eq!(beside, ["set"]);
            assert_eq!(fs::read(target.join("a.bin")).unwrap().len(), 1000);
            Ok(names(&target))
        }
        Err(err) => {
            assert_eq!(beside, Vec::<String>::new(), "left over after {err:#}");
            Err(format!("{err:#}"))
        }
    }
}

fn install_entries(entries: &[Vec<u8>]) -> Result<Vec<String>, String> {
    let contents = Contents { folder: "set", files: &wanted(None), official: false };
    try_install(&tar_gz(entries), &contents)
}

#[test]
fn what_is_expected_is_taken() {
    let folder = entry("set/", b'5', 0, b"");
    let notes = file("./set/notes.txt", b"hello");
    let all = ["a.bin", "notes.txt", "provenance.json"];
    assert_eq!(install_entries(&[folder, file("set/a.bin", A), notes]).unwrap(), all);
    let old_style = entry("set/a.bin", 0, 1000, A);
    assert_eq!(install_entries(&[old_style]).unwrap(), ["a.bin", "provenance.json"]);
}

#[test]
fn a_pax_header_changes_neither_name_nor_size() {
    let record = b"19 path=../../evil\n22 size=99999999999999\n";
    let pax = entry("x", b'x', record.len() as u64, record);
    let names = install_entries(&[pax, file("set/a.bin", A)]).unwrap();
    assert_eq!(names, ["a.bin", "provenance.json"]);
}

/// One test for each archive that must be refused with a message.
macro_rules! refused {
    ($($name:ident: $entries:expr => $expected:expr;)*) => {$(
        #[test]
        fn $name() {
            let err = install_entries(&$entries).unwrap_err();
            assert!(err.contains($expected), "{err}");
        }
    )*};
}

/// An entry for `notes.txt` that is no regular file, after the file that must be there.
fn special(kind: u8) -> [Vec<u8>; 2] {
    [file("set/a.bin", A), entry("set/notes.txt", kind, 0, b"")]
}

/// A file after the one that must be there.
fn beside(name: &str, data: &[u8]) -> [Vec<u8>; 2] {
    [file("set/a.bin", A), file(name, data)]
}

refused! {
    an_absolute_path: beside("/etc/evil", A) => "entry \"/etc/evil\" leads out of the folder";
    a_path_that_climbs_out: beside("set/../../evil", A) => "entry \"set/../../evil\" leads out of the folder";
    a_folder_above: [file("set/a.bin", A), entry("../", b'5', 0, b"")] => "entry \"../\" leads out of the folder";
    a_symbolic_link: special(b'2') => "entry \"set/notes.txt\" is a symbolic link, not a regular file";
    a_hard_link: special(b'1') => "entry \"set/notes.txt\" is a hard link, not a regular file";
    a_character_device: special(b'3') => "is a device, not a regular file";
    a_block_device: special(b'4') => "is a device, not a regular file";
    a_pipe: special(b'6') => "is a pipe, not a regular file";
    a_sparse_file: special(b'S') => "is a sparse file, not a regular file";
    an_unknown_type: special(b'Z') => "is of type 'Z', not a regular file";
    an_overlong_name: [file("set/a.bin", A), entry("x", b'L', 10 << 30, b"long")]
        => "is an overlong name, not a regular file";
    an_overlong_pax_header: [file("set/a.bin", A), entry("x", b'x', 10 << 30, b"long")]
        => "is an overlong PAX header, not a regular file";
    a_file_that_comes_twice: beside("set/a.bin", A) => "entry \"a.bin\" comes twice";
    an_unknown_file: beside("set/b.bin", A) => "entry \"set/b.bin\" is not one of the known files of set";
    a_file_outside_the_folder: beside("a.bin", A) => "entry \"a.bin\" is not one of the known files of set";
    a_file_in_a_deeper_folder: beside("set/x/a.bin", A) => "entry \"set/x/a.bin\" is not one of the known files";
    a_file_over_its_cap: beside("set/notes.txt", &[0; 101]) => "has 101 bytes, expected at most 100 bytes";
    a_file_that_is_too_short: [file("set/a.bin", &[0; 999])] => "has 999 bytes, expected 1000 bytes";
    a_file_that_is_too_long: [file("set/a.bin", &[0; 1001])] => "has 1001 bytes, expected 1000 bytes";
    an_archive_without_the_file: [file("set/notes.txt", b"")] => "\"a.bin\" is not in the archive";
    an_empty_archive: [] => "\"a.bin\" is not in the archive";
}

#[test]
fn damaged_archives_are_refused() {
    let contents = Contents { folder: "set", files: &wanted(None), official: false };
    let archive = tar_gz(&[file("set/a.bin", A)]);
    let err = try_install(b"<html>not found</html>", &contents).unwrap_err();
    assert!(err.contains("not a readable .tar.gz"), "{err}");
    for cut in (0..archive.len() - 8).step_by(7) {
        // The last blocks are padding; without them all of the file may still be there.
        if let Err(err) = try_install(&archive[..cut], &contents) {
            let known = ["not a readable .tar.gz", "cannot be read", "not in the archive", "ends"];
            assert!(known.iter().any(|text| err.contains(text)), "{cut}: {err}");
        }
    }
}

#[test]
fn official_hashes_count_for_official_archives_only() {
    let archive = tar_gz(&[file("set/a.bin", A)]);
    let right = sha256_of(A).unwrap().0;
    for (sha256, official, ok) in
        [(right.as_str(), true, true), ("00", true, false), ("00", false, true)]
    {
        let contents = Contents { folder: "set", files: &wanted(Some(sha256)), official };
        let result = try_install(&archive, &contents);
        assert_eq!(result.is_ok(), ok, "{result:?}");
        if let Err(err) = result {
            assert_eq!(err, format!("entry \"a.bin\" has sha256 {right}, expected 00"));
        }
    }
}

/// A gzip stream of `start` and then `zeros` zero bytes, in a thousandth of the space and time.
fn bomb(start: &[u8], zeros: u64) -> Vec<u8> {
    let block = vec![0; 16 << 20];
    let mut compress = Compress::new(Compression::best(), false);
    let mut deflate = |data: &[u8]| {
        let mut out = Vec::with_capacity(data.len() / 8 + 4096);
        let status = compress.compress_vec(data, &mut out, FlushCompress::Sync).unwrap();
        assert_eq!(status, Status::Ok);
        out
    };
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    gzip.extend(deflate(start));
    gzip.extend(deflate(&block));
    // From here on each block of zeros follows zeros, so that its bytes can be repeated.
    let repeated = deflate(&block);
    for _ in 1..zeros.div_ceil(block.len() as u64) {
        gzip.write_all(&repeated).unwrap();
    }
    gzip
}

#[test]
fn ten_gigabytes_of_zeros_are_refused_at_once() {
    let contents = Contents { folder: "set", files: &wanted(None), official: false };
    let ten = 10_u64 << 30;
    let header = |size| entry("set/a.bin", b'0', size, b"");
    let named = |name, kind| entry(name, kind, ten, b"");
    for (start, expected) in [
        (header(ten), "has 10737418240 bytes, expected 1000 bytes"),
        (named("set/notes.txt", b'0'), "has 10737418240 bytes, expected at most 100 bytes"),
        (named("set/", b'5'), "not a readable .tar.gz"),
        (named("x", b'g'), "is an overlong PAX header"),
        (Vec::new(), "\"a.bin\" is not in the archive"),
    ] {
        let archive = bomb(&start, ten);
        let clock = Instant::now();
        let err = try_install(&archive, &contents).unwrap_err();
        assert!(err.contains(expected), "{err}");
        assert!(clock.elapsed() < Duration::from_secs(2), "{:?}: {err}", clock.elapsed());
    }
}

#[test]
fn folders_without_end_are_cut_off() {
    let contents = Contents { folder: "set", files: &wanted(None), official: false };
    let folders = entry("set/", b'5', 0, b"").repeat(100_000);
    let err = try_install(&tar_gz(&[folders, file("set/a.bin", A)]), &contents).unwrap_err();
    assert_eq!(err, "not a readable .tar.gz: it unpacks to more than 16778316 bytes");
}
