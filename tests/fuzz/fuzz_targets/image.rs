//! Any bytes as an image.
#![no_main]

use datasets::{Decoded, decode};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    drop(decode(bytes, &mut Decoded::default()));
});
