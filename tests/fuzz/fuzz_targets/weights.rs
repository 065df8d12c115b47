//! Any bytes as a file of weights. Start with `crates/weight-files/tests/files` as the corpus: few random files pass
//! the first check.
#![no_main]

// The parser catches panics of the HDF5 reader; any other panic still ends the target.
libfuzzer_sys::fuzz_target!(init: std::panic::set_hook(Box::new(|_| {})), |bytes: &[u8]| {
    drop(weight_files::parse(bytes));
});
