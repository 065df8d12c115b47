//! Any bytes as a pickled dictionary of numpy's arrays, and as a file of CIFAR for Python.
#![no_main]

use std::path::Path;

use datasets::Cifar;
use weight_files::{Pickled, parse_pickled};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(values) = parse_pickled(bytes) {
        for array in values.values() {
            let Pickled::Array(array) = array else { continue };
            let count: usize = array.shape.iter().product();
            assert_eq!(array.data.len(), count * array.dtype.bytes());
        }
    }
    for set in [Cifar::Cifar10, Cifar::Cifar100] {
        drop(set.parse_python(Path::new("fuzzed"), bytes, 3));
    }
});
