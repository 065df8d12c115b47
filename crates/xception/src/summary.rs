//! What a network is made of, counted from its table without building it: shapes, parameters, multiplications.

use sepconv::cost::{self, ConvShape, Cost};
use sepconv::{NormAct, Order, Padding, SeparableConv2dConfig};

use crate::{
    Architecture, Downsampling, Error, FullyConnected, MiddleWeights, Norm, NormPlace, Projection,
    ResidualRow,
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
    /// Global pooling.
    GlobalPool,
    /// A linear layer: the head, or a fully connected one ahead of it.
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
            LayerKind::GlobalPool => "global-pool",
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
    /// Numbers that come out for one image, over all repeats; none of a batch norm's, which has its input's room.
    pub activations: u64,
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
    /// Counts `table` with `classes` logits for images of `input` by `input` pixels.
    pub fn new(table: &Architecture, classes: i64, input: i64) -> Result<Self, Error> {
        let mut walk = Walk { table, input, at: [table.c_in, input, input], layers: Vec::new() };
        for (number, conv) in (1..).zip(&table.stem) {
            let padding = Padding::Explicit([conv.padding; 2]);
            walk.conv(
                table.names.stem_conv(number, conv.norm),
                LayerKind::Conv,
                conv.c_out,
                Geometry { kernel: 3, stride: conv.stride, dilation: 1, padding },
                1,
                conv.bias,
            )?;
            walk.norm(table.names.stem_norm(number), conv.norm);
        }
        for (number, row) in table.stored_rows() {
            let entered = walk.layers.len();
            walk.module(&table.names.module(number), row)?;
            if table.middle_flow.weights == MiddleWeights::Shared
                && number == table.entry_flow.len() + 1
            {
                let repeats = table.middle_flow.repeats as u64;
                for layer in &mut walk.layers[entered..] {
                    layer.macs *= repeats;
                    layer.activations *= repeats;
                }
            }
        }
        for (number, &c_out) in (3..).zip(&table.exit_separables.widths) {
            walk.separable(format!("conv{number}"), c_out, table.separable)?;
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

    /// Numbers that convolutions, pools and linear layers put out for one image.
    pub fn activations(&self) -> u64 {
        self.layers.iter().map(|layer| layer.activations).sum()
    }

    /// Multiply-accumulates of convolutions and the linear layer, for one image.
    pub fn macs(&self) -> u64 {
        self.layers.iter().map(|layer| layer.macs).sum()
    }
}

/// A square kernel on its way over the image.
#[derive(Clone, Copy)]
struct Geometry {
    kernel: i64,
    stride: i64,
    dilation: i64,
    padding: Padding,
}

impl Geometry {
    const POINT: Geometry = Geometry { kernel: 1, stride: 1, dilation: 1, padding: Padding::VALID };
}

/// Follows an image through the table.
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
            activations: match kind {
                LayerKind::BatchNorm => 0,
                _ => self.at.iter().product::<i64>() as u64,
            },
            params: cost.params,
            statistics,
        });
    }

    /// Moves on to `c_out` channels and the size that the kernel leaves.
    fn advance(&mut self, c_out: i64, geometry: Geometry) -> Result<(), Error> {
        let Geometry { kernel, stride, dilation, padding } = geometry;
        let [_, rows, columns] = self.at;
        self.at = [
            c_out,
            padding.outputs(0, rows, kernel, stride, dilation),
            padding.outputs(1, columns, kernel, stride, dilation),
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

    fn separable(
        &mut self,
        name: String,
        c_out: i64,
        config: SeparableConv2dConfig,
    ) -> Result<(), Error> {
        debug_assert_eq!(config.order, Order::DepthwiseFirst);
        let half_norm = |part: NormAct| part.norm.map_or(Norm::None, |_| Norm::Batch);
        let c_in = self.at[0];
        let geometry = Geometry {
            kernel: config.kernel_size,
            stride: config.stride,
            dilation: config.dilation,
            padding: config.padding.pairs(),
        };
        let groups = config.groups.among(c_in);
        let [depthwise, pointwise] = config.names.names();
        self.conv(
            format!("{name}.{depthwise}"),
            LayerKind::Depthwise,
            c_in * config.depth_multiplier,
            geometry,
            groups,
            config.bias,
        )?;
        self.norm(format!("{name}.bn_dw"), half_norm(config.between));
        self.conv(
            format!("{name}.{pointwise}"),
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
        let (entered, table) = (self.at, self.table);
        for (index, &c_out) in row.widths.iter().enumerate() {
            let norm = |walk: &mut Self, place| {
                if table.norm_place == place {
                    walk.norm(table.names.separable_norm(name, row, index, place), row.norm);
                }
            };
            norm(self, NormPlace::Ahead);
            let config = row.separable(index, table);
            self.separable(table.names.separable(name, row, index), c_out, config)?;
            norm(self, NormPlace::After);
        }
        if row.stride != 1 && table.downsampling == Downsampling::MaxPool {
            let padding = table.pool_padding;
            let geometry = Geometry { kernel: 3, stride: row.stride, dilation: 1, padding };
            self.advance(row.c_out(), geometry)?;
            self.push(name.to_string(), LayerKind::MaxPool, Cost::default(), 0);
        }
        if row.projects(entered[0]) {
            let left = std::mem::replace(&mut self.at, entered);
            let projection = table.projection;
            self.conv(
                table.names.shortcut(name, projection),
                LayerKind::Pointwise,
                row.c_out(),
                Geometry { stride: row.stride, ..Geometry::POINT },
                1,
                projection.bias(),
            )?;
            if projection == Projection::Normalized {
                self.norm(table.names.shortcut_norm(name), Norm::Batch);
            }
            self.at = left;
        }
        Ok(())
    }

    fn head(&mut self, classes: i64) {
        self.at = [self.at[0], 1, 1];
        self.push("pool".to_string(), LayerKind::GlobalPool, Cost::default(), 0);
        if let Some(FullyConnected { layers, width }) = self.table.fully_connected {
            for index in 0..layers {
                self.linear(self.table.names.fully_connected(index), width);
            }
        }
        self.linear(self.table.names.head().to_string(), classes);
    }

    fn linear(&mut self, name: String, c_out: i64) {
        let macs = (self.at[0] * c_out) as u64;
        self.at = [c_out, 1, 1];
        self.push(name, LayerKind::Linear, Cost { macs, params: macs + c_out as u64 }, 0);
    }
}
