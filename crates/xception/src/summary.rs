//! What a network is made of, counted from its table without building it: shapes, parameters, multiplications.

use sepconv::cost::{self, ConvShape, Cost};
use sepconv::{NormAct, Order, Padding};

use crate::{
    Architecture, Error, MiddleWeights, Norm, Projection, ResidualRow, residual::rep_place,
};

/// What a layer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// A regular convolution.
    Conv,
    /// The spatial half of a separable convolution.
    Depthwise,
    /// The channel half, or a projecting shortcut.
    Pointwise,
    /// Batch normalisation.
    BatchNorm,
    /// Max-pooling.
    MaxPool,
    /// Global average pooling.
    AvgPool,
    /// The linear layer of the head.
    Linear,
}

impl LayerKind {
    /// A short name for tables.
    pub fn name(self) -> &'static str {
        match self {
            LayerKind::Conv => "conv",
            LayerKind::Depthwise => "depthwise",
            LayerKind::Pointwise => "pointwise",
            LayerKind::BatchNorm => "batch-norm",
            LayerKind::MaxPool => "max-pool",
            LayerKind::AvgPool => "avg-pool",
            LayerKind::Linear => "linear",
        }
    }
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRow {
    /// The path of its variables, or of its module where it has none.
    pub name: String,
    /// What it does.
    pub kind: LayerKind,
    /// Channels, rows and columns that come out.
    pub output: [i64; 3],
    /// Multiply-accumulates of convolutions and the linear layer, over all repeats.
    pub macs: u64,
    /// Trainable numbers.
    pub params: u64,
    /// Numbers that are kept but not trained: running statistics.
    pub statistics: u64,
}

/// A whole network at one input size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Rows and columns of the input.
    pub input: i64,
    /// Every layer, in the order of the forward pass; a shared module stands once.
    pub layers: Vec<LayerRow>,
}

impl Summary {
    /// Counts `table` with `classes` logits for pictures of `input` by `input` pixels.
    pub fn new(table: &Architecture, classes: i64, input: i64) -> Result<Self, Error> {
        let mut walk = Walk { table, input, at: [3, input, input], layers: Vec::new() };
        for (number, conv) in (1..).zip(&table.stem) {
            let padding = Padding::Explicit([conv.padding; 2]);
            walk.conv(
                format!("conv{number}"),
                LayerKind::Conv,
                conv.c_out,
                Geometry { kernel: 3, stride: conv.stride, padding },
                1,
                conv.bias,
            )?;
            walk.norm(format!("bn{number}"), conv.norm);
        }
        for (number, row) in table.stored_rows() {
            let entered = walk.layers.len();
            walk.module(&format!("block{number}"), row)?;
            if table.middle_flow.weights == MiddleWeights::Shared
                && number == table.entry_flow.len() + 1
            {
                walk.layers[entered..]
                    .iter_mut()
                    .for_each(|layer| layer.macs *= table.middle_flow.repeats as u64);
            }
        }
        for (number, c_out) in (3..).zip(table.exit_separables.widths) {
            walk.separable(format!("conv{number}"), c_out)?;
            walk.norm(format!("bn{number}"), table.exit_separables.norm);
        }
        walk.head(classes);
        Ok(Summary { input, layers: walk.layers })
    }

    /// Numbers that training moves.
    pub fn params_trainable(&self) -> u64 {
        self.layers.iter().map(|layer| layer.params).sum()
    }

    /// The same with the running statistics of batch normalisation.
    pub fn params_total(&self) -> u64 {
        self.params_trainable() + self.layers.iter().map(|layer| layer.statistics).sum::<u64>()
    }

    /// Multiply-accumulates of convolutions and the linear layer, for one picture.
    pub fn macs(&self) -> u64 {
        self.layers.iter().map(|layer| layer.macs).sum()
    }
}

/// A square kernel on its way over the picture.
#[derive(Clone, Copy)]
struct Geometry {
    kernel: i64,
    stride: i64,
    padding: Padding,
}

impl Geometry {
    const POINT: Geometry = Geometry { kernel: 1, stride: 1, padding: Padding::VALID };
}

/// Follows a picture through the table.
struct Walk<'a> {
    table: &'a Architecture,
    input: i64,
    at: [i64; 3],
    layers: Vec<LayerRow>,
}

impl Walk<'_> {
    fn push(&mut self, name: String, kind: LayerKind, cost: Cost, statistics: u64) {
        self.layers.push(LayerRow {
            name,
            kind,
            output: self.at,
            macs: cost.macs,
            params: cost.params,
            statistics,
        });
    }

    /// Moves on to `c_out` channels and the size that the kernel leaves.
    fn advance(&mut self, c_out: i64, geometry: Geometry) -> Result<(), Error> {
        let Geometry { kernel, stride, padding } = geometry;
        let [_, rows, columns] = self.at;
        self.at = [
            c_out,
            padding.outputs(0, rows, kernel, stride, 1),
            padding.outputs(1, columns, kernel, stride, 1),
        ];
        if self.at[1] < 1 { Err(Error::InputTooSmall(self.input)) } else { Ok(()) }
    }

    fn conv(
        &mut self,
        name: String,
        kind: LayerKind,
        c_out: i64,
        geometry: Geometry,
        groups: i64,
        bias: bool,
    ) -> Result<(), Error> {
        let c_in = self.at[0] as u64;
        self.advance(c_out, geometry)?;
        let kernel_size = [geometry.kernel as u64; 2];
        let shape = ConvShape {
            c_in,
            c_out: c_out as u64,
            kernel_size,
            output: [self.at[1] as u64, self.at[2] as u64],
            bias,
        };
        self.push(name, kind, cost::grouped(shape, groups as u64), 0);
        Ok(())
    }

    fn norm(&mut self, name: String, norm: Norm) {
        if norm == Norm::Batch {
            let pair = 2 * self.at[0] as u64;
            self.push(name, LayerKind::BatchNorm, Cost { macs: 0, params: pair }, pair);
        }
    }

    fn separable(&mut self, name: String, c_out: i64) -> Result<(), Error> {
        let config = self.table.separable;
        debug_assert_eq!(config.order, Order::DepthwiseFirst);
        let half_norm = |part: NormAct| part.norm.map_or(Norm::None, |_| Norm::Batch);
        let (c_in, [kernel, _], [stride, _]) = (self.at[0], config.kernel_size, config.stride);
        let geometry = Geometry { kernel, stride, padding: config.padding };
        let groups = config.groups.among(c_in);
        self.conv(
            format!("{name}.conv1"),
            LayerKind::Depthwise,
            c_in * config.depth_multiplier,
            geometry,
            groups,
            config.bias,
        )?;
        self.norm(format!("{name}.bn_dw"), half_norm(config.between));
        self.conv(
            format!("{name}.pointwise"),
            LayerKind::Pointwise,
            c_out,
            Geometry::POINT,
            1,
            config.bias,
        )?;
        self.norm(format!("{name}.bn_pw"), half_norm(config.after));
        Ok(())
    }

    fn module(&mut self, name: &str, row: &ResidualRow) -> Result<(), Error> {
        let entered = self.at;
        for (index, &c_out) in row.widths.iter().enumerate() {
            let place = rep_place(row.opens_with, index);
            self.separable(format!("{name}.rep.{place}"), c_out)?;
            self.norm(format!("{name}.rep.{}", place + 1), row.norm);
        }
        if row.stride != 1 {
            self.advance(
                row.c_out(),
                Geometry { kernel: 3, stride: row.stride, padding: self.table.pool_padding },
            )?;
            self.push(name.to_string(), LayerKind::MaxPool, Cost::default(), 0);
        }
        if row.projects(entered[0]) {
            let left = std::mem::replace(&mut self.at, entered);
            let geometry = Geometry { stride: row.stride, ..Geometry::POINT };
            let projection = self.table.projection;
            self.conv(
                format!("{name}.skip"),
                LayerKind::Pointwise,
                row.c_out(),
                geometry,
                1,
                projection.bias(),
            )?;
            self.norm(
                format!("{name}.skipbn"),
                if projection == Projection::Normalized { Norm::Batch } else { Norm::None },
            );
            self.at = left;
        }
        Ok(())
    }

    fn head(&mut self, classes: i64) {
        let c_in = self.at[0];
        self.at = [c_in, 1, 1];
        self.push("pool".to_string(), LayerKind::AvgPool, Cost::default(), 0);
        self.at = [classes, 1, 1];
        let macs = (c_in * classes) as u64;
        self.push(
            "fc".to_string(),
            LayerKind::Linear,
            Cost { macs, params: macs + classes as u64 },
            0,
        );
    }
}
