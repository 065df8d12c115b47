//! A network as an ONNX file: weights in fp32, everything that a program has to know beside them, and on request the way from
//! the bytes of an image to probabilities.

mod preprocessing;

use tch::{Kind, Tensor};
use xception::GlobalPool;
use xception::graph::{Folded, Graph, Node, Op, Padding, Value};
use xception::weights::Description;

use crate::protobuf::Message;

use super::Contents;

/// `onnx.IR_VERSION` that came with operator set 17.
const IR_VERSION: u64 = 8;
const OPERATOR_SET: u64 = 17;
/// `TensorProto.FLOAT`, `UINT8`, `INT64` and `DOUBLE`.
const FLOAT: u64 = 1;
const UINT8: u64 = 2;
const INT64: u64 = 7;
const DOUBLE: u64 = 11;
const INPUT: &str = "images";
const LOGITS: &str = "logits";
const PROBABILITIES: &str = "probabilities";

/// The file of `graph`. Its metadata are those of a weights file.
pub(super) fn encode(graph: &Graph, description: &Description, contents: Contents) -> Vec<u8> {
    let mut file = Message::default()
        .integer(1, IR_VERSION)
        .bytes(2, b"xception")
        .bytes(3, env!("CARGO_PKG_VERSION").as_bytes())
        .message(7, encode_graph(graph, description, contents))
        .message(8, Message::default().bytes(1, b"").integer(2, OPERATOR_SET));
    for (key, value) in description.to_metadata() {
        let entry = Message::default().bytes(1, key.as_bytes()).bytes(2, value.as_bytes());
        file = file.message(14, entry);
    }
    file.encode()
}

fn encode_graph(graph: &Graph, description: &Description, contents: Contents) -> Message {
    let mut parts = Parts { input: INPUT.to_string(), ..Parts::default() };
    if contents == Contents::WithPreprocessing {
        parts.input = preprocessing::add(&mut parts, description);
    }
    let last = graph.nodes.len() - 1;
    let mut classes = 0;
    for (number, node) in graph.nodes.iter().enumerate() {
        let output =
            if number == last { LOGITS.to_string() } else { parts.value(Value::Node(number)) };
        parts.node(node, &output);
        if let Op::Linear { bias, .. } = &node.op {
            classes = bias.size()[0];
        }
    }
    let (images, numbers, output) = match contents {
        Contents::Network => {
            let size = [Dim::Named("N"), Dim::Size(graph.c_in), Dim::Named("H"), Dim::Named("W")];
            (size, FLOAT, LOGITS)
        }
        Contents::WithPreprocessing => {
            let logits = [LOGITS.to_string()];
            match description.labels.are_several() {
                true => parts.push("Sigmoid", "sigmoid", &logits, PROBABILITIES, []),
                false => {
                    parts.push("Softmax", "softmax", &logits, PROBABILITIES, [integer("axis", 1)])
                }
            }
            let size = [Dim::Named("N"), Dim::Named("H"), Dim::Named("W"), Dim::Size(3)];
            (size, UINT8, PROBABILITIES)
        }
    };
    let mut message = Message::default();
    for node in parts.nodes {
        message = message.message(1, node);
    }
    message = message.bytes(2, b"xception");
    for weights in parts.weights {
        message = message.message(5, weights);
    }
    let answers = [Dim::Named("N"), Dim::Size(classes)];
    message
        .message(11, tensor_info(INPUT, numbers, &images))
        .message(12, tensor_info(output, FLOAT, &answers))
}

#[derive(Default)]
struct Parts {
    /// The value that the network reads.
    input: String,
    nodes: Vec<Message>,
    weights: Vec<Message>,
}

impl Parts {
    fn node(&mut self, node: &Node, output: &str) {
        let inputs: Vec<String> = node.inputs.iter().map(|&input| self.value(input)).collect();
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
                let half = self.float(&inner("half"), 0.5);
                self.push("Mul", &format!("{name}.half"), &[sum, half], &flat, []);
            }
        }
        self.push("Flatten", &format!("{name}.flatten"), &[flat], output, []);
    }

    fn value(&self, value: Value) -> String {
        match value {
            Value::Images => self.input.clone(),
            Value::Node(number) => format!("value{number}"),
        }
    }

    fn push(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[String],
        output: &str,
        attributes: impl IntoIterator<Item = Message>,
    ) {
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.push_all(operator, name, &inputs, &[output], attributes);
    }

    fn push_all(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: impl IntoIterator<Item = Message>,
    ) {
        let mut node = Message::default();
        for input in inputs {
            node = node.bytes(1, input.as_bytes());
        }
        for output in outputs {
            node = node.bytes(2, output.as_bytes());
        }
        // A shared module is passed several times, and names have to differ.
        node = node.bytes(3, format!("{}:{name}", self.nodes.len()).as_bytes());
        node = node.bytes(4, operator.as_bytes());
        for attribute in attributes {
            node = node.message(5, attribute);
        }
        self.nodes.push(node);
    }

    /// Adds an operation before the network, and says what its value is called.
    fn value_of(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: impl IntoIterator<Item = Message>,
    ) -> String {
        let [value] = self.values_of(operator, inputs, attributes);
        value
    }

    /// The same for an operation with several values.
    fn values_of<const N: usize>(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: impl IntoIterator<Item = Message>,
    ) -> [String; N] {
        let node = self.nodes.len();
        let values = std::array::from_fn(|value| format!("prepared{node}.{value}"));
        let outputs = values.each_ref().map(String::as_str);
        self.push_all(operator, "prepare", inputs, &outputs, attributes);
        values
    }

    /// Keeps a list of whole numbers with the file, and says what it is called there.
    fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.numbers(name, &[values.len() as i64], INT64, &bytes)
    }

    /// The same for a number that is no list.
    fn whole_number(&mut self, name: &str, value: i64) -> String {
        self.numbers(name, &[], INT64, &value.to_le_bytes())
    }

    /// The same for a `float`.
    fn float(&mut self, name: &str, value: f32) -> String {
        self.numbers(name, &[], FLOAT, &value.to_le_bytes())
    }

    /// The same for a `double`.
    fn double(&mut self, name: &str, value: f64) -> String {
        self.numbers(name, &[], DOUBLE, &value.to_le_bytes())
    }

    /// Keeps a tensor with the file, and says what it is called there.
    fn weights(&mut self, name: &str, tensor: &Tensor) -> String {
        let flat = tensor.to_device(tch::Device::Cpu).to_kind(Kind::Float).contiguous().view([-1]);
        let numbers: Vec<f32> = flat.try_into().expect("fp32 on the CPU");
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.numbers(name, &tensor.size(), FLOAT, &bytes)
    }

    /// Keeps numbers of a kind with the file, and says what they are called there.
    fn numbers(&mut self, name: &str, sizes: &[i64], kind: u64, bytes: &[u8]) -> String {
        let name = format!("{}:{name}", self.weights.len());
        let sizes =
            sizes.iter().fold(Message::default(), |message, &size| message.integer(1, size as u64));
        self.weights.push(sizes.integer(2, kind).bytes(8, name.as_bytes()).bytes(9, bytes));
        name
    }
}

/// `AttributeProto.INT`, `STRING` and `INTS`.
const INT: u64 = 2;
const STRING: u64 = 3;
const INTS: u64 = 7;

fn integer(name: &str, value: i64) -> Message {
    Message::default().bytes(1, name.as_bytes()).integer(3, value as u64).integer(20, INT)
}

fn text(name: &str, value: &str) -> Message {
    Message::default().bytes(1, name.as_bytes()).bytes(4, value.as_bytes()).integer(20, STRING)
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
        Padding::Same => text("auto_pad", "SAME_UPPER"),
    }
}

enum Dim {
    Named(&'static str),
    Size(i64),
}

fn tensor_info(name: &str, numbers: u64, shape: &[Dim]) -> Message {
    let dimension = |dim: &Dim| match dim {
        Dim::Size(size) => Message::default().integer(1, *size as u64),
        Dim::Named(name) => Message::default().bytes(2, name.as_bytes()),
    };
    let shape = shape.iter().fold(Message::default(), |all, dim| all.message(1, dimension(dim)));
    let tensor = Message::default().integer(1, numbers).message(2, shape);
    Message::default().bytes(1, name.as_bytes()).message(2, Message::default().message(1, tensor))
}
