//! Any bytes as a file of weights, up to tensors.
#![no_main]

use std::path::Path;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    drop(xception::weights::parse(Path::new("fuzzed"), bytes));
});
