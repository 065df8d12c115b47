//! The lowering: a network's outline with the weights filled in and the normalisations folded.

use std::collections::HashMap;

use sepconv::{Activation, BatchNorm2d, Folded};
use tch::Tensor;

use super::{Graph, Node, Op};
use crate::model::Xception;
use crate::outline::{Layer, LayerOp, NormRole, Outline, Value};

impl Graph {
    /// The operations of `model` in evaluation mode, with its weights as they are now.
    #[must_use]
    pub fn of(model: &Xception) -> Self {
        let outline = Outline::new(model.architecture(), model.classes())
            .expect("a network that was built has a valid table");
        let mut readers = vec![0; outline.layers.len()];
        for input in outline.layers.iter().flat_map(|layer| &layer.inputs) {
            if let Value::Node(number) = input {
                readers[*number] += 1;
            }
        }
        let mut lowering = Lowering {
            model,
            layers: &outline.layers,
            readers,
            nodes: Vec::new(),
            values: Vec::new(),
            folded: HashMap::new(),
        };
        tch::no_grad(|| (0..outline.layers.len()).for_each(|number| lowering.layer(number)));
        Self { nodes: lowering.nodes, c_in: outline.c_in, images: model.images() }
    }
}

struct Lowering<'a> {
    model: &'a Xception,
    layers: &'a [Layer],
    /// For each layer, the number of those that read its output.
    readers: Vec<usize>,
    nodes: Vec<Node>,
    /// For each layer up to here, the node that gives its output.
    values: Vec<Value>,
    /// Convolutions by the path of their weights, so that a shared module's are folded once.
    folded: HashMap<&'a str, Folded>,
}

impl<'a> Lowering<'a> {
    fn layer(&mut self, number: usize) {
        if self.values.len() > number {
            // Folded into the convolution before it.
            return;
        }
        let layer = &self.layers[number];
        let mut last = number;
        let op = match &layer.op {
            LayerOp::Conv { variables, .. } => {
                while let Some(norm) = self.norm_after(last) {
                    last = norm;
                }
                if !self.folded.contains_key(variables.as_str()) {
                    let conv = self.conv(number, last);
                    self.folded.insert(variables, conv);
                }
                let Folded { weight, bias, config } = &self.folded[variables.as_str()];
                let (weight, bias) = (weight.shallow_clone(), bias.shallow_clone());
                Op::Conv(Box::new(Folded { weight, bias, config: *config }))
            }
            LayerOp::BatchNorm { .. } => {
                let norm = self.norm(number);
                Op::Norm { folded: Box::new(norm.folded()), norm: Box::new(norm) }
            }
            LayerOp::Activation(Activation::Relu) => Op::Relu,
            LayerOp::Activation(Activation::Elu) => Op::Elu,
            LayerOp::Activation(Activation::None) => unreachable!("no layer is the identity"),
            &LayerOp::MaxPool { kernel, stride, padding } => {
                Op::MaxPool { kernel, stride, padding }
            }
            LayerOp::Add => Op::Add,
            LayerOp::GlobalPool(pool) => Op::GlobalPool(*pool),
            LayerOp::Linear { variables, .. } => Op::Linear {
                weight: self.copy(variables, "weight"),
                bias: self.copy(variables, "bias"),
            },
        };
        let inputs = layer.inputs.iter().map(|input| match input {
            Value::Images => Value::Images,
            Value::Node(number) => self.values[*number],
        });
        let inputs = inputs.collect();
        self.nodes.push(Node { name: layer.name(), layer: layer.of.clone(), op, inputs });
        // The norms that were folded in have the same output.
        self.values.resize(last + 1, Value::Node(self.nodes.len() - 1));
    }

    /// The norm after layer `number`, where nothing else reads that layer. Not one that opens a module: the nodes of a
    /// module compute that module and nothing of the next.
    fn norm_after(&self, number: usize) -> Option<usize> {
        let reader = number + 1;
        let layer = self.layers.get(reader)?;
        let folds = matches!(layer.op, LayerOp::BatchNorm { role: NormRole::AfterConv, .. })
            && layer.inputs == [Value::Node(number)]
            && self.readers[number] == 1;
        folds.then_some(reader)
    }

    /// The convolution of layer `number` with the norms up to layer `last` folded in.
    fn conv(&self, number: usize, last: usize) -> Folded {
        let LayerOp::Conv { variables, config, c_out, .. } = &self.layers[number].op else {
            unreachable!("the caller has seen a convolution");
        };
        // Folding makes new tensors anyway.
        let folds = last > number;
        let tensor = |name| {
            if folds { self.detached(variables, name) } else { self.copy(variables, name) }
        };
        let weight = tensor("weight");
        let none = || Tensor::zeros([*c_out], (weight.kind(), weight.device()));
        let bias = if config.bias { tensor("bias") } else { none() };
        let conv = Folded { weight, bias, config: *config };
        (number + 1..=last).fold(conv, |conv, norm| conv.then(&self.norm(norm)))
    }

    fn norm(&self, number: usize) -> BatchNorm2d {
        let LayerOp::BatchNorm { variables, config, .. } = &self.layers[number].op else {
            unreachable!("the caller has seen a norm");
        };
        let tensors = ["weight", "bias", "running_mean", "running_var"];
        BatchNorm2d::from_tensors(tensors.map(|name| self.copy(variables, name)), *config)
    }

    /// A copy of a variable, without gradients.
    fn copy(&self, path: &str, name: &str) -> Tensor {
        self.detached(path, name).copy()
    }

    /// A variable, without gradients.
    fn detached(&self, path: &str, name: &str) -> Tensor {
        self.model.variable(&format!("{path}.{name}")).detach()
    }
}
