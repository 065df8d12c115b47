//! Any bytes where weights are expected, through to tensors.
#![no_main]

use std::path::Path;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    drop(xception::weights::parse(Path::new("fuzzed"), bytes));
});
