//! `xception explain`: the parts of an image that a prediction is based on.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

use crate::network::weights_name::WeightsArgs;
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tch::{Kind, Tensor};
use xception::Xception;

use super::inputs::Inputs;
use super::print;
use crate::commands::{Error, Refusal};
use crate::console::escape;
use crate::file_error::FileError;
use crate::network;
use crate::network::images::{self, Prepared};
use crate::network::model_file::Loaded;
use crate::precision::Precision;

/// Flags of `xception explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The weights.
    #[command(flatten)]
    pub weights: WeightsArgs,
    /// Images (JPEG, PNG, WebP, GIF, TIFF, BMP)
    #[arg(required = true, value_name = "IMAGE")]
    pub inputs: Vec<PathBuf>,
    /// The class to explain, by name or number [default: the most probable]
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,
    /// Folder for the drawings, NAME.explained.png [default: beside the images]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// The colour map from 0 to 1, evenly spaced.
const HEAT: [[f32; 3]; 5] =
    [[0., 0., 4.], [87., 16., 110.], [188., 55., 84.], [249., 142., 9.], [252., 255., 164.]];

/// The approximate smallest number of rows and columns of a drawing.
const SMALLEST_DRAWING: usize = 256;

pub(super) fn run(arguments: &ExplainArgs) -> Result<(), Error> {
    let places: Vec<PathBuf> =
        arguments.inputs.iter().map(|input| place(arguments.out.as_deref(), input)).collect();
    if let Some(twice) =
        places.iter().find(|place| places.iter().filter(|p| p == place).count() > 1)
    {
        return Err(Refusal::TwoDrawings { path: twice.clone() }.into());
    }
    if let Some(file) = arguments.out.as_ref().filter(|out| out.is_file()) {
        return Err(Refusal::IsFile { path: file.clone() }.into());
    }
    if let Some(folder) = &arguments.out {
        fs::create_dir_all(folder).map_err(FileError::on("create", folder))?;
    }
    let loaded = Loaded::open(&arguments.weights)?;
    Precision::Fp32.prepare(loaded.model.device());
    let asked = arguments.class.as_deref().map(|class| class_number(&loaded, class)).transpose()?;
    let (mut documents, mut inputs) = (Vec::new(), Inputs::typed(arguments.inputs.len()));
    for (input, out) in arguments.inputs.iter().zip(&places) {
        let prepared = match images::prepare(input, &loaded.description) {
            Ok(prepared) => prepared,
            Err(error) => {
                let error = inputs.unreadable(error.into())?;
                documents.push(json!({ "input": input.display().to_string(), "error": error }));
                continue;
            }
        };
        let device = loaded.model.device();
        let image = prepared.image.to_device(device);
        let Explained { class, probability, map } = explain(&loaded.model, &image, asked)?;
        if !probability.is_finite() {
            return Err(network::Error::NoAnswer.into());
        }
        let side = prepared.side;
        let drawn = overlay(&prepared, &map);
        let (drawn, side) = enlarged(&drawn, side);
        let png = images::png(&drawn, side, side);
        crate::whole_file::write_bytes(out, &png)?;
        documents.push(json!({
            "input": input.display().to_string(), "class": class, "label": loaded.description.class_names[class as usize],
            "probability": probability, "image": out.display().to_string(),
        }));
    }
    if arguments.json {
        print(&format!("{:#}", Value::Array(documents)))?;
        return inputs.end();
    }
    for document in documents.iter().filter(|document| document["image"].is_string()) {
        print(&format!(
            "{}: {} ({:.2} %), drawn in {}",
            escape::name(document["input"].as_str().unwrap_or("?")),
            escape::name(document["label"].as_str().unwrap_or("?")),
            document["probability"].as_f64().unwrap_or(0.0) * 100.0,
            document["image"].as_str().unwrap_or("?")
        ))?;
    }
    inputs.end()
}

/// The class of this name or number.
fn class_number(loaded: &Loaded, class: &str) -> Result<i64, Refusal> {
    let names = &loaded.description.class_names;
    let named = names.iter().position(|name| name == class).map(|number| number as i64);
    let numbered = || class.parse().ok().filter(|number| (0..names.len() as i64).contains(number));
    let refused = || Refusal::NoClass { class: class.to_string(), last: names.len() - 1 };
    named.or_else(numbered).ok_or_else(refused)
}

/// A prediction and its map.
struct Explained {
    class: i64,
    probability: f64,
    /// `[rows, columns]` of the image, 0 to 1.
    map: Tensor,
}

/// Grad-CAM (Selvaraju et al. 2017): the last feature maps, weighted by their mean gradients of the logit of `class`, or
/// else of the most probable class; negative values are set to zero.
fn explain(model: &Xception, image: &Tensor, class: Option<i64>) -> Result<Explained, Error> {
    let features = tch::no_grad(|| model.features_t(image, false)).detach();
    let features = features.set_requires_grad(true);
    let logits = model.head(&features);
    let class = class.unwrap_or_else(|| logits.argmax(-1, false).int64_value(&[0]));
    let probability = logits.detach().softmax(-1, Kind::Double).double_value(&[0, class]);
    let gradients =
        Tensor::f_run_backward(&[logits.get(0).get(class)], &[&features], false, false)?;
    let map = tch::no_grad(|| {
        let weights = gradients[0].mean_dim([2_i64, 3].as_slice(), true, Kind::Float);
        let map =
            (&features * weights).sum_dim_intlist([1_i64].as_slice(), true, Kind::Float).relu();
        let size = [image.size()[2], image.size()[3]];
        let map = map.upsample_bilinear2d(size, false, None, None).squeeze();
        let largest = map.max().clamp_min(1e-12);
        map / largest
    });
    Ok(Explained { class, probability, map: map.to_device(tch::Device::Cpu) })
}

/// The image with `map` over it, brighter where the map is larger.
fn overlay(prepared: &Prepared, map: &Tensor) -> Vec<[u8; 3]> {
    let heat: Vec<f32> = map.contiguous().view([-1]).try_into().expect("one number a pixel");
    let mixed = |(pixel, heat): (&[u8; 3], f32)| {
        let colour = heat_colour(heat);
        let share = 0.25 + 0.4 * heat;
        std::array::from_fn(|channel| {
            let own = f32::from(pixel[channel]) * (1. - share);
            (own + colour[channel] * share).round() as u8
        })
    };
    prepared.pixels.iter().zip(heat).map(mixed).collect()
}

/// Enlarges a small image: each pixel becomes a square.
fn enlarged(pixels: &[[u8; 3]], side: usize) -> (Vec<[u8; 3]>, usize) {
    let times = (SMALLEST_DRAWING / side).max(1);
    let drawn = side * times;
    let pixel = |place: usize| pixels[place / drawn / times * side + place % drawn / times];
    ((0..drawn * drawn).map(pixel).collect(), drawn)
}

fn heat_colour(heat: f32) -> [f32; 3] {
    let heat = if heat.is_nan() { 0. } else { heat.clamp(0., 1.) };
    let place = heat * (HEAT.len() - 1) as f32;
    let below = (place as usize).min(HEAT.len() - 2);
    let part = place - below as f32;
    std::array::from_fn(|channel| {
        HEAT[below][channel] * (1. - part) + HEAT[below + 1][channel] * part
    })
}

/// `frog.explained.png` beside `frog.jpg`, or in the folder `out`.
fn place(out: Option<&Path>, input: &Path) -> PathBuf {
    let mut name = input.file_stem().unwrap_or_default().to_os_string();
    name.push(".explained.png");
    match out {
        Some(folder) => folder.join(name),
        None => input.with_file_name(name),
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, nn::VarStore};
    use xception::{CifarScale, ModelSpec, Preset};

    use super::*;

    /// The head reads one channel of the features only: the map is that channel.
    #[test]
    fn the_map_is_what_the_head_looks_at() {
        tch::manual_seed(0);
        let store = VarStore::new(Device::Cpu);
        let scale = CifarScale { width: 0.05, middle_modules: 0, ..CifarScale::default() };
        let spec = ModelSpec { scale, ..ModelSpec::new(Preset::Cifar) };
        let model = Xception::new(store.root(), &spec.architecture().unwrap(), 10).unwrap();
        let image = Tensor::randn([1, 3, 64, 64], (Kind::Float, Device::Cpu));
        let features = tch::no_grad(|| model.features_t(&image, false));
        let means = features.mean_dim([2_i64, 3].as_slice(), false, Kind::Float);
        let channel = means.argmax(-1, false).int64_value(&[0]);
        tch::no_grad(|| {
            let head = &store.variables()["fc.weight"];
            drop(head.shallow_clone().zero_());
            drop(head.get(7).get(channel).fill_(1.0));
        });
        let explained = explain(&model, &image, Some(7)).unwrap();
        let map = features.get(0).get(channel);
        let map = map.unsqueeze(0).unsqueeze(0).upsample_bilinear2d([64, 64], false, None, None);
        let expected = (&map / map.max()).squeeze();
        assert!((explained.map - expected).abs().max().double_value(&[]) < 1e-5);
        assert_eq!(explained.class, 7);
    }

    #[test]
    fn colours_run_from_dark_to_bright() {
        assert_eq!(heat_colour(0.), HEAT[0]);
        assert_eq!(heat_colour(1.), HEAT[4]);
        assert_eq!(heat_colour(0.5), HEAT[2]);
        assert_eq!(heat_colour(f32::NAN), HEAT[0]);
    }

    #[test]
    fn small_images_are_drawn_large() {
        let pixels = [[1, 0, 0], [2, 0, 0], [3, 0, 0], [4, 0, 0]];
        let (drawn, side) = enlarged(&pixels, 2);
        assert_eq!((drawn.len(), side), (256 * 256, 256));
        let at = |row: usize, column: usize| drawn[row * 256 + column][0];
        assert_eq!([at(0, 0), at(127, 128), at(128, 127), at(255, 255)], [1, 2, 3, 4]);
        assert_eq!(enlarged(&[[7; 3]; 300 * 300], 300).1, 300);
    }

    #[test]
    fn images_are_put_beside_their_originals() {
        assert_eq!(place(None, Path::new("a/frog.jpg")), Path::new("a/frog.explained.png"));
        assert_eq!(
            place(Some(Path::new("b")), Path::new("a/frog.jpg")),
            Path::new("b/frog.explained.png")
        );
    }
}
