//! Parquet files that the tests write, and the text of every refusal.

mod damaged;
mod foreign;
mod written;

use std::path::Path;

use self::written::{Labels, Table, write};
use super::*;
use crate::{Decoded, ImageFiles, Source};

const HELD: Held = Held { fraction: 0.25, seed: 3 };

fn read(path: &Path) -> Result<Found, Error> {
    read_as(path, &TableColumns::default())
}

fn read_as(path: &Path, columns: &TableColumns) -> Result<Found, Error> {
    read_holding(path, columns, HELD.fraction)
}

/// Reads `path` with a spool in a folder of its own, and holds back a `fraction` of the images.
fn read_holding(path: &Path, columns: &TableColumns, fraction: f64) -> Result<Found, Error> {
    let spool = tempfile::tempdir().unwrap();
    parquet(path, columns, Held { fraction, ..HELD }, spool.path())
}

fn refusal(found: Result<Found, Error>) -> String {
    found.err().expect("a refusal").to_string()
}

/// `name class` of every image, without the digest, and the red of its first pixel.
fn images(set: &ImageFiles) -> Vec<String> {
    let image = |index: usize| {
        let mut room = Decoded::default();
        let red = set.image(index, &mut room).unwrap().pixels[0][0];
        let class = &set.class_names()[set.label(index) as usize];
        let (name, _) = set.file(index).unwrap();
        let digest = crate::content_in_name(&name).expect("a digest");
        format!("{} {class} {red}", name.strip_suffix(digest).unwrap().trim_end_matches('#'))
    };
    (0..set.len()).map(image).collect()
}

fn numbers(labels: &[i64]) -> Labels {
    Labels::Numbers(labels.iter().copied().map(Some).collect())
}

fn texts(labels: &[&str]) -> Labels {
    Labels::Texts(labels.iter().map(ToString::to_string).collect())
}

#[test]
fn the_layout_of_the_hub_is_read() {
    let root = tempfile::tempdir().unwrap();
    let names = ["cat", "dog", "owl"];
    let train = Table { names: Some(&names), ..Table::new(numbers(&[2, 0, 1, -1, 0])) };
    write(root.path(), "data/train-00000-of-00002.parquet", &train);
    write(root.path(), "data/train-00001-of-00002.parquet", &Table { first: 5, ..train.clone() });
    let test = Table { names: Some(&names), first: 20, ..Table::new(numbers(&[1, 1])) };
    write(root.path(), "data/test-00000-of-00001.parquet", &test);
    let found = read(root.path()).unwrap();
    assert_eq!(found.train.class_names(), names);
    assert!(!found.held && found.validation.is_none());
    assert_eq!(
        images(&found.train),
        [
            "data/train-00000-of-00002.parquet/0.png owl 0",
            "data/train-00000-of-00002.parquet/1.png cat 1",
            "data/train-00000-of-00002.parquet/2.png dog 2",
            "data/train-00000-of-00002.parquet/4.png cat 4",
            "data/train-00001-of-00002.parquet/5.png owl 5",
            "data/train-00001-of-00002.parquet/6.png cat 6",
            "data/train-00001-of-00002.parquet/7.png dog 7",
            "data/train-00001-of-00002.parquet/9.png cat 9",
        ]
    );
    assert_eq!(images(&found.test)[1], "data/test-00000-of-00001.parquet/21.png dog 21");
    assert_eq!(found.test.file(1).unwrap().1, written::png(21).len() as u64);
    assert_eq!(
        found.skipped.sentences(),
        ["2 of 10 images of the training set have no label, and are left out"]
    );
}

#[test]
fn plain_columns_and_labels_of_any_type_are_read() {
    let cases: [(&str, Table<'_>, [&str; 2]); 5] = [
        ("texts", Table::new(texts(&["b", "a", "b", "a"])), ["a", "b"]),
        ("numbers", Table::new(numbers(&[9, 10, 9, 10])), ["9", "10"]),
        ("floats", Table::new(Labels::Floats(vec![1., 0., f64::NAN, 0., 1.])), ["0", "1"]),
        ("32 bits", Table::new(Labels::Short(vec![1, 0, 1, 0])), ["0", "1"]),
        ("booleans", Table::new(Labels::Bools(vec![true, false, true, false])), ["false", "true"]),
    ];
    for (case, table, classes) in cases {
        for table in [table.clone(), Table { is_plain: true, ..table }] {
            let root = tempfile::tempdir().unwrap();
            write(root.path(), "train.parquet", &table);
            let found = parquet(
                root.path(),
                &TableColumns::default(),
                Held { fraction: 0., ..HELD },
                root.path(),
            );
            let found = found.unwrap();
            assert_eq!(
                (found.train.class_names(), found.train.len()),
                (&classes.map(String::from)[..], 4),
                "{case}"
            );
            assert!(!found.held && found.test.is_empty());
        }
    }
}

#[test]
fn a_part_of_every_class_is_held_back_where_there_is_no_test_set() {
    let root = tempfile::tempdir().unwrap();
    let labels: Vec<i64> = (0..80).map(|number| number % 2).collect();
    write(root.path(), "0000.parquet", &Table::new(numbers(&labels)));
    let found = read(root.path()).unwrap();
    assert!(found.held);
    assert_eq!(found.train.len() + found.test.len(), 80);
    assert!((10..30).contains(&found.test.len()), "{}", found.test.len());
    let again = read(&root.path().join("0000.parquet")).unwrap();
    assert_eq!(images(&found.test), images(&again.test), "a file alone is the same set");
}

#[test]
fn an_image_stays_on_its_side_when_files_move() {
    let sides = |names: &[&str], rows: usize| {
        let root = tempfile::tempdir().unwrap();
        for (number, name) in names.iter().enumerate() {
            let labels: Vec<i64> = (0..rows as i64).map(|row| row % 2).collect();
            write(
                root.path(),
                name,
                &Table { first: (rows * number) as u8, ..Table::new(numbers(&labels)) },
            );
        }
        let held = read(root.path()).unwrap().test;
        let reds =
            images(&held).into_iter().map(|image| image.rsplit(' ').next().unwrap().to_string());
        reds.collect::<std::collections::BTreeSet<String>>()
    };
    let one = sides(&["train.parquet"], 40);
    assert_eq!(sides(&["data/train-00000-of-00001.parquet"], 40), one);
    assert_eq!(sides(&["0.parquet", "1.parquet"], 20), one);
}

#[test]
fn paths_name_images_where_each_has_one() {
    let table = Table::new(numbers(&[0, 1, 0, 1]));
    let no_paths = Table { paths: vec![None; 4], ..table.clone() };
    let mut twice = table.clone();
    twice.paths[1] = twice.paths[0].clone();
    let absolute =
        Table { paths: (0..4).map(|n| Some(format!("/a/{n}.png"))).collect(), ..table.clone() };
    for (table, expected) in
        [(table, "3.png"), (no_paths, "3"), (twice, "3"), (absolute, "a/3.png")]
    {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "train.parquet", &table);
        let found = read(root.path()).unwrap();
        let all: Vec<String> = [images(&found.train), images(&found.test)].concat();
        let expected = format!("train.parquet/{expected} 1 3");
        assert!(all.contains(&expected), "{expected}: {all:?}");
    }
}

#[test]
fn images_beside_the_file_are_read_and_others_left_out() {
    let root = tempfile::tempdir().unwrap();
    let mut table = Table::new(numbers(&[0, 1, 0, 1, 0, 1]));
    for row in [0, 1, 2] {
        table.missing.push(row);
    }
    table.paths[2] = None;
    write(root.path(), "train.parquet", &table);
    std::fs::write(root.path().join("0.png"), written::png(77)).unwrap();
    let found = read(root.path()).unwrap();
    let all: Vec<String> = [images(&found.train), images(&found.test)].concat();
    assert!(all.len() == 4 && all.contains(&"train.parquet/0.png 0 77".to_string()), "{all:?}");
    assert_eq!(
        found.skipped.sentences(),
        [
            "1 of 6 rows have no image, and are left out",
            "1 of 6 rows name images that are not there, and are left out: 1.png",
        ]
    );
    let folder = TableColumns { folder: Some("none".into()), ..TableColumns::default() };
    table.missing = (0..6).collect();
    write(root.path(), "train.parquet", &table);
    let message = refusal(read_as(root.path(), &folder));
    assert!(message.contains("none of the 6 files is there, such as '0.png'"), "{message}");
}

#[test]
fn a_test_set_without_labels_is_ignored_and_said() {
    let names = ["cat", "dog"];
    let train = Table { names: Some(&names), ..Table::new(numbers(&[0, 1, 0, 1])) };
    let unlabelled = Table { names: Some(&names), ..Table::new(numbers(&[-1, -1])) };
    let without = Table { labels: None, ..unlabelled.clone() };
    for test in [unlabelled, without] {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "train-0.parquet", &train);
        write(root.path(), "test-0.parquet", &test);
        let found = read(root.path()).unwrap();
        assert!(found.held && found.train.len() + found.test.len() == 4);
        let said = found.skipped.sentences();
        assert_eq!(said, ["the test set is ignored: none of its 2 images has a label"]);
        write(root.path(), "validation-0.parquet", &Table { first: 9, ..train.clone() });
        let found = read(root.path()).unwrap();
        assert!(!found.held && found.validation.is_none() && found.test.len() == 4);
    }
}

#[test]
fn classes_of_the_test_set_alone_are_left_out_and_said() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "train.parquet", &Table::new(texts(&["cat", "owl", "cat"])));
    write(root.path(), "test.parquet", &Table::new(texts(&["owl", "emu", "dog", "emu"])));
    let found = read(root.path()).unwrap();
    assert_eq!(found.train.class_names(), ["cat", "owl"]);
    assert_eq!(images(&found.train)[1], "train.parquet/1.png owl 1");
    assert_eq!(images(&found.test), ["test.parquet/0.png owl 0"]);
    assert_eq!(
        found.skipped.sentences(),
        [
            "3 images of the test set are left out: their classes are not in the training set (dog, emu)"
        ]
    );
    write(root.path(), "test.parquet", &Table::new(texts(&["Cat", "Owl"])));
    let message = refusal(read(root.path()));
    assert!(message.contains("are not in the training set: Cat, Owl"), "{message}");
}

#[test]
fn a_column_may_say_the_parts() {
    let root = tempfile::tempdir().unwrap();
    let parts = |parts: &[&str]| Some(parts.iter().map(ToString::to_string).collect());
    let table = Table::new(numbers(&[0, 1, 0, 1]));
    let split = parts(&["train", "training", "test", "Val"]);
    write(root.path(), "all.parquet", &Table { split, ..table.clone() });
    let found = read(root.path()).unwrap();
    let counts = [found.train.len(), found.validation.unwrap().len(), found.test.len()];
    assert_eq!(counts, [2, 1, 1]);
    write(
        root.path(),
        "all.parquet",
        &Table { split: parts(&["1", "2", "3", "4"]), ..table.clone() },
    );
    let said = read(root.path()).unwrap().skipped.sentences();
    assert_eq!(said, ["column split is ignored: its values are not train, val or test"]);
    let asked = TableColumns { split: Some("Split".into()), ..TableColumns::default() };
    let message = refusal(read_as(root.path(), &asked));
    assert!(message.contains("some of its values are no part: '1', '2', '3', '4'"), "{message}");
    write(
        root.path(),
        "all.parquet",
        &Table { split: parts(&["test", "val", "test", "val"]), ..table },
    );
    let message = refusal(read(root.path()));
    assert!(message.ends_with("column split has no rows for train"), "{message}");
}

#[test]
fn doubts_and_sets_that_are_none_are_refused() {
    let names = ["cat", "dog"];
    let table = Table { names: Some(&names), ..Table::new(numbers(&[0, 1])) };
    let label = |name: &str| TableColumns { label: Some(name.into()), ..TableColumns::default() };
    let image = |name: &str| TableColumns { image: Some(name.into()), ..TableColumns::default() };
    let any = TableColumns::default();
    let separator = TableColumns { separator: Some('|'), ..TableColumns::default() };
    let labels = TableColumns { labels: Some(vec!["cat".into()]), ..TableColumns::default() };
    let cases: [(&str, Table<'_>, TableColumns, &str); 10] = [
        (
            "a separator",
            table.clone(),
            separator,
            "archives only (csv:FILE?separator=…, shards:DIR)",
        ),
        (
            "columns of classes",
            table.clone(),
            labels,
            "archives only (csv:FILE?labels=…, shards:DIR)",
        ),
        (
            "no such column",
            table.clone(),
            label("kind"),
            "there is no column 'kind'; it has image, label",
        ),
        ("no bytes", table.clone(), image("label"), "column label holds numbers and no images"),
        (
            "bytes as label",
            table.clone(),
            label("image"),
            "column image holds bytes, which are no labels",
        ),
        (
            "no label",
            Table { labels: None, ..table.clone() },
            any.clone(),
            "no column for their labels",
        ),
        (
            "a list",
            Table { is_list: true, ..table.clone() },
            any.clone(),
            "column label holds lists, which are several labels; those are read from tables and archives only",
        ),
        (
            "beyond the names",
            Table { names: Some(&names), ..Table::new(numbers(&[0, 2])) },
            any.clone(),
            "has the label 2, and the file names only 2 classes",
        ),
        ("one class", Table::new(texts(&["a", "a"])), any.clone(), "all rows have the label 'a'"),
        ("no rows", Table::new(numbers(&[])), any, "none of its 0 rows has an image"),
    ];
    for (case, table, columns, expected) in cases {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "train.parquet", &table);
        let message = refusal(read_as(root.path(), &columns));
        assert!(message.contains(expected), "{case}: {message}");
    }
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "train-0.parquet", &table);
    write(root.path(), "train-1.parquet", &Table { names: Some(&["dog", "cat"]), ..table });
    let message = refusal(read(root.path()));
    assert!(message.contains("train-1.parquet: the classes of column label have other names here than in train-0.parquet"), "{message}");
}

/// A spool has no name, and a set that was read needs its files no more.
#[test]
fn a_set_leaves_nothing_in_the_folder_of_its_spool() {
    let (root, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(root.path(), "train.parquet", &Table::new(numbers(&[0, 1, 0, 1])));
    let found = parquet(root.path(), &TableColumns::default(), HELD, folder.path()).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    std::fs::remove_file(root.path().join("train.parquet")).unwrap();
    assert_eq!(images(&found.train).len() + images(&found.test).len(), 4);
    let message = refusal(parquet(root.path(), &TableColumns::default(), HELD, folder.path()));
    assert!(message.contains("holds no Parquet files"), "{message}");
}
