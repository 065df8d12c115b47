//! Any bytes: begin with `crates/weight-files/tests/files` as the corpus, or hardly anything gets past the first four.
#![no_main]

// The parser answers for panics of the HDF5 reader; what it does not catch still ends the target.
libfuzzer_sys::fuzz_target!(init: std::panic::set_hook(Box::new(|_| {})), |bytes: &[u8]| {
    drop(weight_files::parse(bytes));
});
