//! The answers: the same in batches as alone, of mirror images, above a threshold, and beside files that cannot be read.

use std::fs;

use serde_json::Value;
use tch::{Kind, Tensor};
use xception::weights;

use super::{CLASSES, MANY, PREDICT, documents, folder, folder_with, inputs, predict, write_image};
use crate::command_line::{json, xception};

/// The probability of each class.
fn probabilities(answer: &Value) -> Vec<f64> {
    let mut of_class = vec![f64::NAN; CLASSES.len()];
    for entry in answer["top"].as_array().unwrap() {
        let class = entry["class"].as_u64().unwrap() as usize;
        assert_eq!(entry["label"], CLASSES[class]);
        of_class[class] = entry["probability"].as_f64().unwrap();
    }
    of_class
}

#[test]
fn images_in_batches_have_the_probabilities_of_each_alone() {
    let together = json(&predict(&["--json", "many", "a.png"]));
    assert_eq!(together.as_array().unwrap().len(), MANY + 1);
    let names: Vec<String> = (0..MANY).map(|number| format!("many/{number:02}.png")).collect();
    assert_eq!(inputs(&together)[..MANY], names);
    assert_eq!(inputs(&together)[MANY], "a.png");
    let first = probabilities(&together[0]);
    let mut farthest = 0.0_f64;
    for place in [0, 1, 31, 32, 39, 40] {
        let name = together[place]["input"].as_str().unwrap();
        let alone = json(&predict(&["--json", name]));
        let (alone, there) = (probabilities(&alone[0]), probabilities(&together[place]));
        for (class, (alone, there)) in alone.iter().zip(&there).enumerate() {
            assert!((alone - there).abs() < 1e-5, "{name}, class {class}: {alone}, {there}");
            farthest = farthest.max((there - first[class]).abs());
        }
    }
    assert!(farthest > 0.01, "the images have one answer, so nothing was tested");
}

/// Files of tensors may have other sizes than the images around them.
#[test]
fn tensors_between_images_keep_their_places() {
    let own = folder_with(&["a.png", "b.png"]);
    for (name, size) in [("t", [3, 3, 32, 32]), ("large", [1, 3, 48, 40])] {
        let images = Tensor::rand(size, (Kind::Float, tch::Device::Cpu));
        let tensors = [("input".to_string(), images)].into();
        weights::write(
            &own.path().join(format!("{name}.safetensors")),
            &tensors,
            &Default::default(),
        )
        .unwrap();
    }
    let typed = ["--json", "--logits", "l", "a.png", "large.safetensors", "t.safetensors", "b.png"];
    let together = json(&xception(own.path(), &[&PREDICT[..], &typed].concat()));
    let expected = [
        "a.png",
        "large.safetensors[0]",
        "t.safetensors[0]",
        "t.safetensors[1]",
        "t.safetensors[2]",
        "b.png",
    ];
    assert_eq!(inputs(&together), expected);
    let (logits, _) = weights::read(&own.path().join("l")).unwrap();
    assert_eq!(logits["logits"].size(), [6, 4]);
    let softmax = logits["logits"].softmax(-1, Kind::Double);
    for (row, answer) in together.as_array().unwrap().iter().enumerate() {
        for (class, found) in probabilities(answer).into_iter().enumerate() {
            let expected = softmax.double_value(&[row as i64, class as i64]);
            assert!((found - expected).abs() < 1e-9, "row {row}");
        }
    }
    let infinite = Tensor::from(f32::INFINITY).repeat([1, 3, 32, 32]);
    let tensors = [("input".to_string(), infinite)].into();
    weights::write(&own.path().join("t.safetensors"), &tensors, &Default::default()).unwrap();
    let ended = xception(own.path(), &[&PREDICT[..], &["a.png", "t.safetensors"]].concat());
    assert_eq!(ended.code, Some(3));
    assert!(ended.stdout.starts_with("a.png\n"), "{}", ended.stdout);
    let expected = "t.safetensors: input holds numbers that are not finite";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}

/// The mean of the logits of an image and of its mirror image, and the loss that `eval --tta` has on the same files.
#[test]
fn mirror_images_count_as_in_eval() {
    let names = ["set/ant/0.png", "set/ant/1.png", "set/bee/2.png", "set/dog/3.png"];
    let own = folder_with(&names);
    fs::create_dir(own.path().join("mirrored")).unwrap();
    for (number, name) in names.iter().enumerate() {
        let image = image::open(own.path().join(name)).unwrap();
        image.fliph().save(own.path().join(format!("mirrored/{number}.png"))).unwrap();
    }
    let logits = |options: &[&str], out: &str| {
        let ended = xception(own.path(), &[&PREDICT[..], &["--logits", out], options].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let (mut tensors, _) = weights::read(&own.path().join(out)).unwrap();
        tensors.remove("logits").unwrap()
    };
    let (plain, mirrored) = (logits(&["set"], "plain"), logits(&["mirrored"], "mirrored.logits"));
    let both = logits(&["--tta", "set"], "both");
    let expected = (&plain + &mirrored) / 2.0;
    assert!((&both - &expected).abs().max().double_value(&[]) < 1e-4);
    assert!((&plain - &mirrored).abs().max().double_value(&[]) > 1e-2, "they look alike");

    let eval = ["eval", "--weights", "w.safetensors", "--precision", "fp32", "--json", "--tta"];
    let set = ["--data", "folder:set", "--split", "all"];
    let evaluated = json(&xception(own.path(), &[&eval[..], &set].concat()));
    let labels = Tensor::from_slice(&[0_i64, 0, 1, 3]);
    let loss = both.cross_entropy_for_logits(&labels).double_value(&[]);
    let theirs = evaluated["loss"].as_f64().unwrap();
    assert!((loss - theirs).abs() < 1e-3 * loss.max(1.0), "{loss}, eval says {theirs}");
}

#[test]
fn only_classes_above_the_threshold_are_listed() {
    let all = json(&predict(&["--json", "many"]));
    let largest = |answer: &Value| answer["top"][0]["probability"].as_f64().unwrap();
    let sure: Vec<f64> = all.as_array().unwrap().iter().map(largest).collect();
    let mut sorted = sure.clone();
    sorted.sort_by(f64::total_cmp);
    // Between two, so that the last bit decides nothing.
    let threshold = (sorted[MANY / 2 - 1] + sorted[MANY / 2]) / 2.0;
    let threshold = threshold.to_string();
    let some = json(&predict(&["--json", "--threshold", &threshold, "many"]));
    for (before, after) in all.as_array().unwrap().iter().zip(some.as_array().unwrap()) {
        let least: f64 = threshold.parse().unwrap();
        let expected = before["top"].as_array().unwrap().iter();
        let expected = expected.filter(|entry| entry["probability"].as_f64().unwrap() >= least);
        assert_eq!(after["top"].as_array().unwrap().len(), expected.count(), "{after}");
        assert!(after.get("error").is_none());
    }
    let text = predict(&["--threshold", "1", "a.png"]).stdout;
    let (name, rest) = text.split_once('\n').unwrap();
    assert_eq!(name, "a.png");
    assert!(rest.starts_with("  not sure (best: ") && rest.ends_with(" %)\n"), "{text}");
    let csv = predict(&["--threshold", "1", "--top", "2", "--format", "csv", "a.png"]).stdout;
    let expected = "input,label_1,probability_1,label_2,probability_2\na.png,,,,\n";
    assert_eq!(csv, expected);
    for refused in ["1.5", "-1", "half", "NaN"] {
        let ended = predict(&[&format!("--threshold={refused}"), "a.png"]);
        assert_eq!(ended.code, Some(2), "{refused}");
        assert!(ended.stderr.contains("a number from 0 to 1"), "{}", ended.stderr);
    }
}

#[test]
fn a_bad_file_between_good_ones_stops_none_of_them() {
    let typed = ["a.png", "bad.jpg", "b.png", "missing.png"];
    let lines = predict(&[&["--format", "jsonl"], &typed[..]].concat());
    assert_eq!(lines.code, Some(3));
    let document = documents(&lines.stdout);
    assert_eq!(inputs(&document), typed);
    for (place, is_bad) in [false, true, false, true].into_iter().enumerate() {
        assert_eq!(document[place]["error"].is_string(), is_bad, "{document:#}");
        assert_eq!(document[place]["top"].is_array(), !is_bad, "{document:#}");
    }
    for said in
        ["bad.jpg cannot be decoded", "cannot read missing.png", "2 of 4 inputs cannot be read"]
    {
        assert!(lines.stderr.contains(said), "no {said} in {}", lines.stderr);
    }
    let whole = predict(&[&["--json"], &typed[..]].concat());
    assert_eq!(serde_json::from_str::<Value>(&whole.stdout).unwrap(), document);
    let table = predict(&[&["--format", "csv", "--top", "1"], &typed[..]].concat());
    assert_eq!(table.code, Some(3));
    let rows: Vec<&str> = table.stdout.lines().collect();
    assert!(rows.len() == 3 && rows[1].starts_with("a.png,") && rows[2].starts_with("b.png,"));
    // A row of logits cannot be missing.
    let logits = predict(&[&["--logits", "none.safetensors"], &typed[..]].concat());
    assert_eq!(logits.code, Some(3));
    assert!(!folder().join("none.safetensors").exists());
}

/// More bad files than a batch has images, and images on both sides of them.
#[test]
fn many_bad_files_keep_the_order() {
    let own = folder_with(&[]);
    let mut lines = String::new();
    for number in 0..120 {
        let name = format!("{number:03}.png");
        if number % 40 < 2 {
            write_image(&own.path().join(&name), number);
        }
        lines += &format!("{name}\n");
    }
    fs::write(own.path().join("list"), &lines).unwrap();
    let list = ["--quiet", "--format", "jsonl", "--list", "list"];
    let ended = xception(own.path(), &[&PREDICT[..], &list].concat());
    let document = documents(&ended.stdout);
    assert_eq!(inputs(&document), lines.lines().collect::<Vec<_>>());
    assert!(ended.stderr.contains("114 of 120 inputs cannot be read"), "{}", ended.stderr);
}
