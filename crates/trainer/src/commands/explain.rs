//! `xception explain`: the parts of an image that a prediction is based on.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

mod cam;
mod colour;
mod drawing;
mod font;
mod layer;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tch::{Kind, Tensor};
use xception::weights::Description;

use self::cam::{Classes, Explained, Method};
use self::drawing::{Caption, Panel};
use self::layer::Chosen;
use super::inputs::Inputs;
use super::{output, print};
use crate::commands::{Error, Refusal};
use crate::console::escape;
use crate::file_error::FileError;
use crate::network::images::{self, Prepared};
use crate::network::model_file::Loaded;
use crate::network::weights_name::WeightsArgs;
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
    /// Explain this many of the most probable classes, beside each other in one image
    #[arg(long, value_name = "K", default_value_t = 1, conflicts_with = "class", value_parser = clap::value_parser!(u32).range(1..=MOST_CLASSES))]
    pub top: u32,
    /// Method of the map
    #[arg(long, value_enum, default_value_t = Method::GradCam)]
    pub method: Method,
    /// The layer whose map is drawn, by its name in the weights [default: features, the last map; an earlier one where that
    /// is smaller than 5×5]
    #[arg(long, value_name = "LAYER")]
    pub layer: Option<String>,
    /// Draw the original beside the overlay, or the overlay alone
    #[arg(long, value_enum, default_value_t = Layout::Beside)]
    pub layout: Layout,
    /// Folder for the drawings, NAME.explained.png [default: beside the images]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// The images in a drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// The original, then the overlay of each class
    Beside,
    /// The overlay of each class
    Overlay,
}

/// The most classes in one drawing.
const MOST_CLASSES: i64 = 20;

pub(super) fn run(arguments: &ExplainArgs) -> Result<(), Error> {
    if arguments.method == Method::Eigen && (arguments.class.is_some() || arguments.top > 1) {
        return Err(Refusal::SameForAllClasses.into());
    }
    let places: Vec<PathBuf> =
        arguments.inputs.iter().map(|input| place(arguments.out.as_deref(), input)).collect();
    if let Some(twice) =
        places.iter().find(|place| places.iter().filter(|p| p == place).count() > 1)
    {
        return Err(Refusal::TwoDrawings { path: twice.clone() }.into());
    }
    let inputs = || arguments.inputs.iter().map(PathBuf::as_path);
    let places: Vec<PathBuf> =
        places.iter().map(|place| output::place(place, inputs())).collect::<Result<_, _>>()?;
    if let Some(file) = arguments.out.as_ref().filter(|out| out.is_file()) {
        return Err(Refusal::IsFile { path: file.clone() }.into());
    }
    let loaded = Loaded::open(&arguments.weights)?;
    Precision::Fp32.prepare(loaded.model.device());
    let classes = match &arguments.class {
        Some(class) => Classes::One(class_number(&loaded, class)?),
        None => Classes::Likeliest(arguments.top.into()),
    };
    let chosen = Chosen::new(&loaded.model, &blank(&loaded), arguments.layer.as_deref())?;
    if let Some(folder) = &arguments.out {
        fs::create_dir_all(folder).map_err(FileError::on("create", folder))?;
    }
    let labels = &loaded.description.labels;
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
        if let Some(reason) = chosen.reason() {
            static ONCE: Once = Once::new();
            ONCE.call_once(|| tracing::info!("{reason}"));
        }
        let image = prepared.image.to_device(loaded.model.device());
        let explained =
            cam::explain(&loaded.model, labels, &image, &chosen.layer, arguments.method, classes)?;
        warn_of_nothing(input, &explained, &loaded.description);
        let png = drawing(&prepared, &explained, &loaded.description, &chosen, arguments);
        crate::whole_file::write_bytes(out, &png)?;
        documents.push(document(input, out, &explained, &loaded.description, &chosen, arguments));
    }
    if arguments.json {
        print(&format!("{:#}", Value::Array(documents)))?;
        return inputs.end();
    }
    for document in documents.iter().filter(|document| document["image"].is_string()) {
        print(&for_people(document))?;
    }
    inputs.end()
}

/// An image of zeros, of the size that the network takes.
fn blank(loaded: &Loaded) -> Tensor {
    let side = loaded.description.input;
    Tensor::zeros([1, 3, side, side], (Kind::Float, loaded.model.device()))
}

/// The drawing of one image, as PNG.
fn drawing(
    prepared: &Prepared,
    explained: &[Explained],
    description: &Description,
    chosen: &Chosen,
    arguments: &ExplainArgs,
) -> Vec<u8> {
    let original = || {
        let [width, height] = prepared.size;
        let side = prepared.side;
        let figure = format!("{side}x{side} of {width}x{height}");
        let caption = Caption { title: "original".to_string(), figure, note: String::new() };
        Panel::original(prepared, caption)
    };
    let overlay = |explained: &Explained| {
        let label = &description.class_names[explained.class as usize];
        let title = match font::is_legible(label) {
            true => label.clone(),
            false => format!("class {}", explained.class),
        };
        let figure = percent(explained.probability);
        let note = format!("{} {}", arguments.method.title(), chosen.name());
        Panel::overlay(prepared, &explained.map, Caption { title, figure, note })
    };
    let original = (arguments.layout == Layout::Beside).then(original);
    drawing::row(&original.into_iter().chain(explained.iter().map(overlay)).collect::<Vec<_>>())
}

/// The row of one image in the command's document. The likeliest class stands there once more, by itself.
fn document(
    input: &Path,
    out: &Path,
    explained: &[Explained],
    description: &Description,
    chosen: &Chosen,
    arguments: &ExplainArgs,
) -> Value {
    let class = |explained: &Explained| {
        let label = &description.class_names[explained.class as usize];
        json!({ "class": explained.class, "label": label, "probability": explained.probability })
    };
    let classes: Vec<Value> = explained.iter().map(class).collect();
    let mut document = json!({
        "input": input.display().to_string(), "image": out.display().to_string(), "classes": classes,
        "method": name(arguments.method), "layer": chosen.name(), "map": chosen.size,
    });
    for key in ["class", "label", "probability"] {
        document[key] = classes[0][key].clone();
    }
    document
}

/// The name of a method as it is typed.
fn name(method: Method) -> String {
    method.to_possible_value().map_or_else(String::new, |value| value.get_name().to_string())
}

fn for_people(document: &Value) -> String {
    let class = |class: &Value| {
        let label = escape::name(class["label"].as_str().unwrap_or("?")).to_string();
        format!("{label} ({})", percent(class["probability"].as_f64().unwrap_or(0.0)))
    };
    let classes: Vec<String> =
        document["classes"].as_array().into_iter().flatten().map(class).collect();
    format!(
        "{}: {}, drawn in {}",
        escape::name(document["input"].as_str().unwrap_or("?")),
        classes.join(", "),
        document["image"].as_str().unwrap_or("?")
    )
}

fn percent(probability: f64) -> String {
    format!("{:.2} %", probability * 100.0)
}

/// Names a class whose map is empty, so that nobody looks for colours.
fn warn_of_nothing(input: &Path, explained: &[Explained], description: &Description) {
    for explained in
        explained.iter().filter(|explained| explained.map.max().double_value(&[]) <= 0.0)
    {
        tracing::warn!(
            "{}: no place of this map supports {}, so nothing is coloured; another --layer or --method may say more",
            input.display(),
            description.class_names[explained.class as usize]
        );
    }
}

/// The class of this name or number.
fn class_number(loaded: &Loaded, class: &str) -> Result<i64, Refusal> {
    let names = &loaded.description.class_names;
    let named = names.iter().position(|name| name == class).map(|number| number as i64);
    let numbered = || class.parse().ok().filter(|number| (0..names.len() as i64).contains(number));
    let refused = || Refusal::NoClass { class: class.to_string(), last: names.len() - 1 };
    named.or_else(numbered).ok_or_else(refused)
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
    use super::*;

    #[test]
    fn images_are_put_beside_their_originals() {
        assert_eq!(place(None, Path::new("a/frog.jpg")), Path::new("a/frog.explained.png"));
        assert_eq!(
            place(Some(Path::new("b")), Path::new("a/frog.jpg")),
            Path::new("b/frog.explained.png")
        );
    }
}
