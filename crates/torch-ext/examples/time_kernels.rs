//! Times each kernel, forward and back, over the shapes that it is tested on.
//!
//! ```text
//! time_kernels [NAME] [--batch-size N] [--rounds N] [--bf16]
//! ```
//!
//! Prints a row for each shape whose name contains NAME: the medians of the rounds in milliseconds, of the forward pass
//! without gradients and of the forward and the backward pass together. The batch multiplies the images of a shape.
#![allow(clippy::print_stdout, reason = "the result")]

#[path = "../src/shapes.rs"]
mod shapes;

use std::time::Instant;

use shapes::{Depthwise, Pointwise, Pool, depthwise_shapes, pointwise_shapes, pool_shapes};
use tch::{Device, Kind, Tensor};
use torch_ext::{
    DepthwiseGeometry, FeatureMap, PoolGeometry, depthwise_conv2d, max_pool2d, pointwise_conv2d,
};

type Failure = Box<dyn std::error::Error>;

macro_rules! named {
    ($($name:ident: $shape:expr,)*) => { [$((stringify!($name), $shape)),*] };
}

/// The command line.
struct Options {
    name: String,
    batch_size: i64,
    rounds: usize,
    kind: Kind,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut options =
            Self { name: String::new(), batch_size: 1, rounds: 11, kind: Kind::Float };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a number"));
            match argument.as_str() {
                "--batch-size" => options.batch_size = value()?.parse()?,
                "--rounds" => options.rounds = value()?.parse()?,
                "--bf16" => options.kind = Kind::BFloat16,
                name if !name.starts_with('-') => options.name = name.to_string(),
                other => return Err(format!("unknown option {other}").into()),
            }
        }
        let positive = options.batch_size > 0 && options.rounds > 0;
        if positive { Ok(options) } else { Err("expected a batch and rounds of at least 1".into()) }
    }

    /// Times `operator` on maps of a shape, where the name of the row is asked for.
    fn row(
        &self,
        operator: &str,
        name: &str,
        [n, c, h, w]: [i64; 4],
        run: impl Fn(&FeatureMap) -> Tensor,
    ) -> Result<(), Failure> {
        let name = format!("{operator}.{name}");
        if !name.contains(&self.name) {
            return Ok(());
        }
        let shape = [n * self.batch_size, c, h, w];
        let xs = torch_ext::channels_last(&Tensor::randn(shape, (self.kind, Device::Cpu)))?;
        let learned = xs.copy().set_requires_grad(true);
        let forward = self.median(|| tch::no_grad(|| drop(run(&FeatureMap::from(&xs).relu()))));
        let both = self.median(|| {
            let ys = run(&FeatureMap::from(&learned).relu());
            ys.sum(self.kind).backward();
        });
        println!("{name:<60} {forward:>10.3} {both:>10.3}");
        Ok(())
    }

    /// Milliseconds of `work`, in the median of the rounds, after one that is not counted.
    fn median(&self, work: impl Fn()) -> f64 {
        work();
        let mut times: Vec<f64> = (0..self.rounds)
            .map(|_| {
                let start = Instant::now();
                work();
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }
}

fn weights(shape: &[i64]) -> Tensor {
    Tensor::randn(shape, (Kind::Float, Device::Cpu)).set_requires_grad(true)
}

fn main() -> Result<(), Failure> {
    let options = Options::parse(std::env::args().skip(1))?;
    println!("{:<60} {:>10} {:>10}", "kernel and shape", "forward", "and back");
    for (name, shape) in depthwise_shapes!(named) {
        let Depthwise { shape, kernel, stride, padding, dilation, multiplier, bias } = shape;
        let geometry = DepthwiseGeometry { stride, padding, dilation, groups: shape[1] };
        let c_out = shape[1] * multiplier;
        let (ws, bs) = (weights(&[c_out, 1, kernel[0], kernel[1]]), weights(&[c_out]));
        let bs = bias.then_some(&bs);
        options.row("depthwise", name, shape, |xs| depthwise_conv2d(xs, &ws, bs, geometry))?;
    }
    for (name, shape) in pool_shapes!(named) {
        let Pool { shape, kernel, stride, padding } = shape;
        let output = [2, 3].map(|axis| (shape[axis] + 2 * padding - kernel) / stride + 1);
        let geometry = PoolGeometry { kernel, stride, before: [padding; 2], output };
        let pool = |xs: &FeatureMap| max_pool2d(xs, geometry).expect("a window that is ours");
        options.row("pool", name, shape, pool)?;
    }
    for (name, shape) in pointwise_shapes!(named) {
        let Pointwise { shape, c_out, stride } = shape;
        let ws = weights(&[c_out, shape[1], 1, 1]);
        options.row("pointwise", name, shape, |xs| pointwise_conv2d(xs, &ws, None, stride))?;
    }
    Ok(())
}
