//! Any bytes as an archive, up to the images in it.
#![no_main]

use std::fs;

use datasets::{Decoded, Held, Source, shards};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    fs::write(folder.path().join("0.tar"), bytes).unwrap();
    if let Ok(found) = shards(folder.path(), Held { fraction: 0.5, seed: 0 }) {
        for index in 0..found.train.len() {
            drop(found.train.image(index, &mut Decoded::default()));
        }
    }
});
