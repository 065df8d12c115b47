//! A trained network as a list of plain operations with their numbers: what other programs are told of it.

use sepconv::{Activation, FoldedSeparable};
pub use sepconv::{Folded, Padding};
use tch::Tensor;

use crate::residual::{Projected, ResidualModule};
use crate::{GlobalPool, Shortcut, SkipFrom, Xception};

/// A network in evaluation mode, its normalisations folded into its convolutions.
#[derive(Debug)]
pub struct Graph {
    /// In an order in which they can be computed; the last one's output is the logits.
    pub nodes: Vec<Node>,
    /// Colours of an image.
    pub c_in: i64,
}

/// An operation.
#[derive(Debug)]
pub struct Node {
    /// What the layer is called in the checkpoint, or where it stands.
    pub name: String,
    /// What is done.
    pub op: Op,
    /// On what.
    pub inputs: Vec<Value>,
}

/// Something that an operation reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// The images, `[N, c_in, H, W]`, normalised.
    Images,
    /// What the node of this number gives.
    Node(usize),
}

/// What is done.
#[derive(Debug)]
pub enum Op {
    /// A convolution with a bias.
    Conv(Box<Folded>),
    /// `max(x, 0)`.
    Relu,
    /// `x` where positive, else `exp(x) - 1`.
    Elu,
    /// The largest under a square window; padding never wins.
    MaxPool {
        /// Side of the window.
        kernel: i64,
        /// Between two windows.
        stride: i64,
        /// Around the map.
        padding: Padding,
    },
    /// The sum of two maps.
    Add,
    /// One number a channel: `[N, C, H, W]` to `[N, C]`.
    GlobalPool(GlobalPool),
    /// `[N, c_in]` to `[N, c_out]`.
    Linear {
        /// `[c_out, c_in]`.
        weight: Tensor,
        /// `[c_out]`.
        bias: Tensor,
    },
}

impl Graph {
    /// What `model` computes in evaluation mode, with its weights as they are; `None` for separable convolutions that
    /// begin with their pointwise half or end in an activation, which no preset but the `dense` ones has.
    pub fn of(model: &Xception) -> Option<Self> {
        let table = &model.table;
        let mut builder = Builder { nodes: Vec::new() };
        let mut at = Value::Images;
        for (number, ((conv, norm), row)) in (1..).zip(model.stem.iter().zip(&table.stem)) {
            let name = table.names.stem_conv(number, row.norm);
            at = builder.conv(&name, conv.folded(norm.as_ref()), at);
            at = builder.activation(&name, row.activation, at);
        }
        let middle = (0..model.middle_passes).flat_map(|_| &model.middle_flow);
        for module in model.entry_flow.iter().chain(middle).chain(&model.exit_flow) {
            at = builder.module(module, at)?;
        }
        let exit = &table.exit_separables;
        for (index, (separable, norm)) in model.exit_separables.iter().enumerate() {
            let name = format!("conv{}", index + 3);
            let opening = if index == 0 { exit.opens_with } else { Activation::Relu };
            at = builder.activation(&name, opening, at);
            at = builder.separable(&name, separable.folded(norm.as_ref()).ok()?, at);
        }
        at = builder.activation("features", exit.closes_with, at);
        at = builder.push("pool", Op::GlobalPool(table.global_pool), vec![at]);
        for (index, layer) in (0..).zip(&model.fully_connected) {
            let name = table.names.fully_connected(index);
            at = builder.linear(&name, layer, at);
            at = builder.push(&format!("{name}.relu"), Op::Relu, vec![at]);
        }
        builder.linear(table.names.head(), &model.head, at);
        Some(Self { nodes: builder.nodes, c_in: table.c_in })
    }

    /// The logits of images, by libtorch's own operators and nothing else, so that they can be traced.
    pub fn logits(&self, images: &Tensor) -> Tensor {
        let mut values: Vec<Tensor> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let read = |value: &Value| match value {
                Value::Images => images.shallow_clone(),
                Value::Node(number) => values[*number].shallow_clone(),
            };
            let inputs: Vec<Tensor> = node.inputs.iter().map(read).collect();
            let value = node.op.apply(&inputs);
            values.push(value);
        }
        values.pop().expect("a network has layers")
    }
}

impl Op {
    fn apply(&self, inputs: &[Tensor]) -> Tensor {
        let xs = &inputs[0];
        match self {
            Op::Conv(folded) => {
                let Folded { weight, bias, config } = &**folded;
                let (padded, padding) = padded(
                    xs,
                    config.padding,
                    (config.kernel_size, config.stride, config.dilation),
                    0.0,
                );
                let (stride, dilation) = (config.stride, config.dilation);
                padded.conv2d(weight, Some(bias), stride, padding, dilation, config.groups)
            }
            Op::Relu => xs.relu(),
            Op::Elu => xs.elu(),
            Op::MaxPool { kernel, stride, padding } => {
                let geometry = ([*kernel; 2], [*stride; 2], [1, 1]);
                let (padded, padding) = padded(xs, *padding, geometry, f64::NEG_INFINITY);
                padded.max_pool2d([*kernel; 2], [*stride; 2], padding, [1, 1], false)
            }
            Op::Add => xs + &inputs[1],
            Op::GlobalPool(pool) => pool.of(xs, xs.kind()),
            Op::Linear { weight, bias } => xs.linear(weight, Some(bias)),
        }
    }
}

/// `xs` with the part of the padding that is not the same on all sides, and the part that is.
fn padded(
    xs: &Tensor,
    padding: Padding,
    (kernel, stride, dilation): ([i64; 2], [i64; 2], [i64; 2]),
    filling: f64,
) -> (Tensor, [i64; 2]) {
    let size = xs.size();
    let around = |axis: usize| {
        padding.along(axis, size[axis + 2], kernel[axis], stride[axis], dilation[axis])
    };
    let ((top, bottom), (left, right)) = (around(0), around(1));
    if (top, left) == (bottom, right) {
        return (xs.shallow_clone(), [top, left]);
    }
    (xs.pad([left, right, top, bottom], "constant", filling), [0, 0])
}

struct Builder {
    nodes: Vec<Node>,
}

impl Builder {
    fn push(&mut self, name: &str, op: Op, inputs: Vec<Value>) -> Value {
        self.nodes.push(Node { name: name.to_string(), op, inputs });
        Value::Node(self.nodes.len() - 1)
    }

    fn conv(&mut self, name: &str, folded: Folded, input: Value) -> Value {
        self.push(name, Op::Conv(Box::new(folded)), vec![input])
    }

    fn activation(&mut self, name: &str, activation: Activation, input: Value) -> Value {
        match activation {
            Activation::None => input,
            Activation::Relu => self.push(&format!("{name}.relu"), Op::Relu, vec![input]),
            Activation::Elu => self.push(&format!("{name}.elu"), Op::Elu, vec![input]),
        }
    }

    fn linear(&mut self, name: &str, layer: &tch::nn::Linear, input: Value) -> Value {
        let weight = layer.ws.detach();
        let bias = layer.bs.as_ref().map(Tensor::detach);
        let bias = bias
            .unwrap_or_else(|| Tensor::zeros([weight.size()[0]], (weight.kind(), weight.device())));
        self.push(name, Op::Linear { weight, bias }, vec![input])
    }

    fn separable(
        &mut self,
        name: &str,
        FoldedSeparable { depthwise, between, pointwise }: FoldedSeparable,
        input: Value,
    ) -> Value {
        let ys = self.conv(&format!("{name}.depthwise"), depthwise, input);
        let ys = self.activation(&format!("{name}.depthwise"), between, ys);
        self.conv(&format!("{name}.pointwise"), pointwise, ys)
    }

    fn module(&mut self, module: &ResidualModule, input: Value) -> Option<Value> {
        let name = &module.name;
        let normed = match &module.steps[0].norm_ahead {
            Some(norm) => self.conv(&format!("{name}.norm"), norm.folded(), input),
            None => input,
        };
        let opened = self.activation(name, module.opens_with, normed);
        let skip = match module.skip_from {
            SkipFrom::Input => input,
            SkipFrom::Activated => opened,
        };
        let mut ys = opened;
        for (index, step) in module.steps.iter().enumerate() {
            if index > 0 {
                let name = format!("{}.opening", step.name);
                ys = self.activation(&name, Activation::Relu, ys);
            }
            let next = module.steps.get(index + 1).and_then(|next| next.norm_ahead.as_ref());
            let norm = step.norm_after.as_ref().or(next);
            ys = self.separable(&step.name, step.separable.folded(norm).ok()?, ys);
        }
        if module.pool_stride != 1 {
            let (stride, padding) = (module.pool_stride, module.pool_padding);
            let pool = Op::MaxPool { kernel: 3, stride, padding };
            ys = self.push(&format!("{name}.pool"), pool, vec![ys]);
        }
        Some(match (module.adds, &module.shortcut) {
            (Shortcut::None, _) => ys,
            (Shortcut::Sum, None) => self.push(&format!("{name}.sum"), Op::Add, vec![ys, skip]),
            (Shortcut::Sum, Some(Projected { name: shortcut, conv, norm })) => {
                let skip = self.conv(shortcut, conv.folded(norm.as_ref()), skip);
                self.push(&format!("{name}.sum"), Op::Add, vec![ys, skip])
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use tch::nn::{ModuleT, VarStore};
    use tch::{Device, Kind};

    use super::*;
    use crate::{ModelSpec, Preset};

    #[test]
    fn the_list_computes_what_the_network_does() {
        for (preset, side) in [
            (Preset::Xception, 75),
            (Preset::XceptionKeras, 78),
            (Preset::Xception41, 64),
            (Preset::Xception41p, 65),
            (Preset::NotebookCifar10, 32),
            (Preset::PlainShared, 32),
            (Preset::Cifar, 32),
        ] {
            tch::manual_seed(0);
            let mut store = VarStore::new(Device::Cpu);
            let spec = ModelSpec::new(preset);
            let model = Xception::new(&store.root(), &spec.architecture().unwrap(), 10).unwrap();
            store.set_kind(Kind::Double);
            let xs = Tensor::randn([2, 3, side, side], (Kind::Double, Device::Cpu));
            tch::no_grad(|| {
                drop(model.forward_t(&xs, true));
                let expected = model.forward_t(&xs, false);
                let logits = Graph::of(&model).unwrap().logits(&xs);
                let off = (logits - &expected).norm().double_value(&[]);
                assert!(off < 1e-9 * expected.norm().double_value(&[]), "{preset}: {off:e}");
            });
        }
    }
}
