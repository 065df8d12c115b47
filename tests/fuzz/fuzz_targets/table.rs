//! Any bytes as a table of labels, beside a few images that it may name.
#![no_main]

use datasets::{Held, Source, TableColumns, table};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.png", "b.png", "c.png", "d.png"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let file = folder.path().join("labels.csv");
    std::fs::write(&file, bytes).unwrap();
    if let Ok(found) = table(&file, &TableColumns::default(), Held { fraction: 0.5, seed: 0 }) {
        let classes = found.train.class_names().len();
        assert!(classes > 1 && !found.train.is_empty());
        for set in [&found.train, &found.test] {
            assert!((0..set.len()).all(|index| (set.label(index) as usize) < classes));
        }
    }
});
