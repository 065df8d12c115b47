//! Any bytes as a file of CIFAR-10 or CIFAR-100, and whole records with any labels.
#![no_main]

use std::path::Path;

use datasets::Cifar;

/// The pixels of an image, in bytes.
const PIXELS: usize = 3 * 32 * 32;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for set in [Cifar::Cifar10, Cifar::Cifar100] {
        let file = Path::new("fuzzed");
        drop(set.parse(file, bytes, bytes.len() / set.record_bytes()));
        // Random bytes rarely have a length that passes the first check.
        let labels = bytes.chunks_exact(set.record_bytes() - PIXELS);
        let records: Vec<u8> = labels
            .clone()
            .flat_map(|labels| labels.iter().copied().chain(bytes.iter().copied().cycle().take(PIXELS)))
            .collect();
        if let Ok(read) = set.parse(file, &records, labels.len()) {
            assert_eq!((read.labels.len(), read.pixels.len()), (labels.len(), labels.len() * PIXELS));
        }
    }
});
