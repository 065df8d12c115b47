//! Any bytes: begin with `crates/weight-files/tests/files` as the corpus, or hardly anything gets past the first four.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    drop(weight_files::parse(bytes));
});
