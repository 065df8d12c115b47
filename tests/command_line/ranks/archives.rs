//! Archives of images, which ranks find together and read apart.

use std::fs::{self, File};

use datasets::{Split, synthetic};
use tempfile::TempDir;

use super::super::SMALL;
use super::*;

/// Drawn shapes in four archives to train on and one to measure on.
fn write_archives(root: &Path) {
    fs::create_dir_all(root).unwrap();
    let images = synthetic::images(Split::Train, 200, 32, 0).unwrap();
    for (number, name) in ["train-0", "train-1", "train-2", "train-3", "val"].iter().enumerate() {
        let mut archive =
            tar::Builder::new(File::create(root.join(format!("{name}.tar"))).unwrap());
        for index in number * 40..(number + 1) * 40 {
            let pixels = images.image(index).as_flattened().to_vec();
            let mut png = std::io::Cursor::new(Vec::new());
            let image = image::RgbImage::from_raw(32, 32, pixels).unwrap();
            image.write_to(&mut png, image::ImageFormat::Png).unwrap();
            let label = images.labels()[index].to_string().into_bytes();
            for (ending, bytes) in [("png", png.into_inner()), ("cls", label)] {
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes.len() as u64);
                header.set_mode(0o644);
                let name = format!("{index:03}.{ending}");
                archive.append_data(&mut header, name, bytes.as_slice()).unwrap();
            }
        }
        archive.finish().unwrap();
    }
}

const INPUT: &str = "input={ side = 32, crop_fraction = 1.0, interpolation = 'bicubic', broken = 'refuse', workers = 1, \
                     shuffle = 'by-file' }";

#[test]
fn ranks_train_on_archives_of_which_each_reads_its_part() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    write_archives(&folder.join("shapes"));
    let set = ["epochs=2", "batch_size=10", SMALL, INPUT].map(|set| ["--set", set]).concat();
    let begin = [&["--data", "shards:shapes", "--out", "run"][..], &set].concat();
    let said = train(folder, &begin);
    assert!(said.contains("160 training and 40 test images"), "{said}");
    let results = fs::read_to_string(folder.join("run/results.json")).unwrap();
    assert!(results.contains("\"images\": 40"), "{results}");
}

#[test]
fn archives_that_differ_or_are_none_are_named_and_nobody_waits() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    for copy in ["there", "here", "broken"] {
        write_archives(&folder.join(copy));
    }
    let longer = fs::read(folder.join("there/train-2.tar")).unwrap();
    fs::write(folder.join("here/train-2.tar"), [longer.as_slice(), &[0; 512]].concat()).unwrap();
    fs::write(folder.join("broken/train-3.tar"), [7; 2000]).unwrap();
    let refused = |data: [&str; 2], code: i32, expected: &str| {
        let port = port();
        let start = |number: usize| {
            let set = ["--set", SMALL, "--set", INPUT, "--out", "run"];
            rank(folder, number, port, &[&["--data", data[number]][..], &set].concat(), &[])
        };
        let [mut leader, mut other] = [start(0), start(1)];
        let (ended, said) = ended_in_time(&mut other);
        assert_eq!(ended, Some(code), "{said}");
        assert!(said.contains(expected), "{said}");
        let (ended, said) = ended_in_time(&mut leader);
        assert_eq!(ended, Some(7), "{said}");
        assert!(said.contains("rank 1 of 2") && said.contains(expected), "{said}");
        assert!(!folder.join("run").exists());
    };
    let lengths = format!(
        "with their lengths: on rank 0 there is train-2.tar {}, here train-2.tar {}",
        longer.len(),
        longer.len() + 512
    );
    refused(["shards:there", "shards:here"], 2, &lengths);
    refused(["shards:there", "synthetic"], 2, "on rank 0 it is archives (shards:DIR), here no");
    // In the second half of the archives, so the second rank finds it.
    refused(["shards:broken", "shards:broken"], 3, "train-3.tar");
}
