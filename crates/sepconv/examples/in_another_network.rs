//! Separable convolutions in a network of your own: which quadrant of an image is the bright one?
//!
//! ```console
//! $ cargo run --release -p sepconv --example in_another_network
//! ```
#![allow(clippy::print_stdout, reason = "what it prints is what it shows")]

use sepconv::{Activation, BatchNormConfig, Error, NormAct, Padding, SeparableConv2d};
use sepconv::{SeparableConv2dConfig, cost};
use tch::nn::{self, ModuleT, OptimizerConfig};
use tch::{Device, Kind, Tensor};

/// Two separable convolutions that halve the image, a mean, a linear layer.
#[derive(Debug)]
struct Quadrants {
    convs: [SeparableConv2d; 2],
    head: nn::Linear,
}

impl Quadrants {
    fn new(path: &nn::Path) -> Result<Self, Error> {
        let config = SeparableConv2dConfig {
            stride: [2, 2],
            padding: Padding::Explicit([1, 1]),
            after: NormAct { norm: Some(BatchNormConfig::default()), activation: Activation::Relu },
            ..Default::default()
        };
        let first = SeparableConv2d::new(&(path / "first"), 3, 16, config)?;
        let second = SeparableConv2d::new(&(path / "second"), 16, 32, config)?;
        let head = nn::linear(path / "head", 32 * 4 * 4, 4, Default::default());
        Ok(Self { convs: [first, second], head })
    }
}

impl ModuleT for Quadrants {
    /// `[N, 3, 16, 16]` to logits `[N, 4]`.
    fn forward_t(&self, xs: &Tensor, train: bool) -> Tensor {
        let [first, second] = &self.convs;
        xs.apply_t(first, train).apply_t(second, train).flatten(1, -1).apply(&self.head)
    }
}

/// Noise with one bright quadrant, and which it is.
fn images(count: i64) -> (Tensor, Tensor) {
    let options = (Kind::Float, Device::Cpu);
    let labels = Tensor::randint(4, [count], (Kind::Int64, Device::Cpu));
    let places = Tensor::eye(4, options).index_select(0, &labels).view([count, 1, 2, 2]);
    let bright =
        places.repeat_interleave_self_int(8, 2, None).repeat_interleave_self_int(8, 3, None);
    (Tensor::randn([count, 3, 16, 16], options) + bright, labels)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shape =
        cost::ConvShape { c_in: 16, c_out: 32, kernel_size: [3, 3], output: [4, 4], bias: false };
    let (regular, depthwise) = (cost::grouped(shape, 1), cost::grouped(shape, 16));
    println!(
        "a regular 3×3 layer: {} multiplications; its depthwise half: {}",
        regular.macs, depthwise.macs
    );

    tch::manual_seed(0);
    let store = nn::VarStore::new(Device::Cpu);
    let network = Quadrants::new(&store.root())?;
    let mut optimizer = nn::Adam::default().build(&store, 1e-2)?;
    for step in 1..=60 {
        let (images, labels) = images(64);
        let loss = network.forward_t(&images, true).cross_entropy_for_logits(&labels);
        optimizer.backward_step(&loss);
        if step % 20 == 0 {
            println!("step {step}: loss {:.3}", loss.double_value(&[]));
        }
    }
    let (images, labels) = images(1000);
    let accuracy = network.forward_t(&images, false).accuracy_for_logits(&labels);
    println!("{:.1} % of new images are told right", 100.0 * accuracy.double_value(&[]));
    Ok(())
}
