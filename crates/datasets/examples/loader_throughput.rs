//! Images per second of the loader with the notebook's augmentation, in batches of 128.
//!
//! `cargo run --release -p datasets --example loader_throughput`
#![allow(clippy::print_stdout, reason = "the figures are the result")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use datasets::{
    Augmentation, Error, LastBatch, Loader, LoaderConfig, Normalization, Order, Split, synthetic,
};

fn main() -> Result<(), Error> {
    let pictures = Arc::new(synthetic::pictures(Split::Train, 10_000, 32, 0)?);
    for prefetch in [0, 1] {
        let config = LoaderConfig {
            batch_size: 128,
            order: Order::Shuffled,
            seed: 0,
            augmentation: Augmentation::NOTEBOOK,
            normalization: Normalization::CIFAR10_NOTEBOOK,
            last_batch: LastBatch::Keep,
            prefetch,
        };
        let loader = Loader::new(Arc::clone(&pictures), config)?;
        let mut fastest = Duration::MAX;
        for epoch in 0..20 {
            let start = Instant::now();
            for batch in loader.epoch(epoch) {
                drop(batch);
            }
            fastest = fastest.min(start.elapsed());
        }
        let rate = loader.pictures_per_epoch() as f64 / fastest.as_secs_f64();
        let batch = fastest / loader.batches_per_epoch() as u32;
        println!("prefetch {prefetch}: {rate:.0} images/s, {batch:.0?} a batch of 128");
    }
    Ok(())
}
