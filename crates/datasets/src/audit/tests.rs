//! Sets with faults that the tests make.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, resize};
use image::{ExtendedColorType, ImageFormat, RgbImage, load_from_memory};
use tempfile::TempDir;

use super::likeness::Likeness;
use super::thumbnail::Thumbnail;
use super::*;
use crate::random::{Purpose, below, permutation, stream};
use crate::source::ImageRef;
use crate::{Found, Held, folder};

/// Soft shapes that are other ones for every number.
fn drawn(number: u64, side: u32) -> RgbImage {
    let mut numbers = stream(number, Purpose::Synthetic, 0, 0);
    let coarse = RgbImage::from_fn(6, 6, |_, _| {
        image::Rgb([0; 3].map(|_: u8| below(&mut numbers, 256) as u8))
    });
    resize(&coarse, side, side, FilterType::CatmullRom)
}

fn jpeg(image: &RgbImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode(image.as_raw(), image.width(), image.height(), ExtendedColorType::Rgb8)
        .unwrap();
    bytes
}

fn pixels(image: &RgbImage) -> ImageRef<'_> {
    let (pixels, _) = image.as_raw().as_chunks::<3>();
    ImageRef { pixels, height: image.height() as usize, width: image.width() as usize }
}

fn likeness(image: &RgbImage) -> Option<Likeness> {
    Likeness::of(pixels(image))
}

fn thumbnail(image: &RgbImage) -> Thumbnail {
    Thumbnail::of(pixels(image))
}

#[test]
fn copies_in_another_size_or_compression_look_the_same() {
    let distance = AuditOptions::default().distance;
    for number in 0..50 {
        let image = drawn(number, 200);
        let own = likeness(&image).unwrap();
        let small = resize(&image, 61, 61, FilterType::Triangle);
        let compressed = load_from_memory(&jpeg(&image, 40)).unwrap().into_rgb8();
        for image_of_copy in [small, compressed] {
            let copy = likeness(&image_of_copy).unwrap();
            let bits = [own.across ^ copy.across, own.down ^ copy.down].map(u64::count_ones);
            assert!(thumbnail(&image).is_copy(&thumbnail(&image_of_copy)), "{number}");
            assert!(own.is_near(&copy, distance), "{number}: {bits:?} bits differ");
        }
        for other in 0..number {
            assert!(
                !own.is_near(&likeness(&drawn(other, 100)).unwrap(), distance),
                "{number}, {other}"
            );
        }
    }
}

/// A disc and a square in the same place on white have almost the same hashes.
#[test]
fn drawings_on_white_are_no_copies_of_each_other() {
    let drawn = |is_inside: fn(f64, f64) -> bool| {
        RgbImage::from_fn(200, 200, |x, y| {
            let [x, y] = [x, y].map(|place| (f64::from(place) - 70.) / 40.);
            image::Rgb([if is_inside(x, y) { 40 } else { 255 }; 3])
        })
    };
    let disc = drawn(|x, y| x.hypot(y) <= 1.);
    let square = drawn(|x, y| x.abs().max(y.abs()) <= 1.);
    let distance = 8;
    assert!(likeness(&disc).unwrap().is_near(&likeness(&square).unwrap(), distance));
    assert!(!thumbnail(&disc).is_copy(&thumbnail(&square)));
    let root = TempDir::new().unwrap();
    put(root.path(), "disc/1.png", &png(&disc));
    put(root.path(), "disc/2.jpg", &jpeg(&resize(&disc, 90, 90, FilterType::Triangle), 60));
    put(root.path(), "square/1.png", &png(&square));
    let found = folder(root.path(), Held { fraction: 0., seed: 0 }).unwrap();
    let parts = [Part { name: "train", images: &*found.train }];
    let findings = audit(&parts, AuditOptions { distance, ..AuditOptions::default() }, &|_| {});
    assert_eq!(findings.near.len(), 1);
    assert_eq!(findings.near[0].images, [0, 1], "the disc in two sizes");
}

#[test]
fn images_without_shapes_look_like_nothing() {
    assert_eq!(likeness(&RgbImage::from_pixel(50, 50, image::Rgb([9, 80, 7]))), None);
    assert!(likeness(&RgbImage::new(1, 1)).is_none());
}

/// Near pairs are found whichever bits differ.
#[test]
fn no_pair_within_the_distance_is_missed() {
    let record = |index: u32, across: u64| {
        let image = drawn(1, 64);
        let mut likeness = likeness(&image).unwrap();
        likeness.across = across;
        scan::Record {
            index,
            digest: index.into(),
            likeness: Some(likeness),
            thumbnail: thumbnail(&image),
            size: [64; 2],
            is_blank: false,
        }
    };
    let mut numbers = stream(5, Purpose::Synthetic, 0, 0);
    for distance in [0_u32, 1, 4, 7, 63] {
        for case in 0..100 {
            let one = below(&mut numbers, 1 << 62);
            let differing = permutation(64, 9, case);
            let differing = differing.iter().take(distance as usize);
            let other = differing.fold(one, |other, &bit| other ^ (1 << bit));
            let records = [record(0, one), record(1, other)];
            assert_eq!(near(&records, distance), [[0, 1]], "{one:x} and {other:x}");
            if distance > 0 {
                assert!(near(&records, distance - 1).is_empty());
            }
        }
    }
}

fn put(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn png(image: &RgbImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A set with one fault of each kind.
fn faulty() -> (TempDir, Found) {
    let root = TempDir::new().unwrap();
    for (number, class) in [(0, "ant"), (100, "bee"), (200, "cow")] {
        for image in 0..6 {
            put(
                root.path(),
                &format!("train/{class}/{image}.png"),
                &png(&drawn(number + image, 64)),
            );
        }
    }
    let path = root.path();
    put(path, "test/ant/new.png", &png(&drawn(900, 64)));
    put(path, "test/bee/new.png", &png(&drawn(901, 64)));
    put(path, "test/ant/copy-of-0.png", &png(&drawn(0, 64)));
    put(path, "test/bee/small-copy-of-101.jpg", &jpeg(&drawn(101, 40), 80));
    put(path, "train/cow/ant-1.png", &png(&drawn(1, 64)));
    put(path, "train/bee/white.png", &png(&RgbImage::from_pixel(64, 64, image::Rgb([250; 3]))));
    let whole = jpeg(&drawn(500, 64), 90);
    put(path, "train/bee/cut.jpg", &whole[..whole.len() / 2]);
    put(path, "train/bee/text.jpg", b"no image");
    let found = folder(path, Held { fraction: 0.2, seed: 0 }).unwrap();
    (root, found)
}

#[test]
fn every_kind_of_fault_is_found() {
    let (_root, found) = faulty();
    let parts = [
        Part { name: "train", images: &*found.train },
        Part { name: "test", images: &*found.test },
    ];
    let mut all = Vec::new();
    for workers in [1, 3] {
        let read = AtomicU64::new(0);
        let options = AuditOptions { side: 50, workers, ..AuditOptions::default() };
        all.push(audit(&parts, options, &|images| {
            read.fetch_max(images, Ordering::Relaxed);
        }));
        assert_eq!(read.into_inner(), 26);
    }
    assert_eq!(all[0], all[1], "threads make no difference");
    let findings = &all[0];
    let name = |image: u32| {
        let image = image as usize;
        let train = found.train.len();
        let name =
            if image < train { found.train.file(image) } else { found.test.file(image - train) };
        name.unwrap().0
    };
    let names = |group: &Group| group.images.iter().map(|&image| name(image)).collect::<Vec<_>>();
    let unreadable: Vec<String> =
        findings.unreadable.iter().map(|image| name(image.index)).collect();
    assert_eq!(unreadable, ["train/bee/cut.jpg", "train/bee/text.jpg"]);
    assert!(findings.unreadable[0].reason.contains("cut off"), "{:?}", findings.unreadable);
    assert_eq!(findings.exact.len(), 2);
    assert_eq!(names(&findings.exact[0]), ["train/ant/0.png", "test/ant/copy-of-0.png"]);
    assert!(findings.exact[0].across_parts && !findings.exact[0].across_classes);
    assert_eq!(names(&findings.exact[1]), ["train/ant/1.png", "train/cow/ant-1.png"]);
    assert!(!findings.exact[1].across_parts && findings.exact[1].across_classes);
    assert_eq!(findings.near.len(), 1);
    assert_eq!(names(&findings.near[0]), ["train/bee/1.png", "test/bee/small-copy-of-101.jpg"]);
    assert_eq!(
        findings.blank.iter().map(|&image| name(image)).collect::<Vec<_>>(),
        ["train/bee/white.png"]
    );
    assert_eq!(
        findings.tiny.iter().map(|&image| name(image)).collect::<Vec<_>>(),
        ["test/bee/small-copy-of-101.jpg"]
    );
    let missing: Vec<(&str, Vec<&str>)> =
        findings.missing().into_iter().map(|(class, parts)| (class.name.as_str(), parts)).collect();
    assert_eq!(missing, [("cow", vec!["test"])]);
    let [largest, smallest] = findings.extremes().unwrap();
    assert_eq!(
        (largest.name.as_str(), largest.total(), smallest.name.as_str()),
        ("bee", 11, "cow")
    );
    assert_eq!(
        findings
            .codings
            .iter()
            .map(|(coding, count)| (coding.as_str(), *count))
            .collect::<Vec<_>>(),
        [("JPEG, RGB", 1), ("PNG, RGB", 23)]
    );
    let bee = &findings.classes[1];
    assert_eq!((&bee.images[..], bee.sides, bee.median), (&[9, 2][..], [40, 64], [64, 64]));
}

#[test]
fn an_image_of_several_classes_counts_for_each() {
    let names = ["ant", "bee", "cow"].map(String::from).to_vec();
    let pixels = [[10; 3 * 64], [10; 3 * 64], [90; 3 * 64], [10; 3 * 64]].concat();
    let labels = [vec![0, 1], vec![0], vec![], vec![1, 0]];
    let images = crate::Images::multi_label(pixels, &labels, 8, 8, names).unwrap();
    let parts = [Part { name: "train", images: &images }];
    let findings = audit(&parts, AuditOptions::default(), &|_| {});
    let counts: Vec<u64> = findings.classes.iter().map(ClassFindings::total).collect();
    assert_eq!(counts, [3, 2, 0]);
    assert_eq!(findings.classes[1].median, [8, 8]);
    let [group] = &findings.exact[..] else { panic!("{:?}", findings.exact) };
    assert_eq!((&group.images[..], group.across_classes), (&[0, 1, 3][..], true), "0 and 1 differ");
}
