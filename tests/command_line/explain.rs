//! `xception explain`: what it draws, for which classes, from which layer, and what it refuses.

use std::fs;
use std::path::Path;

use image::RgbImage;
use serde_json::Value;

use super::own_images::{Classifier, some_image};
use super::{Ended, json, xception};

const EXPLAIN: [&str; 5] = ["explain", "--weights", "tuned", "--out", "maps"];

/// One side of a panel: 32 pixels, eight for each, and a margin.
const PANEL: u32 = 256 + 2 * 6;

#[track_caller]
fn explain(folder: &Path, arguments: &[&str]) -> Ended {
    let ended = xception(folder, &[&EXPLAIN[..], arguments].concat());
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    ended
}

#[track_caller]
fn refused(folder: &Path, arguments: &[&str], expected: &str) {
    let ended = xception(folder, &[&EXPLAIN[..], arguments].concat());
    assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
    assert!(ended.stderr.contains(expected), "{arguments:?}: {}", ended.stderr);
    assert!(!folder.join("maps").exists(), "{arguments:?}: a refusal leaves nothing");
}

/// The drawing of the first row of a document.
#[track_caller]
fn drawn(folder: &Path, document: &Value) -> RgbImage {
    image::open(folder.join(document[0]["image"].as_str().unwrap())).unwrap().into_rgb8()
}

#[test]
fn every_method_draws_its_own_map() {
    let folder = Classifier::copied();
    let folder = folder.path();
    let image = some_image(folder);
    let of = |method: &str| {
        let overlay = ["--method", method, "--layout", "overlay", "--json", &image];
        let document = json(&explain(folder, &overlay));
        assert_eq!(document[0]["method"], method);
        drawn(folder, &document)
    };
    let drawings = ["gradcam", "gradcam++", "eigen"].map(of);
    assert!(drawings.iter().all(|drawing| drawing.width() == PANEL));
    let [one, two, three] = &drawings;
    assert!(one != two && two != three && one != three);
    let default = ["--layout", "overlay", "--json", &image];
    assert_eq!(&drawn(folder, &json(&explain(folder, &default))), one);
}

#[test]
fn the_original_stands_beside_the_map_of_each_class() {
    let folder = Classifier::copied();
    let folder = folder.path();
    let image = some_image(folder);
    let of = |arguments: &[&str]| {
        let document = json(&explain(folder, &[arguments, &["--json", &image]].concat()));
        (drawn(folder, &document), document)
    };
    let (overlay, _) = of(&["--layout", "overlay"]);
    let (beside, _) = of(&[]);
    assert_eq!(beside.width(), 2 * overlay.width());
    assert_eq!(beside.height(), overlay.height());
    let [left, right] = [0, PANEL]
        .map(|left| image::imageops::crop_imm(&beside, left, 0, PANEL, beside.height()).to_image());
    assert_eq!(right, overlay);
    // The image itself, each pixel a square.
    let original = image::open(folder.join(&image)).unwrap().into_rgb8();
    assert_eq!(left.get_pixel(6 + 8 * 20 + 3, 6 + 8 * 9 + 5), original.get_pixel(20, 9));

    let (three, document) = of(&["--top", "3"]);
    assert_eq!(three.width(), 4 * PANEL);
    let classes = document[0]["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 3);
    assert_eq!(classes[0]["label"], document[0]["label"]);
    let second = classes[1]["label"].as_str().unwrap();
    let (alone, document) = of(&["--class", second]);
    assert_eq!(document[0]["label"], second);
    assert_eq!(
        image::imageops::crop_imm(&three, 2 * PANEL, 0, PANEL, three.height()).to_image(),
        image::imageops::crop_imm(&alone, PANEL, 0, PANEL, alone.height()).to_image()
    );
    let said = explain(folder, &["--top", "2", &image]).stdout;
    assert_eq!(said.matches(" %)").count(), 2, "{said}");
}

/// 2×2 places say nothing of an image of 32 pixels.
#[test]
fn a_small_map_makes_way_for_an_earlier_one() {
    let folder = Classifier::copied();
    let folder = folder.path();
    let image = some_image(folder);
    let ended = explain(folder, &["--json", &image]);
    let sentence = "the last map has 2×2 places, too few to say where something is; the map of \
                    block1 is drawn, which has 8×8 (--layer features takes the last)";
    assert!(ended.stderr.contains(sentence), "{}", ended.stderr);
    let document = json(&ended);
    assert_eq!(document[0]["layer"], "block1");
    assert_eq!(document[0]["map"], serde_json::json!([8, 8]));
    let small = drawn(folder, &document);
    for (layer, rows) in [("features", 2), ("conv1", 32), ("block1", 8)] {
        let ended = explain(folder, &["--layer", layer, "--json", &image]);
        assert!(!ended.stderr.contains("too few"), "{}", ended.stderr);
        let document = json(&ended);
        assert_eq!(document[0]["map"][0], rows, "{layer}");
        assert_eq!(drawn(folder, &document) == small, layer == "block1", "{layer}");
    }
}

#[test]
fn what_cannot_be_explained_is_refused_by_name() {
    let folder = Classifier::copied();
    let folder = folder.path();
    let image = some_image(folder);
    refused(folder, &["--class", "unicorn", &image], "there is no class unicorn");
    let known = "there is no layer blok1 (did you mean 'block1'?): --layer takes conv1, conv2, ";
    refused(folder, &["--layer", "blok1", &image], known);
    refused(folder, &["--layer", "blok1", &image], "conv4, or features, the last map");
    let same = "--method eigen draws one map, whatever the class";
    refused(folder, &["--method", "eigen", "--top", "2", &image], same);
    refused(folder, &["--method", "eigen", "--class", "disc", &image], same);
    refused(folder, &["--top", "2", "--class", "disc", &image], "cannot be used with");
    refused(folder, &["--top", "0", &image], "0 is not in 1..=20");
    refused(folder, &["--method", "lime", &image], "gradcam, gradcam++, eigen");
    fs::copy(folder.join(&image), folder.join("a.png")).unwrap();
    fs::copy(folder.join(&image), folder.join("a.explained.png")).unwrap();
    let over = ["explain", "--weights", "tuned", "a.png", "a.explained.png"];
    let ended = xception(folder, &over);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("is read by the same command"), "{}", ended.stderr);
}

#[test]
fn one_bad_file_of_several_is_named_and_the_others_are_drawn() {
    let folder = Classifier::copied();
    let folder = folder.path();
    let image = some_image(folder);
    fs::write(folder.join("page.jpg"), "<!doctype html>").unwrap();
    let several = xception(folder, &[&EXPLAIN[..], &["page.jpg", &image]].concat());
    assert_eq!(several.code, Some(3), "{}", several.stderr);
    assert!(several.stderr.contains("page.jpg"), "{}", several.stderr);
    assert!(several.stderr.contains("1 of 2 inputs cannot be read"), "{}", several.stderr);
    assert_eq!(fs::read_dir(folder.join("maps")).unwrap().count(), 1);
}
