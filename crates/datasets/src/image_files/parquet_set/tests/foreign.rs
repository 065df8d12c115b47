//! Files that pyarrow, polars and Hugging Face's `datasets` wrote (`tests/files/make.py`): every compression that is read.

use super::*;

/// A file beside the tests.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name)
}

/// The images of a file, all in one part.
fn all(name: &str) -> (Vec<String>, Vec<String>) {
    let found = read_holding(&file(name), &TableColumns::default(), 0.).unwrap();
    (found.train.class_names().to_vec(), images(&found.train))
}

#[test]
fn what_datasets_writes_is_read() {
    let (classes, images) = all("datasets.parquet");
    assert_eq!(classes, ["circle", "square", "cross"]);
    let expected: Vec<String> = (0..12)
        .map(|row| {
            let class = ["circle", "square", "cross"][row % 3];
            format!("datasets.parquet/{row} {class} {}", row * 20)
        })
        .collect();
    assert_eq!(images, expected);
}

#[test]
fn every_compression_and_version_is_read_alike() {
    let (classes, expected) = all("arrow-none.parquet");
    assert_eq!(classes, ["circle", "cross", "square"], "names in their order");
    for kind in ["snappy", "gzip", "zstd", "zstd-v2", "polars-zstd"] {
        let name = format!("arrow-{kind}.parquet");
        let (own, images) = all(&name);
        assert_eq!(own, classes, "{kind}");
        let renamed: Vec<String> =
            images.iter().map(|image| image.replace(&name, "arrow-none.parquet")).collect();
        assert_eq!(renamed, expected, "{kind}");
    }
}

#[test]
fn a_compression_that_is_not_read_is_named() {
    let message = refusal(read(&file("arrow-brotli.parquet")));
    assert!(
        message.ends_with("column label is compressed by BROTLI; snappy, zstd and gzip are read: write the file again with one of these"),
        "{message}"
    );
}

/// Two columns of classes, as CIFAR-100 has them there.
#[test]
fn fine_labels_are_taken_before_coarse_ones() {
    let found = read_holding(&file("coarse.parquet"), &TableColumns::default(), 0.).unwrap();
    assert_eq!(found.train.class_names(), ["circle", "square", "cross"]);
    assert_eq!(
        found.skipped.sentences(),
        ["the labels are those of column fine_label; ?label=COLUMN takes another: coarse_label"]
    );
    let coarse = TableColumns { label: Some("coarse_label".into()), ..TableColumns::default() };
    let found = read_holding(&file("coarse.parquet"), &coarse, 0.).unwrap();
    assert_eq!(found.train.class_names(), ["round", "straight"]);
}
