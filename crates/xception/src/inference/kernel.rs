//! The steps of packed inference: which kernel runs on which values.

use std::sync::Arc;

use sepconv::{BatchNorm2d, Padding, max_pool2d};
use tch::{Kind, Tensor};
use torch_ext::{FeatureMap, FusedOps, PackedConv, Statistics};

use crate::graph::Value;
use crate::hook::Hook;
use crate::vocabulary::GlobalPool;

/// One kernel at its place in the network.
#[derive(Debug)]
pub(super) struct Step {
    /// The name of the layer in the checkpoint, which hooks are called with; `None` where the step counts to the next.
    pub(super) name: Option<String>,
    pub(super) kernel: Kernel,
    /// The value that it reads.
    pub(super) input: Value,
    /// Steps whose outputs nothing reads after this one.
    pub(super) frees: Vec<usize>,
}

#[derive(Debug)]
pub(super) enum Kernel {
    /// A convolution with what happens around it.
    Conv { conv: Arc<PackedConv>, opens_with_relu: bool, sum: Option<Sum>, closes_with_relu: bool },
    /// A 3×3 max-pool or another.
    MaxPool { kernel: i64, stride: i64, padding: Padding },
    /// A normalisation by itself.
    Norm { norm: NormNumbers, closes_with_relu: bool },
    /// A ReLU by itself.
    Relu,
    /// A sum by itself, with the other value.
    Add(Value),
    /// `[N, C, H, W]` to `[N, C, 1, 1]` in fp32: logits are compared with one another.
    GlobalPool(GlobalPool),
}

/// A map that is added to a convolution's output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum {
    pub(super) value: Value,
    /// A ReLU on that map before it is added.
    pub(super) relu: bool,
}

/// A batch normalisation as numbers, which threads can share; tensors cannot be.
#[derive(Debug)]
pub(super) struct NormNumbers {
    weight: Vec<f64>,
    bias: Vec<f64>,
    mean: Vec<f64>,
    var: Vec<f64>,
    eps: f64,
}

impl NormNumbers {
    pub(super) fn of(norm: &BatchNorm2d) -> Self {
        let numbers = |tensor: &Tensor| -> Vec<f64> {
            tensor.to_kind(Kind::Double).try_into().expect("a vector of numbers")
        };
        Self {
            weight: numbers(&norm.weight),
            bias: numbers(&norm.bias),
            mean: numbers(&norm.running_mean),
            var: numbers(&norm.running_var),
            eps: norm.config().eps,
        }
    }

    fn run(&self, xs: &Tensor) -> FeatureMap {
        let [weight, bias, mean, var] =
            [&self.weight, &self.bias, &self.mean, &self.var].map(|list| Tensor::from_slice(list));
        let norm = torch_ext::BatchNorm {
            weight: &weight,
            bias: &bias,
            running_mean: &mean,
            running_var: &var,
            momentum: 0.0,
            eps: self.eps,
            correction: 0.0,
        };
        FeatureMap::batch_normalized(xs.shallow_clone(), &norm, Statistics::Fixed)
            .expect("fp32 or bf16 maps on a CPU")
    }
}

impl Kernel {
    fn run(&self, xs: &Tensor, values: &Values) -> Tensor {
        match self {
            Kernel::Conv { conv, opens_with_relu, sum, closes_with_relu } => {
                let fused = FusedOps {
                    opens_with_relu: *opens_with_relu,
                    residual: sum.map(|sum| values.get(sum.value)),
                    residual_relu: sum.is_some_and(|sum| sum.relu),
                    closes_with_relu: *closes_with_relu,
                };
                conv.run(xs, fused)
            }
            Kernel::MaxPool { kernel, stride, padding } => {
                max_pool2d(&FeatureMap::from(xs), *kernel, *stride, *padding)
            }
            Kernel::Norm { norm, closes_with_relu } => {
                let ys = norm.run(xs);
                if *closes_with_relu { ys.relu().resolve() } else { ys.resolve() }
            }
            Kernel::Relu => xs.relu(),
            Kernel::Add(other) => xs + values.get(*other),
            Kernel::GlobalPool(pool) => pool.apply(xs, Kind::Float).unsqueeze(-1).unsqueeze(-1),
        }
    }
}

/// The values that are still read.
struct Values<'a> {
    images: &'a Tensor,
    outputs: Vec<Option<Tensor>>,
}

impl Values<'_> {
    fn get(&self, value: Value) -> &Tensor {
        match value {
            Value::Images => self.images,
            Value::Node(step) => {
                self.outputs[step].as_ref().expect("steps free what nothing reads any more")
            }
        }
    }
}

/// The output of the last of `steps` for `images`.
pub(super) fn run(steps: &[Step], images: &Tensor, hook: &Hook) -> Tensor {
    let mut values = Values { images, outputs: Vec::with_capacity(steps.len()) };
    for step in steps {
        let output = step.kernel.run(values.get(step.input), &values);
        if let Some(name) = &step.name {
            hook.computed(name);
        }
        values.outputs.push(Some(output));
        for &freed in &step.frees {
            values.outputs[freed] = None;
        }
    }
    values.outputs.pop().flatten().expect("a network has layers")
}

/// The numbers in the input and output of the largest convolution up to the first pool or sum, for an image of this
/// size. Later maps are smaller.
pub(super) fn largest_maps(steps: &[Step], mut size: [i64; 4]) -> i64 {
    let (mut largest, mut at) = (1, Value::Images);
    for (number, step) in steps.iter().enumerate() {
        let is_sum = match &step.kernel {
            // A shortcut reads what the module does, not what the step before it gave.
            Kernel::Conv { .. } if step.input != at => continue,
            Kernel::Conv { conv, sum, .. } => {
                let output = conv.output_size(&size);
                let numbers = size.iter().product::<i64>() + output.iter().product::<i64>();
                largest = largest.max(numbers);
                size = output;
                sum.is_some()
            }
            Kernel::Norm { .. } | Kernel::Relu => false,
            Kernel::MaxPool { .. } | Kernel::Add(_) | Kernel::GlobalPool(_) => true,
        };
        if is_sum {
            break;
        }
        at = Value::Node(number);
    }
    largest
}
