//! `xception predict` on all that people have: files, folders, patterns, lists, and the output of another program.

mod answers;
mod destinations;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use image::RgbImage;
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use xception::weights::{self, Description};
use xception::{CifarScale, ModelSpec, Preprocessing, Preset, Xception};

use super::{Ended, Shared, binary, json, xception, xception_told};

/// Classes, one of them with a name that no table likes.
const CLASSES: [&str; 4] = ["ant", "bee", "a \"cat\", or two", "dog"];

/// Options of every command here.
const PREDICT: [&str; 5] = ["predict", "--weights", "w.safetensors", "--precision", "fp32"];

/// The images in `many`, more than a batch.
const MANY: usize = 40;

/// A folder with weights `w.safetensors` of a small network that nobody trained, `a.png` and `b.png`, a page `bad.jpg`, and
/// the images `many/00.png` to `many/39.png`. Tests read it only.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<Shared> = OnceLock::new();
    &FOLDER.get_or_init(|| Shared::new("predict", fill)).path
}

fn fill(folder: &Path) {
    write_weights(&folder.join("w.safetensors"));
    fs::create_dir(folder.join("many")).unwrap();
    for (number, name) in ["a", "b"].iter().enumerate() {
        write_image(&folder.join(format!("{name}.png")), number);
    }
    for number in 0..MANY {
        write_image(&folder.join(format!("many/{number:02}.png")), number);
    }
    fs::write(folder.join("bad.jpg"), "<!doctype html>").unwrap();
}

/// Weights for images of 32 by 32 pixels, whose answers differ from image to image.
fn write_weights(path: &Path) {
    let scale = CifarScale { width: 0.05, middle_modules: 0, ..CifarScale::default() };
    let spec = ModelSpec { scale, classes: 4, ..ModelSpec::new(Preset::Cifar) };
    let store = VarStore::new(Device::Cpu);
    let model = Xception::new(store.root(), &spec.architecture().unwrap(), 4).unwrap();
    drop(model);
    let mut tensors = weights::snapshot(&store);
    let head = tensors.get_mut("fc.weight").unwrap();
    *head = Tensor::randn(head.size(), (Kind::Float, Device::Cpu)) * 20.0;
    let names = CLASSES.map(String::from).to_vec();
    let preprocessing = Preprocessing::new(32, [0.5; 3], [0.25; 3]);
    let description = Description::new(spec, names, &preprocessing, "synthetic");
    weights::write(path, &tensors, &description.to_metadata()).unwrap();
}

/// An image with a pattern of its own.
fn write_image(path: &Path, number: usize) {
    let (shift, step) = (37 * number as u32, 3 + number as u32 % 7);
    let pixel = |x: u32, y: u32| {
        image::Rgb([(x * step + shift) as u8, (x * y + shift) as u8, ((y * 9) ^ shift) as u8])
    };
    RgbImage::from_fn(32, 32, pixel).save(path).unwrap();
}

/// `xception predict` in the shared folder.
fn predict(arguments: &[&str]) -> Ended {
    xception(folder(), &[&PREDICT, arguments].concat())
}

/// The inputs of a document, in its order.
fn inputs(document: &Value) -> Vec<&str> {
    let answers = document.as_array().expect("an array of answers");
    answers.iter().map(|answer| answer["input"].as_str().expect("a name")).collect()
}

/// The documents of `--format jsonl`.
fn documents(text: &str) -> Value {
    text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a document")).collect()
}

/// A folder of its own with the weights, and images of these names.
fn folder_with(images: &[&str]) -> tempfile::TempDir {
    let own = tempfile::tempdir().unwrap();
    fs::copy(folder().join("w.safetensors"), own.path().join("w.safetensors")).unwrap();
    for (number, name) in images.iter().enumerate() {
        let path = own.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Named by its content, whatever the name.
        write_image(&own.path().join("image.png"), number);
        fs::rename(own.path().join("image.png"), path).unwrap();
    }
    own
}

#[test]
fn a_folder_stands_for_the_images_in_it_and_below() {
    let own = folder_with(&[
        "photos/b.png",
        "photos/a/2.JPG",
        "photos/a/deep/1.png",
        "photos/.hidden.png",
        "photos/.cache/x.png",
    ]);
    fs::write(own.path().join("photos/notes.txt"), "no image").unwrap();
    let ended = xception(own.path(), &[&PREDICT[..], &["--json", "photos"]].concat());
    let document = json(&ended);
    assert_eq!(inputs(&document), ["photos/a/2.JPG", "photos/a/deep/1.png", "photos/b.png"]);
    assert!(ended.stderr.contains("3 images in "), "{}", ended.stderr);
    assert!(ended.stderr.trim_end().ends_with("images/s"), "{}", ended.stderr);
}

#[test]
fn a_folder_without_images_is_an_error() {
    let own = folder_with(&["a.png", "empty/.hidden.png"]);
    let ended = xception(own.path(), &[&PREDICT[..], &["--json", "empty"]].concat());
    assert_eq!((ended.code, &*ended.stdout), (Some(3), ""));
    assert!(ended.stderr.contains("error: there is no image in empty or"), "{}", ended.stderr);
    let ended = xception(own.path(), &[&PREDICT[..], &["empty", "a.png"]].concat());
    assert_eq!(ended.code, Some(3));
    assert!(ended.stdout.starts_with("a.png\n"), "{}", ended.stdout);
    assert!(ended.stderr.contains("there is no image in empty"), "{}", ended.stderr);
    assert!(ended.stderr.contains("1 of 2 inputs cannot be read"), "{}", ended.stderr);
}

#[test]
fn a_pattern_is_expanded_where_no_file_has_its_name() {
    let own = folder_with(&["x/b.png", "x/a.png", "x/y/c.png", "x/.d.png", "[ab].png", "a.png"]);
    let named = |pattern: &str| {
        let ended = xception(own.path(), &[&PREDICT[..], &["--json", pattern]].concat());
        inputs(&json(&ended)).join(" ")
    };
    assert_eq!(named("x/*.png"), "x/a.png x/b.png");
    assert_eq!(named("x/**/*.png"), "x/a.png x/b.png x/y/c.png");
    assert_eq!(named("[ab].png"), "[ab].png");
    assert_eq!(named("[a-c].png"), "a.png");
    let none = xception(own.path(), &[&PREDICT[..], &["x/*.jpg"]].concat());
    assert_eq!(none.code, Some(3));
    let expected = "x/*.jpg is no file, and no file matches it as a pattern";
    assert!(none.stderr.contains(expected), "{}", none.stderr);
}

#[test]
fn a_list_names_one_path_a_line() {
    let own = folder_with(&["x/1.png", "x/2.png", "a,\"b\" c.png", "z.png"]);
    fs::create_dir(own.path().join("lists")).unwrap();
    fs::write(own.path().join("lists/l.txt"), "z.png\r\n\nx\na,\"b\" c.png").unwrap();
    let list = ["--json", "--list", "lists/l.txt"];
    let document = json(&xception(own.path(), &[&PREDICT[..], &list, &["x/2.png"]].concat()));
    let expected = ["x/2.png", "z.png", "x/1.png", "x/2.png", "a,\"b\" c.png"];
    assert_eq!(inputs(&document), expected);
    fs::write(own.path().join("lists/l.txt"), "\n").unwrap();
    let empty = xception(own.path(), &[&PREDICT[..], &list].concat());
    assert_eq!((empty.code, &*empty.stdout), (Some(3), ""));
    assert!(empty.stderr.contains("lists/l.txt names no image"), "{}", empty.stderr);
    let none = xception(own.path(), &PREDICT);
    assert_eq!(none.code, Some(2), "{}", none.stderr);
}

#[test]
fn paths_come_from_standard_input() {
    let lines = "many/03.png\nmissing.png\na.png\n";
    let ended = xception_told(folder(), &[&PREDICT[..], &["--json", "-"]].concat(), lines);
    assert_eq!(ended.code, Some(3));
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(inputs(&document), ["many/03.png", "missing.png", "a.png"]);
    assert!(ended.stderr.contains("1 of 3 inputs cannot be read"), "{}", ended.stderr);
    let nothing = predict(&["-"]);
    assert_eq!(nothing.code, Some(3));
    let expected = "error: standard input names no image: give paths, one a line\n";
    assert_eq!(nothing.stderr, expected);
}

/// Another program may wait for each answer before it names the next image.
#[test]
fn an_answer_does_not_wait_for_the_next_path() {
    let mut child = Command::new(binary())
        .args([&PREDICT[..], &["--format", "jsonl", "-"]].concat())
        .current_dir(folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (sender, lines) = channel();
    let reader = thread::spawn(move || {
        BufReader::new(stdout).lines().try_for_each(|line| sender.send(line.unwrap()))
    });
    for name in ["a.png", "many/07.png", "b.png"] {
        writeln!(stdin, "{name}").unwrap();
        let line = lines.recv_timeout(Duration::from_secs(120)).expect("an answer");
        assert_eq!(inputs(&documents(&line)), [name]);
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
    reader.join().unwrap().unwrap();
}
