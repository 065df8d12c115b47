//! Any description of a network in a `.keras` archive with real weights: the first bytes are `config.json`.
#![no_main]

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const WEIGHTS: &[u8] =
    include_bytes!("../../../crates/weight-files/tests/files/nested.weights.h5");

libfuzzer_sys::fuzz_target!(|config: &[u8]| {
    // Alone, it costs no archive.
    if weight_files::KerasLayer::parse(config).is_err() {
        return;
    }
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [("config.json", config), ("model.weights.h5", WEIGHTS)] {
        archive.start_file(name, stored).unwrap();
        archive.write_all(bytes).unwrap();
    }
    drop(weight_files::parse(&archive.finish().unwrap().into_inner()));
});
