//! The operations of a graph that one kernel computes together.
//!
//! A packed convolution takes in a depthwise convolution before it, a ReLU on the way in, the sum with another map, and a
//! ReLU on the way out, none of which then costs a pass over memory.

use sepconv::Activation;

use crate::graph::{Folded, Node, Op, Value};

/// A graph, asked for the neighbours of a node that are computed with it.
pub(super) struct Fusion<'a> {
    nodes: &'a [Node],
    /// For each node, the nodes that read its output.
    readers: Vec<Vec<usize>>,
}

impl<'a> Fusion<'a> {
    pub(super) fn of(nodes: &'a [Node]) -> Self {
        let mut readers = vec![Vec::new(); nodes.len()];
        for (number, node) in nodes.iter().enumerate() {
            for input in &node.inputs {
                if let Value::Node(input) = input {
                    readers[*input].push(number);
                }
            }
        }
        Self { nodes, readers }
    }

    /// The convolution at node `number`.
    pub(super) fn conv(&self, number: usize) -> &'a Folded {
        match &self.nodes[number].op {
            Op::Conv(conv) => conv,
            _ => unreachable!("the caller has seen a convolution"),
        }
    }

    /// The node that alone reads the output of node `number`.
    fn sole_reader(&self, number: usize) -> Option<usize> {
        match self.readers[number][..] {
            [reader] => Some(reader),
            _ => None,
        }
    }

    /// The spatial half of the separable convolution that ends with node `number`, and the activation between the halves.
    pub(super) fn spatial_half(&self, number: usize) -> Option<(usize, Activation)> {
        let Value::Node(before) = self.nodes[number].inputs[0] else { return None };
        let (spatial, between) =
            match (activation(&self.nodes[before]), self.nodes[before].inputs[0]) {
                (Activation::None, _) => (before, Activation::None),
                (between, Value::Node(spatial)) => (spatial, between),
                (_, Value::Images) => return None,
            };
        (self.pointwise_half(spatial) == Some(number)).then_some((spatial, between))
    }

    /// The pointwise convolution that node `number`, a convolution in groups, is computed with.
    pub(super) fn pointwise_half(&self, number: usize) -> Option<usize> {
        let Op::Conv(spatial) = &self.nodes[number].op else { return None };
        let reader = self.sole_reader(number)?;
        let pointwise = match activation(&self.nodes[reader]) {
            Activation::None => reader,
            Activation::Relu | Activation::Elu => self.sole_reader(reader)?,
        };
        let Op::Conv(conv) = &self.nodes[pointwise].op else { return None };
        let config = &conv.config;
        let is_pointwise = config.kernel_size == [1, 1]
            && config.groups == 1
            && config.stride == [1, 1]
            // Of a kernel of one pixel, no kind of padding depends on the size of the image.
            && [0, 1].map(|axis| config.padding.along(axis, 1, 1, 1, 1)) == [(0, 0); 2];
        (spatial.config.groups != 1 && is_pointwise).then_some(pointwise)
    }

    /// Whether node `number`, an activation, stands between the halves of a separable convolution.
    pub(super) fn is_between_halves(&self, number: usize) -> bool {
        let reader = self.sole_reader(number).and_then(|reader| self.spatial_half(reader));
        reader.is_some_and(|(_, between)| between != Activation::None)
    }

    /// The sum that the step of node `number`, a convolution, forms.
    pub(super) fn sum_formed_by(&self, number: usize) -> Option<usize> {
        self.sole_reader(number).filter(|&reader| self.conv_that_sums(reader) == Some(number))
    }

    /// The convolution whose step forms the sum at node `number`: that of the main branch, or of the shortcut where the
    /// main branch ends in a pool. A summand that others read too must be there without the sum.
    pub(super) fn conv_that_sums(&self, number: usize) -> Option<usize> {
        if !matches!(self.nodes[number].op, Op::Add) {
            return None;
        }
        let summands = self.nodes[number].inputs.iter().filter_map(|input| match input {
            Value::Node(summand) => Some(*summand),
            Value::Images => None,
        });
        let sums = |summand: &usize| {
            let Op::Conv(conv) = &self.nodes[*summand].op else { return false };
            conv.config.groups == 1 && self.sole_reader(*summand) == Some(number)
        };
        summands.into_iter().find(sums)
    }

    /// Whether every step that reads node `number`, a ReLU, can apply it to what it reads.
    pub(super) fn readers_take_relu(&self, number: usize) -> bool {
        self.readers[number].iter().all(|&reader| self.takes_relu(reader))
    }

    /// Whether the step of node `reader` can apply a ReLU to what it reads.
    fn takes_relu(&self, reader: usize) -> bool {
        match self.nodes[reader].op {
            Op::Conv(_) | Op::Linear { .. } => true,
            Op::Add => self.conv_that_sums(reader).is_some(),
            _ => false,
        }
    }

    /// The node up to which the step that gives the output of node `number` goes: a ReLU that alone reads it, or itself;
    /// and whether there is such a ReLU.
    pub(super) fn closing_relu(&self, number: usize) -> (usize, bool) {
        match self.sole_reader(number) {
            Some(reader) if matches!(self.nodes[reader].op, Op::Relu) => (reader, true),
            _ => (number, false),
        }
    }
}

/// The activation at a node; none where it is something else.
fn activation(node: &Node) -> Activation {
    match node.op {
        Op::Relu => Activation::Relu,
        Op::Elu => Activation::Elu,
        _ => Activation::None,
    }
}
