//! Folders and archives of images, made by the tests.

mod extensions;
mod parts;
mod several;

use std::fs;
use std::path::Path;

use image::{ImageFormat, RgbImage};
use tempfile::TempDir;

use super::*;
use crate::{
    Augmentation, Broken, Fit, Interpolation, LastBatch, Loader, LoaderConfig, Normalization,
    Order, Share,
};

const HELD: Held = Held { fraction: 0.25, seed: 3 };

/// An image of one colour.
fn png(colour: [u8; 3], width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = RgbImage::from_pixel(width, height, image::Rgb(colour));
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn put(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Writes `count` images into each of `classes`, of different sizes; the colour is class and number.
fn fill(root: &Path, classes: &[&str], count: usize) {
    for (label, class) in classes.iter().enumerate() {
        for number in 0..count {
            let image = png([label as u8, number as u8, 9], 8 + number as u32, 10);
            put(root, &format!("{class}/{number:03}.png"), &image);
        }
    }
}

fn names(set: &ImageFiles) -> Vec<String> {
    (0..set.len()).map(|index| set.name(index)).collect()
}

fn refusal(found: Result<Found, Error>) -> String {
    found.err().expect("a refusal").to_string()
}

#[test]
fn a_part_of_every_class_is_held_back_by_the_seed() {
    let folder_ = TempDir::new().unwrap();
    let root = folder_.path();
    fill(root, &["cat", "ant", "bee"], 40);
    put(root, "cat/deeper/still.JPG", &png([0; 3], 4, 4));
    put(root, "cat/notes.txt", b"");
    put(root, "README", b"");
    put(root, ".hidden/x.png", b"");
    let found = folder(root, HELD).unwrap();
    assert!(found.held && found.skipped.files() == 2);
    assert_eq!(found.train.class_names(), ["ant", "bee", "cat"]);
    let of =
        |set: &ImageFiles, class: u32| (0..set.len()).filter(|&i| set.label(i) == class).count();
    let held = [0, 1, 2].map(|class| of(&found.test, class));
    assert!(held.iter().all(|held| (4..=18).contains(held)), "about a quarter: {held:?}");
    let both: std::collections::BTreeSet<String> =
        names(&found.train).into_iter().chain(names(&found.test)).collect();
    assert_eq!((both.len(), found.train.len() + found.test.len()), (121, 121));
    assert_eq!(names(&found.test), names(&folder(root, HELD).unwrap().test));
    let other = folder(root, Held { seed: 4, ..HELD }).unwrap();
    assert_ne!(names(&found.test), names(&other.test));
}

/// A set that grows: no image that was trained on becomes a test image, and none the other way round.
#[test]
fn images_stay_on_their_side_when_others_are_added() {
    let folder_ = TempDir::new().unwrap();
    let root = folder_.path();
    fill(root, &["ant", "bee"], 20);
    let before = folder(root, HELD).unwrap();
    fill(root, &["ant", "bee", "cat"], 60);
    let after = folder(root, HELD).unwrap();
    for (before, after) in [(&before.train, &after.train), (&before.test, &after.test)] {
        let after = names(after);
        assert!(names(before).iter().all(|name| after.contains(name)));
    }
}

#[test]
fn folders_that_are_no_set_are_refused() {
    let folder_ = TempDir::new().unwrap();
    let root = folder_.path();
    assert!(refusal(folder(&root.join("nowhere"), HELD)).starts_with("cannot read "));
    assert!(refusal(folder(root, HELD)).contains("holds 0 folders of images"));
    fill(root, &["a"], 2);
    assert!(refusal(folder(root, HELD)).contains("holds 1 folder of images"));
    fs::create_dir(root.join("b")).unwrap();
    assert!(refusal(folder(root, HELD)).contains("b holds no image (.jpg"));
    fill(root, &["b"], 1);
    assert!(
        refusal(folder(root, HELD)).starts_with("1 class has one image each (b); two are needed")
    );
    fill(root, &["b"], 2);
    for fraction in [-0.1, 1.0, f64::NAN] {
        let message = refusal(folder(root, Held { fraction, ..HELD }));
        assert!(message.contains("expected at least 0 and below 1"), "{message}");
    }
}

fn config(batch_size: usize) -> LoaderConfig {
    LoaderConfig {
        batch_size,
        share: Share::WHOLE,
        order: Order::Sequential,
        seed: 1,
        augmentation: Augmentation::default(),
        normalization: Normalization { mean: [0.; 3], std: [1. / 255.; 3] },
        last_batch: LastBatch::Keep,
        fit: Some(Fit {
            side: 4,
            crop_fraction: 1.,
            interpolation: Interpolation::Bilinear,
            shape: crate::Shape::Crop,
        }),
        broken: Broken::Refuse,
        prefetch: 4,
        workers: 2,
    }
}

#[test]
fn images_of_all_sizes_come_out_in_one_and_in_order() {
    let folder_ = TempDir::new().unwrap();
    fill(folder_.path(), &["a", "b"], 9);
    let set = folder(folder_.path(), HELD).unwrap().train;
    let expected: Vec<(f64, i64)> = (0..set.len())
        .map(|index| {
            let mut room = Decoded::default();
            let colour = set.image(index, &mut room).unwrap().pixels[0];
            (f64::from(colour[1]), i64::from(set.label(index)))
        })
        .collect();
    for (prefetch, workers) in [(0, 1), (1, 1), (4, 2), (9, 5)] {
        let loader =
            Loader::new(set.clone(), LoaderConfig { prefetch, workers, ..config(4) }).unwrap();
        let mut got = Vec::new();
        for batch in loader.epoch(0) {
            let batch = batch.unwrap();
            assert_eq!(batch.images.size()[1..], [3, 4, 4]);
            for n in 0..batch.indices.len() as i64 {
                let number = batch.images.double_value(&[n, 1, 2, 3]).round();
                got.push((number, batch.labels.int64_value(&[n])));
            }
        }
        assert_eq!(got, expected, "{workers} workers, prefetch {prefetch}");
    }
    let error = Loader::new(set, LoaderConfig { fit: None, ..config(4) }).err().unwrap();
    assert!(error.to_string().contains("have different sizes"), "{error}");
}

#[test]
fn a_broken_image_is_named_and_left_out_or_refused() {
    let folder_ = TempDir::new().unwrap();
    let root = folder_.path();
    fill(root, &["a", "b"], 4);
    put(root, "a/001.png", b"\x89PNG\r\n\x1a\n and no more");
    let whole = png([1, 2, 3], 9, 9);
    put(root, "b/002.png", &whole[..whole.len() / 2]);
    let set = folder(root, Held { fraction: 0.01, seed: 1 }).unwrap();
    let held: Vec<String> = names(&set.test);
    let broken: Vec<String> = ["a/001.png", "b/002.png"]
        .map(|name| root.join(name).display().to_string())
        .into_iter()
        .filter(|name| !held.contains(name))
        .collect();
    assert!(!broken.is_empty());
    let leaving = LoaderConfig { broken: Broken::LeaveOut, ..config(3) };
    let loader = Loader::new(set.train.clone(), leaving).unwrap();
    let mut left_out = Vec::new();
    let mut kept = 0;
    for batch in loader.epoch(0) {
        let batch = batch.unwrap();
        assert_eq!(batch.images.size()[0] as usize, batch.indices.len());
        kept += batch.indices.len();
        left_out.extend(batch.left_out.iter().map(|broken| set.train.name(broken.index as usize)));
    }
    assert_eq!(left_out, broken);
    assert_eq!(kept + broken.len(), set.train.len());
    let loader = Loader::new(set.train, config(3)).unwrap();
    let error = loader.epoch(0).find_map(Result::err).unwrap().to_string();
    assert!(error.starts_with(&format!("{} cannot be decoded: ", broken[0])), "{error}");
}

/// Writes archives of four images each; the colour of an image is its number.
fn fill_archives(root: &Path, names: &[&str]) {
    for (shard, name) in names.iter().enumerate() {
        let samples = (0..4).map(|sample| (shard * 4 + sample) as u8);
        let entries: Vec<(String, Vec<u8>)> = samples
            .flat_map(|number| {
                let label = format!("{}\n", number % 2).into_bytes();
                let image = png([number, 0, 0], 5, 5);
                [
                    (format!("set/{number:04}.cls"), label),
                    (format!("set/{number:04}.png"), image),
                    (format!("set/{number:04}.json"), b"{}".to_vec()),
                ]
            })
            .collect();
        let entries: Vec<(&str, &[u8])> =
            entries.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
        archive(&root.join(name), &entries);
    }
}

fn archive(path: &Path, entries: &[(&str, &[u8])]) {
    let mut builder = tar::Builder::new(fs::File::create(path).unwrap());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.finish().unwrap();
}

#[test]
fn archives_are_read_where_their_images_lie() {
    let folder_ = TempDir::new().unwrap();
    let root = folder_.path();
    fill_archives(root, &["train-0.tar", "train-1.tar", "val-2.tar"]);
    // Neither of the two sets, so it is ignored.
    put(root, "other.tar", b"no archive");
    let found = shards(root, HELD).unwrap();
    assert!(!found.held && found.skipped.files() == 12);
    assert_eq!((found.train.len(), found.test.len()), (8, 4));
    assert_eq!(found.train.class_names(), ["0", "1"]);
    let mut room = Decoded::default();
    for index in [7, 0, 3] {
        let image = found.train.image(index, &mut room).unwrap();
        assert_eq!(image.pixels[0], [index as u8, 0, 0]);
        assert_eq!(found.train.label(index), index as u32 % 2);
    }
    assert!(found.train.name(5).ends_with("train-1.tar/set/0005.png"));
    for list in [&b"even\nodd\n"[..], b"\xef\xbb\xbfeven\r\nodd\r\n", b"\xef\xbb\xbfeven\nodd"] {
        put(root, "classes.txt", list);
        assert_eq!(shards(root, HELD).unwrap().test.class_names(), ["even", "odd"]);
    }
    put(root, "classes.txt", b"even\n");
    assert!(refusal(shards(root, HELD)).starts_with("label 1 has no name"));
}

#[test]
fn archives_that_are_no_set_are_refused() {
    let folder_ = TempDir::new().unwrap();
    let root = folder_.path();
    assert!(refusal(shards(root, HELD)).contains("holds no archives (.tar)"));
    let image = png([0; 3], 4, 4);
    let check = |entries: &[(&str, &[u8])], expected: &str| {
        archive(&root.join("a.tar"), entries);
        let message = refusal(shards(root, HELD));
        assert!(message.contains(expected), "{message}");
    };
    check(&[("1.png", &image)], "1 has an image but no label (1.cls)");
    check(&[("1.png", &image), ("2.cls", b"0")], "1 has an image but no label (1.cls)");
    check(&[("1.png", &image), ("1.cls", b"one")], "1.cls is not a label: \"one\"");
    check(&[("1.txt", b"")], "holds no archives (.tar) with images");
    check(
        &[("1.png", &image), ("1.cls", b"4000000000")],
        "a.tar/1.png has label 4000000000, but there are only 1 images",
    );
    fs::write(root.join("a.tar"), [7; 2000]).unwrap();
    assert!(refusal(shards(root, HELD)).starts_with("cannot read "));
}

/// Memory is taken for every class, whichever set its label is in.
#[test]
fn a_label_far_beyond_the_images_is_refused_in_either_set() {
    for (of_train, of_test, name) in
        [("4294967295", "0", "train.tar/1.png"), ("0", "1000000000", "val.tar/1.png")]
    {
        let folder_ = TempDir::new().unwrap();
        let (root, image) = (folder_.path(), png([0; 3], 4, 4));
        for (file, label) in [("train.tar", of_train), ("val.tar", of_test)] {
            archive(&root.join(file), &[("1.png", &image), ("1.cls", label.as_bytes())]);
        }
        let message = refusal(shards(root, HELD));
        assert!(message.starts_with(name) && message.contains("only 2 images"), "{message}");
    }
}

#[test]
fn nothing_is_held_back_with_a_fraction_of_zero() {
    let folder_ = TempDir::new().unwrap();
    let root = folder_.path();
    fill(root, &["ant", "bee"], 1);
    fs::create_dir(root.join("__MACOSX")).unwrap();
    let found = folder(root, Held { fraction: 0.0, ..HELD }).unwrap();
    assert_eq!((found.train.len(), found.test.len(), found.held), (2, 0, false));
    assert!(refusal(folder(root, HELD)).starts_with("2 classes have one image each (ant, bee)"));
    assert!(
        refusal(folder(root, Held { fraction: 1.0, ..HELD })).contains("is 1, expected at least 0")
    );
}

/// Each rank indexes its archives, and later opens those that it reads.
#[test]
fn a_rank_opens_the_archives_that_it_needs() {
    let folder_ = TempDir::new().unwrap();
    let root = folder_.path();
    let paths: Vec<String> = (0..8).map(|number| format!("{number}.tar")).collect();
    fill_archives(root, &paths.iter().map(String::as_str).collect::<Vec<_>>());
    let all_in_train = Held { fraction: 0., ..HELD };
    let whole = Shards::list(root).unwrap().index(Share::WHOLE).unwrap();
    for world_size in [1, 2, 3, 11] {
        let of = |rank| Shards::list(root).unwrap().index(Share { rank, world_size }).unwrap();
        assert_eq!(ShardIndex::joined((0..world_size).map(of).collect()), whole);
    }
    for rank in 0..2 {
        // The archives of the other rank are broken here, and never opened.
        let copy = TempDir::new().unwrap();
        for (number, name) in paths.iter().enumerate() {
            if number / 4 == rank {
                fs::copy(root.join(name), copy.path().join(name)).unwrap();
            } else {
                put(copy.path(), name, b"no archive");
            }
        }
        let own = Shards::list(copy.path()).unwrap();
        own.index(Share { rank, world_size: 2 }).unwrap();
        assert_ne!(own.listing().unwrap(), Shards::list(root).unwrap().listing().unwrap());
    }
    for (order, most) in [(Order::Shuffled, 8), (Order::ShuffledByFile, 5)] {
        let mut seen = Vec::new();
        for rank in 0..2 {
            let set = Shards::list(root).unwrap().found(whole.clone(), all_in_train).unwrap().train;
            let Places::Archives { archives, .. } = &set.places else { unreachable!("archives") };
            assert!(archives.open().is_empty(), "nothing was read yet");
            let share = Share { rank, world_size: 2 };
            let config = LoaderConfig { share, order, ..config(8) };
            let loader = Loader::new(set.clone(), config).unwrap();
            seen.extend(loader.epoch(0).flat_map(|batch| batch.unwrap().indices));
            let open = archives.open().len();
            assert!(open <= most, "{open} archives were opened");
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..32).collect::<Vec<u32>>());
    }
}
