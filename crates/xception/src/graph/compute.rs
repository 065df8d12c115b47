//! The graph computed by libtorch's own operators and nothing else, so that it can be traced.

use tch::{Tensor, nn};

use super::{Folded, Graph, Op, Padding};
use crate::outline::Value;
use sepconv::Conv2dConfigND;

impl Graph {
    /// Images `[N, c_in, H, W]` to logits `[N, classes]`.
    ///
    /// It computes what [`Xception::logits`](crate::Xception::logits) does, by operators that `torch.jit` knows: for
    /// tracing and for comparison, not for speed.
    ///
    /// # Panics
    /// Images that are not floating-point numbers, have other channels, are too small, or are on another device or of
    /// another kind than the weights.
    pub fn logits(&self, images: &Tensor) -> Tensor {
        if let Some(weight) = self.weight() {
            self.images.check(images, weight.device());
            assert!(
                images.kind() == weight.kind(),
                "expected {:?} images, as the weights are, got {:?}",
                weight.kind(),
                images.kind()
            );
        }
        let mut values: Vec<Tensor> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let inputs: Vec<&Tensor> = node
                .inputs
                .iter()
                .map(|input| match input {
                    Value::Images => images,
                    Value::Node(number) => &values[*number],
                })
                .collect();
            let value = node.op.apply(&inputs);
            values.push(value);
        }
        values.pop().expect("a network has layers")
    }

    /// The first weight, whose kind and device are those of all.
    fn weight(&self) -> Option<&Tensor> {
        self.nodes.iter().find_map(|node| match &node.op {
            Op::Conv(conv) => Some(&conv.weight),
            Op::Linear { weight, .. } => Some(weight),
            _ => None,
        })
    }
}

impl nn::Module for Graph {
    /// As [`Graph::logits`].
    fn forward(&self, xs: &Tensor) -> Tensor {
        self.logits(xs)
    }
}

impl Op {
    fn apply(&self, inputs: &[&Tensor]) -> Tensor {
        let xs = inputs[0];
        match self {
            Op::Conv(folded) | Op::Norm { folded, .. } => convolved(xs, folded),
            Op::Relu => xs.relu(),
            Op::Elu => xs.elu(),
            Op::MaxPool { kernel, stride, padding } => {
                let geometry = ([*kernel; 2], [*stride; 2], [1, 1]);
                let (padded, padding) = padded(xs, *padding, geometry, f64::NEG_INFINITY);
                padded.max_pool2d([*kernel; 2], [*stride; 2], padding, [1, 1], false)
            }
            Op::Add => xs + inputs[1],
            Op::GlobalPool(pool) => pool.apply(xs, xs.kind()),
            Op::Linear { weight, bias } => xs.linear(weight, Some(bias)),
        }
    }
}

fn convolved(xs: &Tensor, Folded { weight, bias, config }: &Folded) -> Tensor {
    let &Conv2dConfigND { kernel_size, stride, padding, dilation, groups, .. } = config;
    let (padded, padding) = padded(xs, padding, (kernel_size, stride, dilation), 0.0);
    padded.conv2d(weight, Some(bias), stride, padding, dilation, groups)
}

/// `xs` padded on the sides that have more than the opposite ones, and the padding that is left, equal on both sides.
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
