//! Writes CIFAR-10 as PNG files, a folder for each class, as a folder of images whose results can be compared.
//!
//! ```console
//! $ cargo run --release -p xception-datasets --example cifar_as_folder -- CIFAR OUT CLASSES TRAIN TEST
//! ```
//!
//! `CIFAR` is the folder of the binary files and `CLASSES` a list of names separated by commas. The first `TRAIN` and
//! `TEST` images of each class go to `OUT/train` and `OUT/test`.
#![allow(clippy::print_stderr, reason = "the messages are for the user")]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use datasets::{Cifar, Images, Split};
use image::RgbImage;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [cifar, out, classes, train, test] = &arguments[..] else {
        eprintln!("usage: cifar_as_folder CIFAR OUT CLASSES TRAIN TEST");
        return ExitCode::from(2);
    };
    let written = write(Path::new(cifar), Path::new(out), classes, train, test);
    match written {
        Ok(count) => eprintln!("{count} images in {out}"),
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Writes both splits and returns the number of images.
fn write(
    cifar: &Path,
    out: &Path,
    classes: &str,
    train: &str,
    test: &str,
) -> Result<usize, Box<dyn Error>> {
    let mut count = 0;
    for (split, folder, each) in [(Split::Train, "train", train), (Split::Test, "test", test)] {
        let images = Cifar::Cifar10.load(cifar, split)?;
        for class in classes.split(',') {
            let label = images.class_names().iter().position(|name| name == class);
            let label = label.ok_or_else(|| format!("CIFAR-10 has no class '{class}'"))?;
            count += of_class(&images, label, each.parse()?, &out.join(folder).join(class))?;
        }
    }
    Ok(count)
}

/// Writes the first `each` images of a class into a folder and returns their number.
fn of_class(
    images: &Images,
    label: usize,
    each: usize,
    folder: &Path,
) -> Result<usize, Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    let (width, height) = (images.width() as u32, images.height() as u32);
    let labels = images.labels().iter().enumerate();
    let own = labels.filter(|(_, own)| **own as usize == label).map(|(index, _)| index);
    let mut count = 0;
    for index in own.take(each) {
        let pixels = images.image(index).as_flattened().to_vec();
        let image = RgbImage::from_raw(width, height, pixels).ok_or("pixels are missing")?;
        image.save(folder.join(format!("{index:05}.png")))?;
        count += 1;
    }
    Ok(count)
}
