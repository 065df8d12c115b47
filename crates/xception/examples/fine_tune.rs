//! Fine-tuning in three steps: take trained weights but for the head, train the head alone, then everything.
//!
//! ```console
//! $ cargo run --release -p xception --example fine_tune
//! ```
//!
//! The images here are noise that is brighter on one side. The first network learns to tell top from bottom, and the
//! second one, which starts from its weights, left from right.
#![allow(clippy::print_stdout, reason = "an example shows what it computes")]

use xception::tch::nn::{self, ModuleT, OptimizerConfig};
use xception::tch::{self, Device, Kind, Tensor};
use xception::{CifarScale, Error, ModelSpec, Preset, Xception, weights};

const ROWS: i64 = 2;
const COLUMNS: i64 = 3;

/// Noise `[count, 3, 32, 32]` that is brighter in one half along `axis`, and the number of that half.
fn batch(count: i64, axis: i64) -> (Tensor, Tensor) {
    let options = (Kind::Float, Device::Cpu);
    let labels = Tensor::randint(2, [count], (Kind::Int64, Device::Cpu));
    let halves = Tensor::eye(2, options).index_select(0, &labels);
    let shape = if axis == ROWS { [count, 1, 2, 1] } else { [count, 1, 1, 2] };
    let bright = halves.view(shape).repeat_interleave_self_int(16, axis, None);
    (Tensor::randn([count, 3, 32, 32], options) + bright, labels)
}

fn accuracy(model: &Xception, axis: i64) -> f64 {
    let (images, labels) = batch(500, axis);
    100.0 * model.logits(&images).accuracy_for_logits(&labels).double_value(&[])
}

fn main() -> Result<(), Error> {
    tch::manual_seed(0);
    let scale = CifarScale { width: 0.15, middle_modules: 1, ..CifarScale::default() };
    let spec = ModelSpec { scale, classes: 2, ..ModelSpec::new(Preset::Cifar) };

    // A network that was trained before, on other images.
    let trained = nn::VarStore::new(Device::Cpu);
    let model = spec.build(trained.root())?;
    let mut optimizer = nn::Adam::default().build(&trained, 1e-2)?;
    for _ in 0..40 {
        let (images, labels) = batch(32, ROWS);
        optimizer.backward_step(&model.forward_t(&images, true).cross_entropy_for_logits(&labels));
    }
    println!("trained on rows: {:.1} % correct", accuracy(&model, ROWS));

    // Its weights, but for the head's, which stay as they were drawn.
    let store = nn::VarStore::new(Device::Cpu);
    let model = spec.build(store.root())?;
    let mut tensors = weights::snapshot(&trained);
    tensors.retain(|name, _| !name.starts_with("fc."));
    tensors
        .extend(weights::snapshot(&store).into_iter().filter(|(name, _)| name.starts_with("fc.")));
    weights::load(&store, &tensors)?;

    // The head alone: the features are computed in evaluation mode, without gradients.
    let mut optimizer = nn::Adam::default().build(&store, 1e-2)?;
    for _ in 0..30 {
        let (images, labels) = batch(32, COLUMNS);
        let features = tch::no_grad(|| model.features_t(&images, false));
        optimizer.backward_step(&model.head_t(&features, true).cross_entropy_for_logits(&labels));
    }
    println!("head alone, on columns: {:.1} % correct", accuracy(&model, COLUMNS));

    // Everything, at a lower learning rate.
    optimizer.set_lr(3e-3);
    for _ in 0..40 {
        let (images, labels) = batch(32, COLUMNS);
        optimizer.backward_step(&model.forward_t(&images, true).cross_entropy_for_logits(&labels));
    }
    println!("everything: {:.1} % correct", accuracy(&model, COLUMNS));
    Ok(())
}
