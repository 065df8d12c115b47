//! Any `config.json`, or any index, in a folder of the Hugging Face hub.
#![no_main]

use std::collections::BTreeMap;
use std::fs;

use xception::weights::{read_contents, serialize};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let weights = folder.path().join("model.safetensors");
    fs::write(&weights, serialize(&weights, &BTreeMap::new(), &BTreeMap::new()).unwrap()).unwrap();
    fs::write(folder.path().join("config.json"), bytes).unwrap();
    drop(read_contents(folder.path()));
    let index = folder.path().join("model.safetensors.index.json");
    fs::write(&index, bytes).unwrap();
    drop(read_contents(&index));
});
