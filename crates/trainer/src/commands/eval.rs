//! `xception eval`: measures weights on a test set.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

mod own_images;

use crate::network::weights_name::WeightsArgs;
use crate::precision::Precision;
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datasets::{
    Augmentation, Broken, LastBatch, Loader, LoaderConfig, Normalization, Order, Renumbered, Share,
    Source,
};
use serde_json::json;
use xception::weights::{Description, Labels};

use super::{figures, print};
use crate::commands::{Error, Refusal};
use crate::console::log;
use crate::console::progress::Progress;
use crate::data::resize::fit_of;
use crate::data::unreadable_images::LeftOut;
use crate::data::{Data, DataSpec, Part, stand_in_banner};
use crate::evaluation::{Details, Evaluation, Keep, LeftOutNames, PREDICTIONS};
use crate::file_error::FileError;
use crate::network::forward::Views;
use crate::network::model_file::Loaded;
use crate::report::{self, Measured};
use crate::run::run_folder::CONFIG;
use crate::whole_file;

/// Flags of `xception eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// The weights.
    #[command(flatten)]
    pub weights: WeightsArgs,
    /// Numbers to compute in; auto is bf16 where the device multiplies it faster than fp32
    #[arg(long, value_enum, default_value_t = Precision::Auto)]
    pub precision: Precision,
    /// cifar10[:DIR], cifar100[:DIR], folder:DIR, csv:FILE, parquet:DIR, shards:DIR, synthetic, synthetic-multi, or
    /// auto [default: the data set of the weights]
    #[arg(long, value_name = "SPEC")]
    pub data: Option<String>,
    /// The part of the data to measure on
    #[arg(long, value_enum, default_value_t = Part::Test)]
    pub split: Part,
    /// Images at a time
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_size: u32,
    /// Average the logits of each image and its mirror image
    #[arg(long)]
    pub tta: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Write a page (report.html), the figures (evaluation.json) and a line for each image (predictions.csv) into this folder
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
}

pub(super) fn run(arguments: &EvalArgs) -> Result<(), Error> {
    if let Some(folder) = arguments.report.clone().filter(|folder| folder.join(CONFIG).exists()) {
        return Err(Refusal::ReportInRun { folder }.into());
    }
    let Loaded { model, description, path, .. } = &Loaded::open(&arguments.weights)?;
    let spec = match &arguments.data {
        Some(text) => text.parse::<DataSpec>()?,
        None => description.data.parse().map_err(|_| Refusal::NoData { weights: path.clone() })?,
    };
    let own = if spec.is_files() {
        own_images::find(&spec, arguments.split, description, path)?
    } else {
        None
    };
    let is_own = own.is_some();
    let (data, images) = match own {
        Some(own) => own,
        None => Data::part(&spec, arguments.split)?,
    };
    if data.stands_in {
        tracing::warn!("\n{}", stand_in_banner());
    }
    if data.held && arguments.split == Part::Test && !is_own {
        tracing::info!(
            "no test set there: measuring on the part that training holds back (--split all uses every image)"
        );
    }
    let images = numbered(images, description, path)?;
    if images.is_multi_label() != description.labels.are_several() {
        let several = images.is_multi_label();
        return Err(Refusal::OtherLabels { weights: path.clone(), data: data.name, several }.into());
    }
    if data.name != description.data {
        tracing::warn!(
            "these weights were trained on {} and are measured on {}",
            description.data,
            data.name
        );
    }
    let config = LoaderConfig {
        batch_size: arguments.batch_size as usize,
        share: Share::WHOLE,
        order: Order::Sequential,
        seed: 0,
        augmentation: Augmentation::default(),
        normalization: Normalization { mean: description.mean, std: description.std },
        last_batch: LastBatch::Keep,
        fit: data.is_files().then(|| fit_of(description)),
        broken: Broken::LeaveOut,
        prefetch: 4,
        workers: if data.is_files() { 2 } else { 1 },
    };
    let loader = Loader::new(Arc::clone(&images), config)?;
    let views = if arguments.tta { Views::Mirrored } else { Views::One };
    let progress = Progress::new(images.len() as u64, log::audience());
    let measured = match arguments.split {
        Part::Test => format!("{} test", data.name),
        Part::Train => format!("{} training", data.name),
        Part::Validation => format!("{} validation", data.name),
        Part::All => data.name.clone(),
    };
    progress.prefix(measured.clone());
    let after = |images| -> Result<(), Error> {
        progress.update(images, String::new());
        Ok(())
    };
    let evaluation = Evaluation::of(model, &loader, arguments.precision, views, Keep::Rows, after)?;
    let evaluation = match &description.labels {
        Labels::Several { thresholds } => evaluation.with_thresholds(Some(thresholds)),
        Labels::One => evaluation,
    };
    drop(progress);
    LeftOut::default().report_all(&evaluation.left_out);
    match evaluation.left_out.count() {
        0 => {}
        1 => tracing::warn!("1 of {} images cannot be read, and is in no figure", images.len()),
        count => tracing::warn!(
            "{count} of {} images cannot be read, and are in no figure",
            images.len()
        ),
    }
    if evaluation.images == 0 {
        return Err(Refusal::NoImage { data: data.name }.into());
    }
    if !evaluation.loss.is_finite() {
        return Err(crate::network::Error::NoAnswer.into());
    }
    if let Some(folder) = &arguments.report {
        let measured = Measured {
            images: measured.clone(),
            weights: path.display().to_string(),
            preset: description.spec.preset.to_string(),
        };
        let page = write_report(folder, &evaluation, &loader, &data.name, measured, path)?;
        tracing::info!("report: {}", page.display());
    }
    if arguments.json {
        let mut document = evaluation.to_json_by_class(images.class_names());
        document["left_out"] = json!(evaluation.left_out.names(&*images));
        return print(&format!("{document:#}"));
    }
    print(&figures::lines(&measured, "", &evaluation, images.class_names()))
}

/// Writes page, figures and rows into `folder`. Returns the path of the page.
fn write_report(
    folder: &Path,
    evaluation: &Evaluation,
    loader: &Loader,
    data: &str,
    measured: Measured,
    weights: &Path,
) -> Result<PathBuf, Error> {
    fs::create_dir_all(folder).map_err(FileError::on("create", folder))?;
    let images = loader.images();
    let test = evaluation.left_out.names(images);
    let left_out = LeftOutNames { test, ..LeftOutNames::default() };
    let details = Details::of(evaluation, data, Vec::new(), loader, left_out, weights)?;
    if let Some(table) = evaluation.predictions(images) {
        whole_file::write(&folder.join(PREDICTIONS), &table)?;
    }
    details.save(folder)?;
    Ok(report::write_evaluation(&details, &measured, folder)?)
}

/// The images with the class numbers of the weights, matched by class name. Where one side has numbers for names, or
/// folders are named as in ImageNet, classes are matched by their order.
fn numbered(
    images: Arc<dyn Source>,
    description: &Description,
    path: &Path,
) -> Result<Arc<dyn Source>, Refusal> {
    let (own, known) = (images.class_names(), &description.class_names);
    if own == known {
        return Ok(images);
    }
    if own.len() == known.len()
        && (nameless(own) || nameless(known) || (are_wordnet(own) && !are_wordnet(known)))
    {
        tracing::info!(
            "the {} classes are matched by their order: one side has no names",
            own.len()
        );
        return Ok(images);
    }
    match Renumbered::new(Arc::clone(&images), known) {
        Ok(renumbered) => Ok(Arc::new(renumbered)),
        Err(unknown) => {
            let (classes, known) = (own.len(), known.clone());
            Err(Refusal::UnknownClasses { weights: path.to_path_buf(), classes, unknown, known })
        }
    }
}

/// Whether the names of classes are only their numbers.
fn nameless(names: &[String]) -> bool {
    let is_number = |(number, name): (usize, &String)| {
        name.strip_prefix("class ").unwrap_or(name) == number.to_string()
    };
    names.iter().enumerate().all(is_number)
}

/// Whether the names of classes are WordNet numbers, as in ImageNet's archives: published weights have their order.
fn are_wordnet(names: &[String]) -> bool {
    let is_one = |name: &String| {
        name.strip_prefix('n')
            .is_some_and(|rest| rest.len() == 8 && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    names.iter().all(is_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_no_name_is_known() {
        assert!(nameless(&names(&["0", "1"])) && nameless(&names(&["class 0", "class 1"])));
        assert!(!nameless(&names(&["1", "0"])) && !nameless(&names(&["cat", "1"])));
        assert!(are_wordnet(&names(&["n01440764", "n01443537"])));
        assert!(!are_wordnet(&names(&["n01440764", "newt"])));
    }
}
