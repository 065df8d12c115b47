//! The walk from a table to its layers, flow by flow.

use sepconv::{Activation, BatchNormConfig, NormAct, Order, Padding, SeparableConv2dConfig};

use super::{ConvConfig, ConvRole, Layer, LayerOp, NormRole, Value};
use crate::architecture::{Architecture, ResidualRow};
use crate::vocabulary::{FullyConnected, Norm, NormPlace, Projection, Shortcut, SkipFrom};

/// The layers of `table` with `classes` logits.
pub(super) fn layers(table: &Architecture, classes: i64) -> Vec<Layer> {
    let mut walk = Walk { table, layers: Vec::new(), at: Value::Images, channels: table.c_in };
    walk.stem();
    walk.modules();
    walk.exit_separables();
    walk.head(classes);
    walk.layers
}

/// A walk through the table: `at` is the value that the next layer reads, of so many `channels`.
struct Walk<'a> {
    table: &'a Architecture,
    layers: Vec<Layer>,
    at: Value,
    channels: i64,
}

impl Walk<'_> {
    fn stem(&mut self) {
        let names = self.table.names;
        for (index, conv) in self.table.stem.iter().enumerate() {
            let name = names.stem_conv(index, conv.norm);
            let config = conv.config(self.table.init).pairs();
            self.conv(&name, "", name.clone(), ConvRole::Regular, conv.c_out, config);
            self.norm(conv.norm, &name, "", || names.stem_norm(index));
            self.activation(&name, "", conv.activation);
        }
    }

    fn modules(&mut self) {
        let table = self.table;
        let (entry, middle) = (table.entry_flow.len(), table.middle_flow.stored());
        let rows: Vec<(usize, &ResidualRow)> = table.stored_rows().collect();
        let (before, rest) = rows.split_at(entry);
        let (repeated, after) = rest.split_at(middle);
        let passes = (0..table.middle_flow.passes()).flat_map(|_| repeated);
        for (number, row) in before.iter().chain(passes).chain(after) {
            self.module(&table.names.module(*number), row);
        }
    }

    fn module(&mut self, name: &str, row: &ResidualRow) {
        let table = self.table;
        let names = table.names;
        let mut skip = (self.at, self.channels);
        for (index, &c_out) in row.widths.iter().enumerate() {
            let step = names.separable(name, row.opens_with, index);
            let norm_name =
                |place| move || names.separable_norm(name, row.opens_with, index, place);
            let norm = |place| if table.norm_place == place { row.norm } else { Norm::None };
            if index == 0 {
                if norm(NormPlace::Before) == Norm::Batch {
                    let (role, variables) = (NormRole::OpensModule, norm_name(NormPlace::Before)());
                    self.batch_norm(name, ".norm", role, variables, table.batch_norm);
                }
                self.activation(name, "", row.opens_with);
                if table.skip_from == SkipFrom::Activated {
                    skip = (self.at, self.channels);
                }
            } else {
                self.norm(norm(NormPlace::Before), &step, ".norm", norm_name(NormPlace::Before));
                self.activation(&step, ".opening", Activation::Relu);
            }
            self.separable(&step, c_out, row.separable(index, table));
            self.norm(norm(NormPlace::After), &step, ".norm", norm_name(NormPlace::After));
        }
        let stride = row.pool_stride(table);
        if stride != 1 {
            let pool = LayerOp::MaxPool { kernel: 3, stride, padding: table.pool_padding };
            self.push(name, ".pool", pool);
        }
        if row.shortcut == Shortcut::Sum {
            self.sum(name, row, skip);
        }
    }

    /// The shortcut, which reads the value and channels `skip`, and its sum with the value that the walk is at.
    fn sum(&mut self, name: &str, row: &ResidualRow, skip: (Value, i64)) {
        let (table, names) = (self.table, self.table.names);
        let (main, c_out) = (self.at, self.channels);
        (self.at, self.channels) = skip;
        if row.projects(skip.1) {
            let shortcut = names.shortcut(name, table.projection);
            let point = row.projection(table);
            let stride = [point.stride; 2];
            let config = ConvConfig { stride, bias: point.bias, ..pointwise_config() };
            self.conv(&shortcut, "", shortcut.clone(), ConvRole::Pointwise, c_out, config);
            if table.projection == Projection::Normalized {
                self.norm(Norm::Batch, &shortcut, ".norm", || names.shortcut_norm(name));
            }
        }
        let inputs = vec![main, self.at];
        self.push_reading(name, ".sum", LayerOp::Add, inputs);
    }

    fn exit_separables(&mut self) {
        let (table, names) = (self.table, self.table.names);
        for (index, &c_out) in table.exit_separables.widths.iter().enumerate() {
            let name = names.exit_separable(index);
            self.activation(&name, "", table.exit_separables.opening(index));
            self.separable(&name, c_out, table.separable);
            self.norm(table.exit_separables.norm, &name, ".norm", || names.exit_norm(index));
        }
        self.activation("features", "", table.exit_separables.closes_with);
    }

    fn head(&mut self, classes: i64) {
        let names = self.table.names;
        self.push("pool", "", LayerOp::GlobalPool(self.table.global_pool));
        if let Some(FullyConnected { layers, width }) = self.table.fully_connected {
            for index in 0..layers {
                let name = names.fully_connected(index);
                self.linear(&name, width);
                self.activation(&name, "", Activation::Relu);
            }
        }
        self.linear(names.head(), classes);
    }

    fn separable(&mut self, name: &str, c_out: i64, config: SeparableConv2dConfig) {
        let SeparableConv2dConfig { depth_multiplier, order, between, after, .. } = config;
        match order {
            Order::DepthwiseFirst => {
                let c_between = self.channels * depth_multiplier;
                self.depthwise(name, c_between, config, between);
                self.pointwise(name, c_out, config, after);
            }
            Order::PointwiseFirst => {
                self.pointwise(name, c_out / depth_multiplier, config, between);
                self.depthwise(name, c_out, config, after);
            }
        }
    }

    fn depthwise(&mut self, of: &str, c_out: i64, config: SeparableConv2dConfig, then: NormAct) {
        let SeparableConv2dConfig { kernel_size, stride, padding, dilation, bias, init, .. } =
            config;
        let groups = config.groups.among(self.channels);
        let [half, _] = config.names.names();
        let conv = ConvConfig {
            kernel_size: [kernel_size; 2],
            stride: [stride; 2],
            padding: padding.pairs(),
            dilation: [dilation; 2],
            groups,
            bias,
            init,
        };
        let part = ".depthwise";
        self.conv(of, part, format!("{of}.{half}"), ConvRole::Depthwise, c_out, conv);
        self.half_norm(then, of, part, "bn_dw");
    }

    fn pointwise(&mut self, of: &str, c_out: i64, config: SeparableConv2dConfig, then: NormAct) {
        let [_, half] = config.names.names();
        let conv = ConvConfig { bias: config.bias, ..pointwise_config() };
        let part = ".pointwise";
        self.conv(of, part, format!("{of}.{half}"), ConvRole::Pointwise, c_out, conv);
        self.half_norm(then, of, part, "bn_pw");
    }

    fn half_norm(&mut self, then: NormAct, of: &str, part: &'static str, variables: &str) {
        if let Some(config) = then.norm {
            let variables = format!("{of}.{variables}");
            self.batch_norm(of, part, NormRole::AfterConv, variables, config);
        }
        self.activation(of, part, then.activation);
    }

    fn norm(
        &mut self,
        norm: Norm,
        of: &str,
        part: &'static str,
        variables: impl FnOnce() -> String,
    ) {
        if norm == Norm::Batch {
            let config = self.table.batch_norm;
            self.batch_norm(of, part, NormRole::AfterConv, variables(), config);
        }
    }

    fn batch_norm(
        &mut self,
        of: &str,
        part: &'static str,
        role: NormRole,
        variables: String,
        config: BatchNormConfig,
    ) {
        let op = LayerOp::BatchNorm { variables, role, channels: self.channels, config };
        self.push(of, part, op);
    }

    fn activation(&mut self, of: &str, part: &'static str, activation: Activation) {
        if activation != Activation::None {
            self.push(of, part, LayerOp::Activation(activation));
        }
    }

    fn conv(
        &mut self,
        of: &str,
        part: &'static str,
        variables: String,
        role: ConvRole,
        c_out: i64,
        config: ConvConfig,
    ) {
        let c_in = std::mem::replace(&mut self.channels, c_out);
        self.push(of, part, LayerOp::Conv { variables, role, c_in, c_out, config });
    }

    fn linear(&mut self, name: &str, c_out: i64) {
        let c_in = std::mem::replace(&mut self.channels, c_out);
        self.push(name, "", LayerOp::Linear { variables: name.to_string(), c_in, c_out });
    }

    fn push(&mut self, of: &str, part: &'static str, op: LayerOp) {
        let inputs = vec![self.at];
        self.push_reading(of, part, op, inputs);
    }

    fn push_reading(&mut self, of: &str, part: &'static str, op: LayerOp, inputs: Vec<Value>) {
        self.layers.push(Layer { of: of.to_string(), part, op, inputs });
        self.at = Value::Node(self.layers.len() - 1);
    }
}

fn pointwise_config() -> ConvConfig {
    ConvConfig { kernel_size: [1, 1], padding: Padding::VALID, ..ConvConfig::default() }
}
