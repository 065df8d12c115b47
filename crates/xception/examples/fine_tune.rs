//! Fine-tuning written out by hand: a trained trunk, a new head, the head alone for a while, then everything.
//!
//! ```console
//! $ cargo run --release -p xception --example fine_tune
//! ```
//!
//! `xception train --recipe finetune` does the same from a folder of images. Here the images are noise with a bright
//! half, first upper against lower, then left against right.
#![allow(clippy::print_stdout, reason = "what it prints is what it shows")]

use tch::nn::{self, ModuleT, OptimizerConfig};
use tch::{Device, Kind, Tensor};
use xception::weights::{self, Tensors};
use xception::{CifarScale, Error, ModelSpec, Preset, Xception};

fn network(classes: i64) -> Result<(nn::VarStore, Xception), Error> {
    let scale = CifarScale { width: 0.15, middle_modules: 1, ..CifarScale::default() };
    let spec = ModelSpec { scale, classes, ..ModelSpec::new(Preset::Cifar) };
    let store = nn::VarStore::new(Device::Cpu);
    let model = Xception::new(&store.root(), &spec.architecture()?, classes)?;
    Ok((store, model))
}

/// Noise that is brighter on one side along `axis`, 2 for rows and 3 for columns.
fn images(count: i64, axis: i64) -> (Tensor, Tensor) {
    let options = (Kind::Float, Device::Cpu);
    let labels = Tensor::randint(2, [count], (Kind::Int64, Device::Cpu));
    let side = Tensor::eye(2, options).index_select(0, &labels);
    let shape = if axis == 2 { [count, 1, 2, 1] } else { [count, 1, 1, 2] };
    let bright = side.view(shape).repeat_interleave_self_int(16, axis, None);
    (Tensor::randn([count, 3, 32, 32], options) + bright, labels)
}

/// Steps of Adam over everything in `store` that asks for gradients.
fn train(
    store: &nn::VarStore,
    steps: i64,
    learning_rate: f64,
    loss: impl Fn() -> Tensor,
) -> Result<f64, Error> {
    let mut optimizer = nn::Adam::default().build(store, learning_rate)?;
    let mut last = f64::NAN;
    for _ in 0..steps {
        let loss = loss();
        optimizer.backward_step(&loss);
        last = loss.double_value(&[]);
    }
    Ok(last)
}

fn accuracy(model: &Xception, axis: i64) -> f64 {
    let (images, labels) = images(500, axis);
    tch::no_grad(|| model.forward_t(&images, false).accuracy_for_logits(&labels)).double_value(&[])
}

fn main() -> Result<(), Error> {
    tch::manual_seed(0);
    // The network that somebody trained before.
    let (theirs, model) = network(2)?;
    let loss = train(&theirs, 40, 1e-2, || {
        let (images, labels) = images(32, 2);
        model.forward_t(&images, true).cross_entropy_for_logits(&labels)
    })?;
    println!("trained on rows: loss {loss:.3}, {:.1} % right", 100.0 * accuracy(&model, 2));

    // Its weights but for the head, which is drawn anew.
    let (ours, model) = network(2)?;
    let own = weights::snapshot(&ours);
    let taken: Tensors = weights::snapshot(&theirs)
        .into_iter()
        .filter(|(name, _)| !name.starts_with("fc."))
        .chain(own.into_iter().filter(|(name, _)| name.starts_with("fc.")))
        .collect();
    weights::load(&ours, &taken)?;

    // The head alone: features are computed in evaluation mode, and nothing is asked of them.
    let loss = train(&ours, 30, 1e-2, || {
        let (images, labels) = images(32, 3);
        let features = tch::no_grad(|| model.features_t(&images, false));
        model.logits_t(&features, true).cross_entropy_for_logits(&labels)
    })?;
    println!("head alone, on columns: loss {loss:.3}, {:.1} % right", 100.0 * accuracy(&model, 3));

    // Everything, at a smaller pace.
    let loss = train(&ours, 40, 3e-3, || {
        let (images, labels) = images(32, 3);
        model.forward_t(&images, true).cross_entropy_for_logits(&labels)
    })?;
    println!("everything: loss {loss:.3}, {:.1} % right", 100.0 * accuracy(&model, 3));
    Ok(())
}
