//! Any bytes after the signature of HDF5. Start with the `.h5` files of `crates/weight-files/tests/files` as the
//! corpus.
#![no_main]

// The parser catches panics of the HDF5 reader; any other panic still ends the target.
libfuzzer_sys::fuzz_target!(init: std::panic::set_hook(Box::new(|_| {})), |bytes: &[u8]| {
    if bytes.len() > 8 {
        let marked = [b"\x89HDF\r\n\x1a\n", &bytes[8..]].concat();
        drop(weight_files::parse(&marked));
    }
});
