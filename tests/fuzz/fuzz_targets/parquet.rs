//! Any bytes as a Parquet file of images, up to the images in it.
#![no_main]

use std::fs;
use std::path::Path;

use datasets::{Decoded, Held, Source, TableColumns, parquet};

// The reader catches panics of the crate `parquet`; any other panic still ends the target.
libfuzzer_sys::fuzz_target!(init: std::panic::set_hook(Box::new(|_| {})), |bytes: &[u8]| {
    let memory = Path::new("/dev/shm");
    let folder = tempfile::tempdir_in(memory).unwrap();
    fs::write(folder.path().join("train.parquet"), bytes).unwrap();
    let held = Held { fraction: 0.5, seed: 0 };
    if let Ok(found) = parquet(folder.path(), &TableColumns::default(), held, memory) {
        let classes = found.train.class_names().len();
        for set in [&found.train, &found.test] {
            assert!((0..set.len()).all(|index| (set.label(index) as usize) < classes));
        }
        for index in 0..found.train.len() {
            drop(found.train.image(index, &mut Decoded::default()));
        }
    }
});
