//! Any bytes where a file of CIFAR-10 or CIFAR-100 is expected.
#![no_main]

use std::path::Path;

use datasets::Cifar;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for (set, record) in [(Cifar::Cifar10, 3073), (Cifar::Cifar100, 3074)] {
        drop(set.parse(Path::new("fuzzed"), bytes, bytes.len() / record));
    }
});
