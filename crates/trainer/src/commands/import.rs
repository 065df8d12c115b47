//! `xception import`: converts weights of another program to a file of ours, with what is known of their images.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use datasets::text;
use xception::import::Take;
use xception::weights::{self, Description};

use super::{output, print};
use crate::commands::{Error, Refusal};
use crate::console::escape;
use crate::file_error::FileError;
use crate::network::model_file::{Asked, Foreign, find, refuse_non_finite};
use crate::network::weights_name;

/// Flags of `xception import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The network [default: the one whose names the file has]
    #[arg(long, value_name = "PRESET")]
    pub preset: Option<String>,
    /// The weights of another program: safetensors, PyTorch's .pth, Keras's .keras or .h5, a folder of the Hugging Face hub
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "OUT.safetensors")]
    pub out: PathBuf,
    /// Of a file with several copies of the network the one to take [default: plain, or ema where there is no other]
    #[arg(long, value_name = "plain|ema|NAME")]
    pub take: Option<String>,
    /// The names of the classes in the order of the logits: a file with one a line, or a list
    #[arg(long, value_name = "FILE|A,B,…")]
    pub class_names: Option<String>,
    /// Rows and columns of the images that it was trained on
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(i64).range(1..=8192))]
    pub side: Option<i64>,
    /// The way to a square: crop keeps an image's proportions, squash does not (Keras)
    #[arg(long, value_enum)]
    pub fit: Option<Fit>,
    /// The part of an image's shorter side that is kept; timm's crop_pct
    #[arg(long, value_name = "FRACTION")]
    pub crop_fraction: Option<f64>,
    /// The interpolation of the resize
    #[arg(long, value_enum)]
    pub interpolation: Option<Interpolation>,
    /// The mean of red, green and blue, of 0 to 1, which is subtracted
    #[arg(long, value_name = "R,G,B", value_parser = colours, allow_hyphen_values = true)]
    pub mean: Option<[f64; 3]>,
    /// The standard deviation of red, green and blue, of 0 to 1, which is divided by
    #[arg(long, value_name = "R,G,B", value_parser = colours)]
    pub std: Option<[f64; 3]>,
}

/// The ways to a square.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Fit {
    /// Cut out of the middle.
    Crop,
    /// Resized on both sides.
    Squash,
}

/// The curves of a resize.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Interpolation {
    /// A triangle.
    Bilinear,
    /// Cubic pieces.
    Bicubic,
    /// A window of a sine.
    Lanczos,
    /// The nearest pixel.
    Nearest,
}

pub(super) fn run(arguments: &ImportArgs) -> Result<(), Error> {
    let ImportArgs { out, .. } = arguments;
    let input = &find(&arguments.input.to_string_lossy())?;
    let place = output::place(out, [input.as_path()])?;
    let take = weights_name::take(arguments.take.as_deref());
    let asked = arguments.preset.as_deref().map(str::parse).transpose()?;
    let contents = weights::read_contents(input)?;
    let own = Description::from_metadata(input, &contents.metadata)?;
    let imported = match own.filter(|own| asked.is_none_or(|asked| asked == own.spec.preset)) {
        // A file of ours: what it says of itself stays, but for what is typed.
        Some(description) if take == Take::First => {
            Foreign { tensors: contents.into_largest(), description, notes: Vec::new() }
        }
        _ => {
            let preset = asked.map_or(Asked::Nothing, Asked::For).or_of(input, &contents, &take)?;
            Foreign::import(preset, &contents, &take)?
        }
    };
    let Foreign { tensors, mut description, notes } = imported;
    refuse_non_finite(input, &tensors)?;
    let preset = description.spec.preset;
    // What a description beside the file says is refused as it would be in ours.
    Description::from_metadata(input, &description.to_metadata())?;
    describe(arguments, &mut description)?;
    weights::write(&place, &tensors, &description.to_metadata())?;
    let classes = match description.spec.classes {
        0 => "without a head".to_string(),
        classes => format!("with {classes} classes"),
    };
    print(&format!(
        "{} tensors of preset {preset} {classes} written to {}",
        tensors.len(),
        escape::name(&out.display().to_string())
    ))?;
    let Description { input: side, crop_fraction, .. } = description;
    let fit = match description.fit {
        weights::Fit::Squash => "squashed".to_string(),
        weights::Fit::Crop if crop_fraction == 1.0 => "cropped to the middle square".to_string(),
        weights::Fit::Crop => {
            format!("cropped to the middle {crop_fraction} of the shorter side")
        }
    };
    print(&format!("images: {side}×{side} pixels, {fit}"))?;
    notes.iter().try_for_each(|note| print(&escape::name(&note.to_string())))
}

/// Puts what was typed into the description.
fn describe(arguments: &ImportArgs, description: &mut Description) -> Result<(), Error> {
    if let Some(names) = &arguments.class_names {
        description.class_names = class_names(names)?;
        let (names, classes) = (description.class_names.len(), description.spec.classes);
        if names as i64 != classes {
            return Err(Refusal::ClassNames { names, classes }.into());
        }
    }
    description.input = arguments.side.unwrap_or(description.input);
    description.crop_fraction = arguments.crop_fraction.unwrap_or(description.crop_fraction);
    match arguments.fit {
        None => {}
        Some(Fit::Crop) => description.fit = weights::Fit::Crop,
        Some(Fit::Squash) => description.fit = weights::Fit::Squash,
    }
    match arguments.interpolation {
        None => {}
        Some(Interpolation::Bilinear) => {
            description.interpolation = weights::Interpolation::Bilinear
        }
        Some(Interpolation::Bicubic) => description.interpolation = weights::Interpolation::Bicubic,
        Some(Interpolation::Lanczos) => description.interpolation = weights::Interpolation::Lanczos,
        Some(Interpolation::Nearest) => description.interpolation = weights::Interpolation::Nearest,
    }
    description.mean = arguments.mean.unwrap_or(description.mean);
    description.std = arguments.std.unwrap_or(description.std);
    // What was typed is refused as it would be when the file is read.
    Description::from_metadata(&arguments.out, &description.to_metadata())
        .map_err(|problem| Refusal::Described { problem })?;
    Ok(())
}

/// Three numbers with commas between them.
fn colours(typed: &str) -> Result<[f64; 3], String> {
    let numbers: Result<Vec<f64>, _> =
        typed.split(',').map(|number| number.trim().parse()).collect();
    let colours = numbers.ok().and_then(|numbers| numbers.try_into().ok());
    colours.ok_or_else(|| {
        "expected three numbers with commas between them, such as 0.5,0.5,0.5".to_string()
    })
}

/// Names in a file, one a line, or in a list.
fn class_names(typed: &str) -> Result<Vec<String>, Error> {
    let path = Path::new(typed);
    if !path.is_file() {
        return Ok(typed.split(',').map(|name| name.trim().to_string()).collect());
    }
    let text = text::decoded(&fs::read(path).map_err(FileError::on("read", path))?);
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_string).collect())
}
