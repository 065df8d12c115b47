//! Classifies an image.
//!
//! ```console
//! $ cargo run --release -p xception --example classify -- runs/quick-cifar10/last.safetensors frog.png
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it computes")]

use std::error::Error;
use std::path::Path;

use xception::Inference;
use xception::tch::{Device, Kind, nn};
use xception::weights::{self, Description};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, weights, image] = &arguments[..] else {
        return Err("usage: classify WEIGHTS.safetensors IMAGE".into());
    };

    // The metadata say which network the weights belong to, and how its images were prepared.
    let (tensors, metadata) = weights::read(Path::new(weights))?;
    let description = Description::from_metadata(Path::new(weights), &metadata)?
        .ok_or("these weights do not say what they are; see `xception import`")?;

    // Create the network and load its weights.
    let store = nn::VarStore::new(Device::Cpu);
    let model = description.spec.build(store.root())?;
    weights::load(&store, &tensors)?;

    // The logits, by packed weights: faster on a CPU than `model.logits(&image)`, which computes the same.
    let image = description.preprocessing().load(image)?;
    let probabilities =
        Inference::new(&model, Kind::Float)?.logits(&image).softmax(-1, Kind::Float);

    // The five likeliest classes.
    let classes = &description.class_names;
    let (top, indices) = probabilities.squeeze().topk(classes.len().min(5) as i64, 0, true, true);
    for (probability, class) in
        Vec::<f64>::try_from(top)?.iter().zip(Vec::<i64>::try_from(indices)?)
    {
        println!("{:6.2} %  {}", 100.0 * probability, classes[class as usize]);
    }
    Ok(())
}
