//! Features in place of classes: the last map, one vector for each image, and the feature pyramid.
//!
//! ```console
//! $ cargo run --release -p xception --example features
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it computes")]

use xception::tch::{self, Device, Kind, Tensor, nn};
use xception::{Error, ModelOptions, ModelSpec, Preset};

fn main() -> Result<(), Error> {
    let _no_grad = tch::no_grad_guard();
    let images = Tensor::randn([1, 3, 128, 128], (Kind::Float, Device::Cpu));
    let spec = ModelSpec::new(Preset::Xception41);

    let store = nn::VarStore::new(Device::Cpu);
    let model = spec.build(store.root())?;
    let features = model.features_t(&images, false);
    println!("features {:?}, pooled {:?}", features.size(), model.pooled(&features).size());
    for level in model.pyramid_t(&images, false) {
        let (channels, stride) = (level.size()[1], 128 / level.size()[2]);
        println!("level of {channels:>4} channels, {stride:>2} times smaller: {:?}", level.size());
    }

    // For segmentation and detection: dilated kernels instead of a smaller map.
    let options = ModelOptions { output_stride: Some(8), ..ModelOptions::default() };
    let store = nn::VarStore::new(Device::Cpu);
    let model = ModelSpec { options, ..spec }.build(store.root())?;
    println!("features at output stride 8: {:?}", model.features_t(&images, false).size());
    Ok(())
}
