//! Separable convolutions in a network of your own: which quadrant of an image is the bright one?
//!
//! ```console
//! $ cargo run --release -p xception-sepconv --example in_another_network
//! ```
#![allow(clippy::print_stdout, reason = "the output is the result")]

use sepconv::{
    Activation, BatchNormConfig, Error, NormAct, SeparableConv2d, SeparableConv2dConfig,
};
use tch::nn::{self, ModuleT, OptimizerConfig};
use tch::{Device, Kind, Tensor};

/// `[N, 3, 16, 16]` to logits `[N, 4]`: two separable convolutions that halve the image, then a linear layer.
fn net(vs: &nn::Path) -> Result<nn::SequentialT, Error> {
    let config = SeparableConv2dConfig {
        stride: 2,
        after: NormAct { norm: Some(BatchNormConfig::default()), activation: Activation::Relu },
        ..Default::default()
    };
    Ok(nn::seq_t()
        .add(SeparableConv2d::new(vs / "conv1", 3, 16, config)?)
        .add(SeparableConv2d::new(vs / "conv2", 16, 32, config)?)
        .add_fn(|xs| xs.flat_view())
        .add(nn::linear(vs / "fc", 32 * 4 * 4, 4, Default::default())))
}

/// Noise with one bright quadrant, and the number of that quadrant.
fn batch(size: i64) -> (Tensor, Tensor) {
    let labels = Tensor::randint(4, [size], (Kind::Int64, Device::Cpu));
    let quadrants = labels.one_hot(4).view([size, 1, 2, 2]).to_kind(Kind::Float);
    let bright = quadrants.upsample_nearest2d([16, 16], None, None);
    (Tensor::randn([size, 3, 16, 16], (Kind::Float, Device::Cpu)) + bright, labels)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tch::manual_seed(0);
    let vs = nn::VarStore::new(Device::Cpu);
    let net = net(&vs.root())?;
    let mut optimizer = nn::Adam::default().build(&vs, 1e-2)?;
    for step in 1..=60 {
        let (images, labels) = batch(64);
        let loss = net.forward_t(&images, true).cross_entropy_for_logits(&labels);
        optimizer.backward_step(&loss);
        if step % 20 == 0 {
            println!("step {step}: loss {:.3}", f64::try_from(&loss)?);
        }
    }
    let (images, labels) = batch(1000);
    let accuracy = net.forward_t(&images, false).accuracy_for_logits(&labels);
    println!("accuracy on new images: {:.1} %", 100. * f64::try_from(&accuracy)?);
    Ok(())
}
