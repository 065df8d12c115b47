//! `xception check`: faults that the tests make are found, and said in a table, a document and a page.

use std::fs;

use image::RgbImage;
use image::imageops::{FilterType, resize};
use serde_json::Value;
use tempfile::TempDir;

use super::own_images::write_images;
use super::{json, xception};

/// 40 shapes to train on and 20 to test on, with faults.
fn faulty() -> TempDir {
    let root = TempDir::new().unwrap();
    let shapes = root.path().join("shapes");
    write_images(&shapes.join("train"), 40);
    let disc = shapes.join("train/disc");
    let first = fs::read_dir(&disc).unwrap().map(|entry| entry.unwrap().path()).min().unwrap();
    // Apart from the shapes, whose noise makes them look like nothing else.
    let coarse = RgbImage::from_fn(5, 5, |x, y| {
        image::Rgb([(x * y * 37 % 251) as u8, (x * 91 % 240) as u8, (y * 53) as u8])
    });
    let photo = resize(&coarse, 120, 100, FilterType::CatmullRom);
    photo.save(disc.join("photo.png")).unwrap();
    for class in ["disc", "ring"] {
        fs::create_dir_all(shapes.join("test").join(class)).unwrap();
    }
    fs::copy(&first, shapes.join("test/disc/copy.png")).unwrap();
    resize(&photo, 60, 50, FilterType::Triangle).save(shapes.join("test/ring/small.jpg")).unwrap();
    fs::write(disc.join("broken.jpg"), "no image").unwrap();
    RgbImage::from_pixel(40, 40, image::Rgb([7, 7, 7])).save(disc.join("blank.png")).unwrap();
    fs::write(disc.join("phone.heic"), "").unwrap();
    root
}

fn kinds(document: &Value) -> Vec<&str> {
    document["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["kind"].as_str().unwrap())
        .collect()
}

#[test]
fn faults_are_found_and_shown() {
    let root = faulty();
    let check = |more: &[&str]| {
        xception(root.path(), &[&["check", "folder:shapes", "--side", "40"], more].concat())
    };
    let document = json(&check(&["--json", "--html", "check.html"]));
    assert_eq!(
        kinds(&document),
        ["leak", "near-leak", "near-label-noise", "unreadable", "tiny", "blank", "missing-class"]
    );
    let fault = |kind: &str| {
        let faults = document["faults"].as_array().unwrap();
        faults.iter().find(|fault| fault["kind"] == kind).unwrap()["groups"].clone()
    };
    assert_eq!(
        (&fault("leak")[0][0]["part"], &fault("leak")[0][1]["part"]),
        (&"train".into(), &"test".into())
    );
    assert!(fault("near-leak")[0][1]["image"].as_str().unwrap().ends_with("ring/small.jpg"));
    assert_eq!(fault("near-label-noise"), fault("near-leak"), "in two parts, with two labels");
    assert!(
        fault("unreadable")[0][0]["reason"]
            .as_str()
            .unwrap()
            .contains("format could not be determined")
    );
    assert_eq!(document["parts"]["test"], 2);
    assert!(document["notes"][0].as_str().unwrap().ends_with(".heic 1"), "{}", document["notes"]);
    let page = fs::read_to_string(root.path().join("check.html")).unwrap();
    for expected in [
        "7 kinds of faults",
        "Identical files in several parts",
        "data:image/png;base64,",
        "small.jpg",
    ] {
        assert!(page.contains(expected), "no {expected}");
    }
    let told = check(&[]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    for expected in [
        "10 classes · 45 images (43 train, 2 test)",
        "1 group of 2 identical files in more than one part",
        "train/disc train/disc/",
        "disc/broken.jpg: ",
        "median size",
    ] {
        assert!(told.stdout.contains(expected), "no {expected} in {}", told.stdout);
    }
    let strict = check(&["--strict"]);
    assert_eq!(strict.code, Some(3), "{}", strict.stderr);
    assert!(
        strict.stderr.contains("has faults of 7 kinds; leave --strict out"),
        "{}",
        strict.stderr
    );
    assert!(strict.stdout.contains("cannot be read"), "the table is printed all the same");
}

#[test]
fn every_kind_of_data_can_be_checked() {
    let root = TempDir::new().unwrap();
    let folder = root.path();
    write_images(&folder.join("shapes"), 100);
    fs::create_dir(folder.join("shapes/lonely")).unwrap();
    RgbImage::from_pixel(32, 32, image::Rgb([1, 2, 3]))
        .save(folder.join("shapes/lonely/1.png"))
        .unwrap();
    let document = json(&xception(folder, &["check", "folder:shapes", "--side", "0", "--json"]));
    assert_eq!(kinds(&document), ["blank", "imbalance"], "{document:#}");
    let notes = document["notes"][0].as_str().unwrap();
    assert!(notes.starts_with("1 class has one image each (lonely)"), "{notes}");
    let rows: Vec<String> = (0..100).map(|number| format!("{number:03},{}", number % 2)).collect();
    fs::write(folder.join("labels.csv"), format!("id,label\n{}\n", rows.join("\n"))).unwrap();
    let document = json(&xception(folder, &["check", "csv:labels.csv", "--side", "0", "--json"]));
    assert_eq!(
        (kinds(&document), &document["images"], &document["held_back"]),
        (vec![], &100.into(), &true.into())
    );
    let document =
        json(&xception(folder, &["check", "synthetic", "--distance", "0", "--json", "--strict"]));
    assert_eq!((kinds(&document), &document["images"]), (vec![], &12_000.into()));
    let refused = xception(folder, &["check", "shapes"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("(did you mean 'folder:shapes'?)"), "{}", refused.stderr);
}
