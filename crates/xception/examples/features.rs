//! Features in place of classes: the last map, one vector an image, and the whole pyramid.
//!
//! ```console
//! $ cargo run --release -p xception --example features
//! ```
#![allow(clippy::print_stdout, reason = "what it prints is what it shows")]

use tch::{Device, Kind, Tensor, nn};
use xception::{ModelOptions, ModelSpec, Preset, Xception};

fn main() -> Result<(), xception::Error> {
    let images = Tensor::randn([1, 3, 128, 128], (Kind::Float, Device::Cpu));
    let store = nn::VarStore::new(Device::Cpu);
    let spec = ModelSpec::new(Preset::Xception41);
    let model = Xception::new(&store.root(), &spec.architecture()?, spec.classes)?;
    tch::no_grad(|| {
        let features = model.features_t(&images, false);
        println!("features {:?}, pooled {:?}", features.size(), model.pooled(&features).size());
        for level in model.pyramid_t(&images, false) {
            let size = level.size();
            println!(
                "level of {:>4} channels, {:>2} times smaller: {size:?}",
                size[1],
                128 / size[2]
            );
        }
    });

    // For segmentation and detection: kernels that reach further in place of a smaller image.
    let options = ModelOptions { output_stride: Some(8), ..ModelOptions::default() };
    let spec = ModelSpec { options, ..spec };
    let store = nn::VarStore::new(Device::Cpu);
    let model = Xception::new(&store.root(), &spec.architecture()?, spec.classes)?;
    let features = tch::no_grad(|| model.features_t(&images, false));
    println!("features at output stride 8: {:?}", features.size());
    Ok(())
}
