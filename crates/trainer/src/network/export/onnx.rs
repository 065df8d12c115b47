//! A network as an ONNX file: operator set 17, weights in fp32, everything that a program has to know beside them.

use tch::{Kind, Tensor};
use xception::GlobalPool;
use xception::graph::{Folded, Graph, Node, Op, Padding, Value};
use xception::weights::Description;

use crate::protobuf::Message;

/// `onnx.IR_VERSION` that came with operator set 17.
const IR_VERSION: u64 = 8;
const OPERATOR_SET: u64 = 17;
/// `TensorProto.FLOAT`.
const FLOAT: u64 = 1;
const INPUT: &str = "images";
const OUTPUT: &str = "logits";

/// The file of `graph`. Its metadata are those of a weights file.
pub(super) fn encode(graph: &Graph, description: &Description) -> Vec<u8> {
    let mut file = Message::default()
        .integer(1, IR_VERSION)
        .bytes(2, b"xception")
        .bytes(3, env!("CARGO_PKG_VERSION").as_bytes())
        .message(7, encode_graph(graph))
        .message(8, Message::default().bytes(1, b"").integer(2, OPERATOR_SET));
    for (key, value) in description.to_metadata() {
        let entry = Message::default().bytes(1, key.as_bytes()).bytes(2, value.as_bytes());
        file = file.message(14, entry);
    }
    file.encode()
}

fn encode_graph(graph: &Graph) -> Message {
    let mut parts = Parts::default();
    let last = graph.nodes.len() - 1;
    let mut classes = 0;
    for (number, node) in graph.nodes.iter().enumerate() {
        let output = if number == last { OUTPUT.to_string() } else { value(Value::Node(number)) };
        parts.node(node, &output);
        if let Op::Linear { bias, .. } = &node.op {
            classes = bias.size()[0];
        }
    }
    let mut message = Message::default();
    for node in parts.nodes {
        message = message.message(1, node);
    }
    message = message.bytes(2, b"xception");
    for weights in parts.weights {
        message = message.message(5, weights);
    }
    let images = [Dim::Named("N"), Dim::Size(graph.c_in), Dim::Named("H"), Dim::Named("W")];
    message
        .message(11, tensor_info(INPUT, &images))
        .message(12, tensor_info(OUTPUT, &[Dim::Named("N"), Dim::Size(classes)]))
}

#[derive(Default)]
struct Parts {
    nodes: Vec<Message>,
    weights: Vec<Message>,
}

impl Parts {
    fn node(&mut self, node: &Node, output: &str) {
        let inputs: Vec<String> = node.inputs.iter().map(|&input| value(input)).collect();
        let name = &node.name;
        match &node.op {
            Op::Conv(folded) | Op::Norm { folded, .. } => {
                let Folded { weight, bias, config } = &**folded;
                let weight = self.weights(&format!("{name}.weight"), weight);
                let bias = self.weights(&format!("{name}.bias"), bias);
                let attributes = [
                    integers("kernel_shape", &config.kernel_size),
                    integers("strides", &config.stride),
                    integers("dilations", &config.dilation),
                    integer("group", config.groups),
                    padding(config.padding, config.kernel_size, config.dilation),
                ];
                let inputs = [inputs[0].clone(), weight, bias];
                self.push("Conv", name, &inputs, output, attributes);
            }
            Op::Relu => self.push("Relu", name, &inputs, output, []),
            Op::Elu => self.push("Elu", name, &inputs, output, []),
            Op::Add => self.push("Add", name, &inputs, output, []),
            Op::MaxPool { kernel, stride, padding: around } => {
                let attributes = [
                    integers("kernel_shape", &[*kernel; 2]),
                    integers("strides", &[*stride; 2]),
                    padding(*around, [*kernel; 2], [1, 1]),
                ];
                self.push("MaxPool", name, &inputs, output, attributes);
            }
            Op::GlobalPool(pool) => self.pool(*pool, name, &inputs, output),
            Op::Linear { weight, bias } => {
                let weight = self.weights(&format!("{name}.weight"), weight);
                let bias = self.weights(&format!("{name}.bias"), bias);
                let inputs = [inputs[0].clone(), weight, bias];
                self.push("Gemm", name, &inputs, output, [integer("transB", 1)]);
            }
        }
    }

    fn pool(&mut self, pool: GlobalPool, name: &str, inputs: &[String], output: &str) {
        let inner = |part: &str| format!("{output}.{part}");
        let flat = inner("map");
        match pool {
            GlobalPool::Avg => self.push("GlobalAveragePool", name, inputs, &flat, []),
            GlobalPool::Max => self.push("GlobalMaxPool", name, inputs, &flat, []),
            GlobalPool::AvgMax => {
                let (mean, largest, sum) = (inner("mean"), inner("max"), inner("sum"));
                self.push("GlobalAveragePool", &format!("{name}.mean"), inputs, &mean, []);
                self.push("GlobalMaxPool", &format!("{name}.max"), inputs, &largest, []);
                self.push("Add", &format!("{name}.sum"), &[mean, largest], &sum, []);
                let half = self.weights(&inner("half"), &Tensor::from(0.5_f32));
                self.push("Mul", &format!("{name}.half"), &[sum, half], &flat, []);
            }
        }
        self.push("Flatten", &format!("{name}.flatten"), &[flat], output, []);
    }

    fn push<const N: usize>(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[String],
        output: &str,
        attributes: [Message; N],
    ) {
        let mut node = Message::default();
        for input in inputs {
            node = node.bytes(1, input.as_bytes());
        }
        node = node.bytes(2, output.as_bytes());
        // A shared module is passed several times, and names have to differ.
        node = node.bytes(3, format!("{}:{name}", self.nodes.len()).as_bytes());
        node = node.bytes(4, operator.as_bytes());
        for attribute in attributes {
            node = node.message(5, attribute);
        }
        self.nodes.push(node);
    }

    /// Keeps a tensor with the file, and says what it is called there.
    fn weights(&mut self, name: &str, tensor: &Tensor) -> String {
        let name = format!("{}:{name}", self.weights.len());
        let mut message = Message::default();
        for size in tensor.size() {
            message = message.integer(1, size as u64);
        }
        let flat = tensor.to_device(tch::Device::Cpu).to_kind(Kind::Float).contiguous().view([-1]);
        let numbers: Vec<f32> = flat.try_into().expect("fp32 on the CPU");
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.weights.push(message.integer(2, FLOAT).bytes(8, name.as_bytes()).bytes(9, &bytes));
        name
    }
}

fn value(value: Value) -> String {
    match value {
        Value::Images => INPUT.to_string(),
        Value::Node(number) => format!("value{number}"),
    }
}

/// `AttributeProto.INT`, `STRING` and `INTS`.
const INT: u64 = 2;
const STRING: u64 = 3;
const INTS: u64 = 7;

fn integer(name: &str, value: i64) -> Message {
    Message::default().bytes(1, name.as_bytes()).integer(3, value as u64).integer(20, INT)
}

fn integers(name: &str, values: &[i64]) -> Message {
    let message = Message::default().bytes(1, name.as_bytes());
    values
        .iter()
        .fold(message, |message, &value| message.integer(8, value as u64))
        .integer(20, INTS)
}

fn padding(padding: Padding, kernel: [i64; 2], dilation: [i64; 2]) -> Message {
    match padding {
        Padding::Explicit(_) | Padding::Half => {
            let pads = |axis| padding.along(axis, 0, kernel[axis], 1, dilation[axis]).0;
            let [rows, columns] = [0, 1].map(pads);
            integers("pads", &[rows, columns, rows, columns])
        }
        Padding::Same => {
            Message::default().bytes(1, b"auto_pad").bytes(4, b"SAME_UPPER").integer(20, STRING)
        }
    }
}

enum Dim {
    Named(&'static str),
    Size(i64),
}

fn tensor_info(name: &str, shape: &[Dim]) -> Message {
    let dimension = |dim: &Dim| match dim {
        Dim::Size(size) => Message::default().integer(1, *size as u64),
        Dim::Named(name) => Message::default().bytes(2, name.as_bytes()),
    };
    let shape = shape.iter().fold(Message::default(), |all, dim| all.message(1, dimension(dim)));
    let tensor = Message::default().integer(1, FLOAT).message(2, shape);
    Message::default().bytes(1, name.as_bytes()).message(2, Message::default().message(1, tensor))
}
