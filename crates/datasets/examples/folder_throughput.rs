//! Images per second from a folder of files to batches for a network: decoded, cropped at random, flipped, normalised.
//! `xtask/peers/images.py` times it in alternation with torchvision.
//!
//! ```console
//! $ cargo run --release -p xception-datasets --example folder_throughput -- DIR SIDE BATCH WORKERS
//! ```
//!
//! Every line on stdin starts an epoch, which answers with a line: its rate.
#![allow(clippy::print_stdout, reason = "the figures are the result")]

use std::error::Error;
use std::io::{self, BufRead};
use std::path::Path;
use std::time::Instant;

use datasets::{
    Augmentation, Broken, Fit, Held, Interpolation, LastBatch, Loader, LoaderConfig, Normalization,
    Order, ResizedCrop, Shape, Share, folder,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, side, batch, workers] = &arguments[..] else {
        return Err("usage: folder_throughput DIR SIDE BATCH WORKERS".into());
    };
    let found = folder(Path::new(root), Held { fraction: 0.2, seed: 0 })?;
    let workers = workers.parse()?;
    let config = LoaderConfig {
        batch_size: batch.parse()?,
        share: Share::WHOLE,
        order: Order::Shuffled,
        seed: 0,
        augmentation: Augmentation {
            resized_crop: Some(ResizedCrop { scale: [0.08, 1.], ratio: [0.75, 4. / 3.] }),
            horizontal_flip: 0.5,
            ..Augmentation::default()
        },
        normalization: Normalization::HALF,
        last_batch: LastBatch::Keep,
        fit: Some(Fit {
            side: side.parse()?,
            crop_fraction: 1.,
            interpolation: Interpolation::Bilinear,
            shape: Shape::Crop,
        }),
        broken: Broken::Refuse,
        prefetch: 2 * workers,
        workers,
    };
    let loader = Loader::new(found.train, config)?;
    for (epoch, line) in (0..).zip(io::stdin().lock().lines()) {
        line?;
        let start = Instant::now();
        let mut images = 0;
        for batch in loader.epoch(epoch) {
            images += batch?.indices.len();
        }
        println!("{:.1}", images as f64 / start.elapsed().as_secs_f64());
    }
    Ok(())
}
