//! `xception eval`: measures weights on a test set.

use std::sync::Arc;

use datasets::{Augmentation, Broken, LastBatch, Loader, LoaderConfig, Normalization, Order};

use super::print;
use crate::Error;
use crate::cli::EvalArgs;
use crate::data::{Data, DataSpec, stand_in_banner};
use crate::evaluation::Evaluation;
use crate::forward::Views;
use crate::model_file::Loaded;
use crate::pictures;
use crate::progress::Progress;

pub(super) fn run(arguments: &EvalArgs) -> Result<(), Error> {
    let Loaded { model, description, path, .. } = &Loaded::open(&arguments.weights)?;
    let spec = match &arguments.data {
        Some(text) => text.parse::<DataSpec>()?,
        None => description.data.parse().map_err(|_| {
            Error::Usage(format!(
                "{} does not say what it was trained on; add --data",
                path.display()
            ))
        })?,
    };
    let data = Data::load(&spec)?;
    if data.stands_in {
        tracing::warn!("\n{}", stand_in_banner());
    }
    let classes = data.class_names().len();
    if classes as i64 != description.spec.classes {
        let message = format!(
            "{} tells {} classes apart, {} has {classes}; give other weights or another --data",
            path.display(),
            description.spec.classes,
            data.name
        );
        return Err(Error::Usage(message));
    }
    if data.name != description.data {
        tracing::warn!(
            "these weights were trained on {}, and are measured on {}",
            description.data,
            data.name
        );
    }
    let side = description.input as usize;
    let fit = pictures::fit(side, description.crop_fraction, description.interpolation);
    let config = LoaderConfig {
        batch_size: arguments.batch_size as usize,
        order: Order::Sequential,
        seed: 0,
        augmentation: Augmentation::default(),
        normalization: Normalization { mean: description.mean, std: description.std },
        last_batch: LastBatch::Keep,
        fit: data.is_files().then_some(fit),
        broken: Broken::LeaveOut,
        prefetch: 4,
        workers: if data.is_files() { 2 } else { 1 },
    };
    let loader = Loader::new(Arc::clone(&data.test), config)?;
    let views = if arguments.tta { Views::Mirrored } else { Views::One };
    let progress = Progress::new(data.test.len() as u64);
    progress.prefix(format!("{} test", data.name));
    let evaluation = Evaluation::of(model, &loader, arguments.precision, views, |images| {
        progress.update(images, String::new());
        Ok(())
    })?;
    drop(progress);
    if arguments.json {
        return print(&format!("{:#}", evaluation.to_json_by_class(data.class_names())));
    }
    print(&format!(
        "{} test accuracy: {:.2} % (top-5 {:.2} %, loss {:.4}, {} pictures)",
        data.name,
        evaluation.top1 * 100.0,
        evaluation.top5 * 100.0,
        evaluation.loss,
        evaluation.images
    ))
}
