//! `xception predict`: classifies images.

mod answer;
mod classifier;
mod destination;
mod lines;
mod listing;
mod read_ahead;
mod rendering;

use crate::network::weights_name::WeightsArgs;
use crate::precision::Precision;
use clap::Args;
use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Instant;

use tch::Tensor;
use xception::weights;

use self::answer::{Outcome, Selection};
use self::classifier::{Answered, BATCH, Classifier};
use self::destination::Destination;
use self::listing::Listing;
use self::read_ahead::{Pixels, ReadAhead, Ready};
use self::rendering::{Format, Rendering, Seen};
use super::inputs::Inputs;
use super::{Reader, output};
use crate::commands::{Error, Refusal};
use crate::console::log;
use crate::console::progress::Progress;
use crate::duration::clock;
use crate::network::forward::{Forward, Views};
use crate::network::images;
use crate::network::model_file::Loaded;

/// Flags of `xception predict`.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// The weights.
    #[command(flatten)]
    pub weights: WeightsArgs,
    /// Numbers to compute in; auto is bf16 where the device multiplies it faster than fp32
    #[arg(long, value_enum, default_value_t = Precision::Auto)]
    pub precision: Precision,
    /// Images (JPEG, PNG, WebP, GIF, TIFF, BMP), folders of them, patterns such as 'photos/*.jpg', safetensors files whose
    /// tensor `input` is [N,3,H,W] float32, normalised, or - for paths on standard input, one a line
    #[arg(required_unless_present = "list", value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// A file of paths to images or folders, one a line, relative to the current folder
    #[arg(long, value_name = "FILE")]
    pub list: Vec<PathBuf>,
    /// Classes to name for each image
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub top: u32,
    /// Name only classes with at least this probability, from 0 to 1 [default: any; of images with several labels, the
    /// thresholds in the weights]
    #[arg(long, value_name = "P", value_parser = answer::probability)]
    pub threshold: Option<f64>,
    /// Average the logits of each image and its mirror image
    #[arg(long)]
    pub tta: bool,
    /// The form of the results [default: that of the ending of --out, or else text]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Print one JSON document: --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Write the results to this file, whole or not at all, instead of printing them
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write all logits to this safetensors file, as the tensor `logits` [N,classes]
    #[arg(long, value_name = "OUT.safetensors")]
    pub logits: Option<PathBuf>,
}

impl PredictArgs {
    fn format(&self) -> Format {
        let by_name = || self.out.as_deref().and_then(Format::of_name);
        let json = self.json.then_some(Format::Json);
        self.format.or(json).or_else(by_name).unwrap_or(Format::Text)
    }

    /// The file that `out` leads to.
    fn place(&self, out: &Path, weights: &Path) -> Result<PathBuf, Refusal> {
        let inputs = self.inputs.iter().chain(&self.list).map(PathBuf::as_path);
        output::place(out, inputs.chain([weights]))
    }
}

pub(super) fn run(arguments: &PredictArgs) -> Result<(), Error> {
    let loaded = Loaded::open(&arguments.weights)?;
    let place = |out: &Option<PathBuf>| {
        out.as_deref().map(|out| arguments.place(out, &loaded.path)).transpose()
    };
    let (out, logits_file) = (place(&arguments.out)?, place(&arguments.logits)?);
    if let (Some(out), true) = (&out, out == logits_file) {
        return Err(Refusal::TwoResults { path: out.clone() }.into());
    }
    let listing = Listing::new(&arguments.inputs, &arguments.list);
    let mut destination = Destination::open(out.as_deref())?;
    let classes = loaded.description.class_names.len();
    let top = classes.min(arguments.top as usize);
    let seen = match out {
        None if std::io::stdout().is_terminal() => Seen::ByPeople,
        _ => Seen::ByPrograms,
    };
    let mut results = Results {
        rendering: Rendering::new(arguments.format(), seen, top),
        destination: &mut destination,
        logits: logits_file.is_some().then(Vec::new),
        images: 0,
        progress: listing.known_number().filter(|number| *number > BATCH).map(progress_through),
        inputs: 0,
    };
    let forward = Forward::new(&loaded.model, arguments.precision, BATCH);
    let views = if arguments.tta { Views::Mirrored } else { Views::One };
    let labels = loaded.description.labels.clone();
    let selection = Selection { top, threshold: arguments.threshold, labels };
    let classifier = Classifier::new(&loaded, forward, views, selection);
    let written = [&out, &logits_file].into_iter().flatten();
    let outputs = written.filter_map(|path| fs::canonicalize(path).ok()).collect();
    let sole = listing.sole.clone();
    let started = Instant::now();
    let read_ahead = ReadAhead::new(listing, &loaded.description, 2 * BATCH);
    let counted = Inputs::counted();
    let prediction = Prediction { classifier, counted, sole, outputs };
    let counted = prediction.run(read_ahead, &mut results)?;
    let Results { logits, images, progress, .. } = results;
    drop(progress);
    let reader = destination.reader();
    destination.finish()?;
    if let (Some(file), Some(logits)) = (&logits_file, logits) {
        let tensors = BTreeMap::from([("logits".to_string(), Tensor::cat(&logits, 0))]);
        weights::write(file, &tensors, &BTreeMap::new())?;
    }
    if reader == Reader::Gone {
        return Ok(());
    }
    if images > 1 {
        let seconds = started.elapsed().as_secs_f64();
        let rate = images as f64 / seconds;
        let time = if seconds < 60.0 { format!("{seconds:.1} s") } else { clock(seconds) };
        tracing::info!("{images} images in {time}, {rate:.1} images/s");
    }
    counted.end()
}

fn progress_through(inputs: usize) -> Progress {
    let progress = Progress::new(inputs as u64, log::audience());
    progress.prefix(format!("{inputs} inputs"));
    progress
}

/// The results so far, and the place that they are written to.
struct Results<'a> {
    rendering: Rendering,
    destination: &'a mut Destination,
    /// Of all images, if they are wanted.
    logits: Option<Vec<Tensor>>,
    /// Images that were classified.
    images: u64,
    /// Inputs that were read.
    inputs: u64,
    /// For many inputs.
    progress: Option<Progress>,
}

impl Results<'_> {
    fn take(&mut self, answered: Answered) -> Result<(), Error> {
        let Answered { answers, logits } = answered;
        let read =
            answers.iter().filter(|answer| !matches!(answer.outcome, Outcome::Unreadable(_)));
        self.images += read.count() as u64;
        self.destination.write(&self.rendering.next(&answers))?;
        if let (Some(all), Some(logits)) = (&mut self.logits, logits) {
            all.push(logits);
        }
        if let Some(progress) = &self.progress {
            progress.update(self.inputs, String::new());
        }
        Ok(())
    }

    /// Whether anybody waits for more of them.
    fn are_wanted(&self) -> bool {
        self.logits.is_some() || self.destination.reader() == Reader::There
    }
}

/// The way of every input through the network.
struct Prediction<'a> {
    classifier: Classifier<'a>,
    counted: Inputs,
    /// The one thing that was typed.
    sole: Option<PathBuf>,
    /// Files that are written at the end, and must not be inputs.
    outputs: Vec<PathBuf>,
}

impl Prediction<'_> {
    /// Classifies one input after another, and returns their number.
    fn run(mut self, ready: ReadAhead, results: &mut Results) -> Result<Inputs, Error> {
        for ready in ready {
            if matches!(ready, Ready::Pause) {
                results.take(self.classifier.answer()?)?;
            } else {
                self.counted.add();
                self.input(ready, results)?;
                results.inputs += 1;
            }
            if !results.are_wanted() {
                return Ok(self.counted);
            }
        }
        results.take(self.classifier.answer()?)?;
        results.destination.write(results.rendering.end())?;
        Ok(self.counted)
    }

    fn input(&mut self, ready: Ready, results: &mut Results) -> Result<(), Error> {
        let (path, error) = match ready {
            Ready::Pause => return Ok(()),
            Ready::Image(path, pixels) => {
                self.refuse_output(&path)?;
                warn_of_shrinking(&path, &pixels);
                let image = images::tensor(&pixels.normalized, pixels.side);
                let answered = self.classifier.add(path.display().to_string(), image)?;
                return answered.map_or(Ok(()), |answered| results.take(answered));
            }
            Ready::Tensors(path) => match self.classifier.images(&path) {
                Ok(images) => {
                    self.refuse_output(&path)?;
                    for row in 0..images.size()[0] {
                        let name = format!("{}[{row}]", path.display());
                        let answered = self.classifier.add(name, images.narrow(0, row, 1))?;
                        answered.map_or(Ok(()), |answered| results.take(answered))?;
                    }
                    return Ok(());
                }
                Err(error) => (path, error),
            },
            Ready::Unusable(path, error) => (path, error),
        };
        let is_all = results.inputs == 0 && self.sole.as_ref() == Some(&path);
        // A file of logits needs a row for each.
        if is_all || results.logits.is_some() {
            return Err(error);
        }
        let answered = self.classifier.add_unreadable(&path, error, &mut self.counted)?;
        answered.map_or(Ok(()), |answered| results.take(answered))
    }

    /// Refuses an input from a folder or a list that would be written over.
    fn refuse_output(&self, input: &Path) -> Result<(), Refusal> {
        if self.outputs.is_empty() {
            return Ok(());
        }
        match fs::canonicalize(input) {
            Ok(real) if self.outputs.contains(&real) => {
                Err(Refusal::OutIsInput { path: input.to_path_buf() })
            }
            _ => Ok(()),
        }
    }
}

/// The shorter side of an image, as a multiple of the network's side, from which a warning is due.
const SHRUNK: usize = 8;

/// Warns, of the first such image, where the network sees a small part of what an image shows.
fn warn_of_shrinking(path: &Path, pixels: &Pixels) {
    static ONCE: Once = Once::new();
    let Pixels { side, size: [width, height], .. } = *pixels;
    if width.min(height) >= SHRUNK * side {
        ONCE.call_once(|| {
            tracing::warn!(
                "{} has {width}×{height} pixels, and these weights see {side}×{side} of them: small things vanish",
                path.display()
            );
        });
    }
}
