//! Images per second of the loader in batches of 128, with the notebook's augmentation and each other family added.
//!
//! ```console
//! $ cargo run --release -p xception-datasets --example loader_throughput
//! ```
#![allow(clippy::print_stdout, reason = "the figures are the result")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use datasets::{
    Augmentation, Broken, Erasing, ErasingValue, Error, Images, Jitter, LastBatch, Loader,
    LoaderConfig, Mix, Normalization, Order, Policy, ResizedCrop, Share, Split, synthetic,
};

fn main() -> Result<(), Error> {
    let images = Arc::new(synthetic::images(Split::Train, 10_000, 32, 0)?);
    let notebook = Augmentation::NOTEBOOK;
    for prefetch in [0, 1] {
        measure(&format!("notebook, prefetch {prefetch}"), &images, notebook, prefetch, 32)?;
    }
    let window = ResizedCrop { scale: [0.25, 1.], ratio: [0.75, 4. / 3.] };
    let value = ErasingValue::Noise;
    let families = [
        ("resized crop", Augmentation { crop: None, resized_crop: Some(window), ..notebook }),
        (
            "RandAugment of 2",
            Augmentation {
                policy: Some(Policy::RandAugment { operations: 2, magnitude: 9 }),
                ..notebook
            },
        ),
        ("TrivialAugment", Augmentation { policy: Some(Policy::TrivialAugmentWide), ..notebook }),
        (
            "jitter",
            Augmentation {
                jitter: Some(Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }),
                ..notebook
            },
        ),
        (
            "erasing by noise",
            Augmentation {
                erasing: Some(Erasing {
                    probability: 0.25,
                    scale: [0.02, 0.33],
                    ratio: [0.3, 3.3],
                    value,
                }),
                ..notebook
            },
        ),
        ("mixup", Augmentation { mix: Some(Mix::Mixup { alpha: 0.2 }), ..notebook }),
        ("CutMix", Augmentation { mix: Some(Mix::CutMix { alpha: 1. }), ..notebook }),
    ];
    for (name, augmentation) in families {
        measure(name, &images, augmentation, 0, 32)?;
    }
    measure("notebook at 24 x 24", &images, notebook, 0, 24)
}

fn measure(
    name: &str,
    images: &Arc<Images>,
    augmentation: Augmentation,
    prefetch: usize,
    side: usize,
) -> Result<(), Error> {
    let config = LoaderConfig {
        batch_size: 128,
        share: Share::WHOLE,
        order: Order::Shuffled,
        seed: 0,
        augmentation,
        normalization: Normalization::CIFAR10_NOTEBOOK,
        last_batch: LastBatch::Keep,
        fit: None,
        broken: Broken::Refuse,
        prefetch,
        workers: 1,
    };
    let loader = Loader::new(Arc::clone(images) as _, config)?;
    let mut fastest = Duration::MAX;
    for epoch in 0..10 {
        let start = Instant::now();
        for batch in loader.epoch_at(epoch, 0, side) {
            drop(batch?);
        }
        fastest = fastest.min(start.elapsed());
    }
    let rate = loader.images_per_epoch() as f64 / fastest.as_secs_f64();
    let batch = fastest / loader.batches_per_epoch() as u32;
    println!("{name}: {rate:.0} images/s, {batch:.0?} a batch of 128");
    Ok(())
}
