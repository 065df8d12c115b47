//! Archives for the tests: a CIFAR-10 of black images, and tar streams byte by byte.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use xtask::fetch::partial::sha256_of;

/// The name that the fetcher looks for.
pub(crate) const CIFAR10: &str = "cifar-10-binary.tar.gz";

/// One tar entry: a header with any name and type, and its data padded to 512 bytes.
pub(crate) fn entry(name: &str, kind: u8, size: u64, data: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.as_old_mut().linkflag = [kind];
    if matches!(kind, b'1' | b'2') {
        header.set_link_name("/etc/passwd").unwrap();
    }
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// A regular file.
pub(crate) fn file(name: &str, data: &[u8]) -> Vec<u8> {
    entry(name, b'0', data.len() as u64, data)
}

/// Entries as a `.tar.gz`.
pub(crate) fn tar_gz(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for entry in entries {
        encoder.write_all(entry).unwrap();
    }
    encoder.write_all(&[0; 1024]).unwrap();
    encoder.finish().unwrap()
}

/// CIFAR-10 with the official names and sizes, all zeros: 184 MB in 200 kB.
pub(crate) fn black_cifar10() -> &'static [u8] {
    static ARCHIVE: OnceLock<Vec<u8>> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let batch = vec![0; 30_730_000];
        let names = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4"];
        let names = names.into_iter().chain(["data_batch_5", "test_batch"]);
        let mut entries = vec![entry("cifar-10-batches-bin/", b'5', 0, b"")];
        entries.extend(names.map(|name| file(&format!("cifar-10-batches-bin/{name}.bin"), &batch)));
        entries.push(file("cifar-10-batches-bin/batches.meta.txt", b"airplane\n"));
        tar_gz(&entries)
    })
}

/// The line with which a mirror vouches for `archive`.
pub(crate) fn sums(archive: &[u8]) -> String {
    format!("{}  {CIFAR10}\n", sha256_of(archive).unwrap().0)
}

/// A mirror folder with the black CIFAR-10.
pub(crate) fn mirror(folder: &Path) {
    fs::write(folder.join(CIFAR10), black_cifar10()).unwrap();
    fs::write(folder.join("SHA256SUMS"), sums(black_cifar10())).unwrap();
}
