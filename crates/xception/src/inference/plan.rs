//! From a graph to steps, each of which is one kernel.

use std::collections::HashMap;
use std::sync::Arc;

use sepconv::{Activation, Conv2dConfigND, FoldedSeparable, PackError};
use torch_ext::{Factors, PackedConv};

use super::Unsupported;
use super::fusion::Fusion;
use super::kernel::{Kernel, NormNumbers, Step, Sum};
use crate::graph::{Folded, Graph, Node, Op, Padding, Value};

/// The steps that compute `graph`, the weights of its convolutions packed as `factors`.
pub(super) fn steps(graph: &Graph, factors: Factors) -> Result<Vec<Step>, Unsupported> {
    let mut plan = Plan {
        nodes: &graph.nodes,
        fusion: Fusion::of(&graph.nodes),
        factors,
        steps: Vec::new(),
        outputs: vec![None; graph.nodes.len()],
        packed: HashMap::new(),
    };
    (0..graph.nodes.len()).try_for_each(|number| plan.node(number))?;
    Ok(with_frees(plan.steps))
}

struct Plan<'a> {
    nodes: &'a [Node],
    fusion: Fusion<'a>,
    factors: Factors,
    steps: Vec<Step>,
    /// For each node, the step that gives its output, where there is one by now.
    outputs: Vec<Option<usize>>,
    /// Packed convolutions by name: a module that is applied several times is packed once.
    packed: HashMap<&'a str, Arc<PackedConv>>,
}

impl<'a> Plan<'a> {
    /// Adds the step of a node, unless the step of another node computes it.
    fn node(&mut self, number: usize) -> Result<(), Unsupported> {
        let node = &self.nodes[number];
        match &node.op {
            // The step before it ends with this ReLU.
            Op::Relu if self.outputs[number].is_some() => {}
            // Steps after it begin with this ReLU, or add what it gives.
            Op::Relu if self.fusion.readers_take_relu(number) => {}
            Op::Relu => self.push(None, Kernel::Relu, node.inputs[0], number),
            Op::Elu if self.fusion.is_between_halves(number) => {}
            Op::Elu => return Err(unsupported(node, PackError::Closing(Activation::Elu))),
            Op::Conv(_) if self.fusion.pointwise_half(number).is_some() => {}
            Op::Conv(_) | Op::Linear { .. } => match self.fusion.sum_formed_by(number) {
                Some(_) => {}
                None => self.convolution(number, None)?,
            },
            Op::Add => match self.fusion.conv_that_sums(number) {
                Some(conv) => self.convolution(conv, Some(number))?,
                None => {
                    let other = self.value(node.inputs[1]);
                    self.push(None, Kernel::Add(other), node.inputs[0], number);
                }
            },
            Op::Norm { norm, .. } => {
                let (last, closes_with_relu) = self.fusion.closing_relu(number);
                let norm = NormNumbers::of(norm);
                self.push(None, Kernel::Norm { norm, closes_with_relu }, node.inputs[0], last);
            }
            &Op::MaxPool { kernel, stride, padding } => {
                let kernel = Kernel::MaxPool { kernel, stride, padding };
                self.push(Some(&node.layer), kernel, node.inputs[0], number);
            }
            Op::GlobalPool(pool) => {
                self.push(None, Kernel::GlobalPool(*pool), node.inputs[0], number);
            }
        }
        Ok(())
    }

    /// Adds the step of a convolution or linear layer, and of the sum at node `sum` after it.
    fn convolution(&mut self, number: usize, sum: Option<usize>) -> Result<(), Unsupported> {
        let node = &self.nodes[number];
        let conv = match self.packed.get(node.name.as_str()) {
            Some(conv) => Arc::clone(conv),
            None => {
                let conv = Arc::new(self.pack(number)?);
                self.packed.insert(&node.name, Arc::clone(&conv));
                conv
            }
        };
        let first = self.fusion.spatial_half(number).map_or(number, |(spatial, _)| spatial);
        let (input, opens_with_relu) = self.activated(self.nodes[first].inputs[0]);
        let added = sum.map(|sum| {
            let summands = &self.nodes[sum].inputs;
            let is_own = summands[0] == Value::Node(number);
            let (value, relu) = self.activated(summands[usize::from(is_own)]);
            Sum { value: self.value(value), relu }
        });
        let (last, closes_with_relu) = self.fusion.closing_relu(sum.unwrap_or(number));
        let kernel = Kernel::Conv { conv, opens_with_relu, sum: added, closes_with_relu };
        self.push(Some(&node.layer), kernel, input, last);
        Ok(())
    }

    /// Packs the weights of a convolution, with those of its spatial half, or of a linear layer.
    fn pack(&self, number: usize) -> Result<PackedConv, Unsupported> {
        let node = &self.nodes[number];
        let packed = match (&node.op, self.fusion.spatial_half(number)) {
            (Op::Conv(conv), None) => conv.packed(self.factors),
            (Op::Conv(pointwise), Some((spatial, between))) => {
                let depthwise = shallow_clone(self.fusion.conv(spatial));
                let pointwise = shallow_clone(pointwise);
                FoldedSeparable { depthwise, between, pointwise }.packed(self.factors)
            }
            (Op::Linear { weight, bias }, _) => {
                let linear = Folded {
                    weight: weight.unsqueeze(-1).unsqueeze(-1),
                    bias: bias.shallow_clone(),
                    config: Conv2dConfigND {
                        kernel_size: [1, 1],
                        padding: Padding::VALID,
                        ..Conv2dConfigND::default()
                    },
                };
                // In fp32 whatever the maps are: logits are compared with one another.
                linear.packed(Factors::Fp32)
            }
            _ => unreachable!("only convolutions and linear layers are packed"),
        };
        packed.map_err(|reason| unsupported(node, reason))
    }

    /// The value that a step reads in place of `value`, and whether it then begins with a ReLU.
    fn activated(&self, value: Value) -> (Value, bool) {
        match value {
            Value::Node(number)
                if self.outputs[number].is_none() && matches!(self.nodes[number].op, Op::Relu) =>
            {
                (self.nodes[number].inputs[0], true)
            }
            _ => (value, false),
        }
    }

    /// The same value, by the step that gives it.
    fn value(&self, value: Value) -> Value {
        match value {
            Value::Images => Value::Images,
            Value::Node(number) => {
                Value::Node(self.outputs[number].expect("steps come after what they read"))
            }
        }
    }

    /// Adds a step that reads `input` and gives the output of node `last`.
    fn push(&mut self, name: Option<&str>, kernel: Kernel, input: Value, last: usize) {
        let (name, input) = (name.map(str::to_string), self.value(input));
        self.outputs[last] = Some(self.steps.len());
        self.steps.push(Step { name, kernel, input, frees: Vec::new() });
    }
}

/// The steps with the values that each is the last to read.
fn with_frees(mut steps: Vec<Step>) -> Vec<Step> {
    let mut last_readers = vec![None; steps.len()];
    for (number, step) in steps.iter().enumerate() {
        let more = match &step.kernel {
            Kernel::Conv { sum: Some(sum), .. } => Some(sum.value),
            Kernel::Add(other) => Some(*other),
            _ => None,
        };
        for value in [Some(step.input), more].into_iter().flatten() {
            if let Value::Node(read) = value {
                last_readers[read] = Some(number);
            }
        }
    }
    for (read, reader) in last_readers.into_iter().enumerate() {
        if let Some(reader) = reader {
            steps[reader].frees.push(read);
        }
    }
    steps
}

/// The same convolution once more; nothing is copied.
fn shallow_clone(Folded { weight, bias, config }: &Folded) -> Folded {
    Folded { weight: weight.shallow_clone(), bias: bias.shallow_clone(), config: *config }
}

fn unsupported(node: &Node, reason: PackError) -> Unsupported {
    Unsupported::Layer { layer: node.layer.clone(), reason }
}
