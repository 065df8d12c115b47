//! Any bytes behind the mark of HDF5: begin with the `.h5` files of `crates/weight-files/tests/files` as the corpus.
#![no_main]

// The parser answers for panics of the HDF5 reader; what it does not catch still ends the target.
libfuzzer_sys::fuzz_target!(init: std::panic::set_hook(Box::new(|_| {})), |bytes: &[u8]| {
    if bytes.len() > 8 {
        let marked = [b"\x89HDF\r\n\x1a\n", &bytes[8..]].concat();
        drop(weight_files::parse(&marked));
    }
});
