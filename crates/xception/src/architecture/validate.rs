//! The numbers that a table may hold. Whatever passes here can be built, and its maps have the shapes that the sums of
//! its shortcuts need.

use std::ops::RangeInclusive;

use sepconv::{Order, Padding, SeparableConv2dConfig};

use super::{Architecture, ResidualRow};
use crate::out_of_range::OutOfRange;
use crate::vocabulary::{FullyConnected, Shortcut};

/// Channels of a map; the upper end keeps the sizes of weights far from an overflow.
const CHANNELS: RangeInclusive<i64> = 1..=1 << 16;

/// Pixels of a stride, a dilation, a padding or a kernel.
const PIXELS: RangeInclusive<i64> = 1..=1 << 10;

/// Repeats of the middle flow, and fully connected layers.
const MOST_REPEATS: usize = 1 << 10;

/// The name of the row that is repeated.
const MIDDLE: &str = "middle_flow.row";

impl Architecture {
    /// Checks every number of the table.
    ///
    /// # Errors
    /// The first value that cannot be built, with its row, and the accepted values. Besides numbers out of range these
    /// are groups that do not divide the channels of a layer, a shared middle module that changes the shape of its
    /// input, and padding under which a module's output and its shortcut have different sizes.
    pub fn validate(&self) -> Result<(), OutOfRange> {
        OutOfRange::unless_in(CHANNELS, "c_in", self.c_in)?;
        for (index, conv) in self.stem.iter().enumerate() {
            let name = |field: &str| format!("stem[{index}].{field}");
            OutOfRange::unless_in(CHANNELS, name("c_out"), conv.c_out)?;
            OutOfRange::unless_in(PIXELS, name("stride"), conv.stride)?;
            OutOfRange::unless_in(0..=*PIXELS.end(), name("padding"), conv.padding)?;
        }
        self.validate_separable()?;
        self.validate_norm()?;
        let mut c_in = self.stem[1].c_out;
        for (name, row) in self.named_rows() {
            let c_out = self.validate_row(&name, row, c_in)?;
            let is_shared = name == MIDDLE && self.middle_flow.passes() > 1;
            if is_shared && c_out != c_in {
                let accepted =
                    format!("the {c_in} channels that it reads, as repeats share their weights");
                return Err(OutOfRange::new("the last of middle_flow.row.widths", accepted, c_out));
            }
            c_in = c_out;
        }
        for (index, &c_out) in self.exit_separables.widths.iter().enumerate() {
            let name = format!("exit_separables.widths[{index}]");
            validate_channels(&name, c_in, c_out, self.separable)?;
            c_in = c_out;
        }
        if let Some(FullyConnected { layers, width }) = self.fully_connected {
            OutOfRange::unless_in(1..=MOST_REPEATS, "fully_connected.layers", layers)?;
            OutOfRange::unless_in(CHANNELS, "fully_connected.width", width)?;
        }
        Ok(())
    }

    /// Every row by its place in the table; that of the middle flow once, if it is applied at all.
    fn named_rows(&self) -> Vec<(String, &ResidualRow)> {
        fn numbered<'a>(
            flow: &str,
            rows: &'a [ResidualRow],
        ) -> impl Iterator<Item = (String, &'a ResidualRow)> {
            rows.iter().enumerate().map(move |(index, row)| (format!("{flow}[{index}]"), row))
        }
        let middle =
            (self.middle_flow.repeats > 0).then(|| (MIDDLE.to_string(), &self.middle_flow.row));
        numbered("entry_flow", &self.entry_flow)
            .chain(middle)
            .chain(numbered("exit_flow", &self.exit_flow))
            .collect()
    }

    /// The options that all separable convolutions have in common.
    fn validate_separable(&self) -> Result<(), OutOfRange> {
        let SeparableConv2dConfig { kernel_size, stride, padding, dilation, .. } = self.separable;
        OutOfRange::unless_in(PIXELS, "separable.kernel_size", kernel_size)?;
        for (name, value) in [("separable.stride", stride), ("separable.dilation", dilation)] {
            if value != 1 {
                let accepted = "1: the rows say how far they stride and dilate";
                return Err(OutOfRange::new(name, accepted, value));
            }
        }
        // libtorch pads a pool by half of its window at most.
        for (name, padding, most) in [
            ("separable.padding", padding.pairs(), *PIXELS.end()),
            ("pool_padding", self.pool_padding, 1),
        ] {
            if let Padding::Explicit(pixels) = padding {
                pixels.into_iter().try_for_each(|p| OutOfRange::unless_in(0..=most, name, p))?;
            }
        }
        let multiplier = self.separable.depth_multiplier;
        OutOfRange::unless_in(PIXELS, "separable.depth_multiplier", multiplier)?;
        OutOfRange::unless_in(0..=MOST_REPEATS, "middle_flow.repeats", self.middle_flow.repeats)
    }

    fn validate_norm(&self) -> Result<(), OutOfRange> {
        let config = self.batch_norm;
        OutOfRange::unless_in(0.0..=1.0, "batch_norm.eps", config.eps)?;
        OutOfRange::unless_in(0.0..=1.0, "batch_norm.momentum", config.momentum)
    }

    /// Checks a row that reads `c_in` channels, and returns the channels that it gives.
    fn validate_row(&self, name: &str, row: &ResidualRow, c_in: i64) -> Result<i64, OutOfRange> {
        if row.widths.is_empty() {
            return Err(OutOfRange::new(format!("{name}.widths"), "at least one width", "none"));
        }
        OutOfRange::unless_in(PIXELS, format!("{name}.stride"), row.stride)?;
        OutOfRange::unless_in(PIXELS, format!("{name}.dilation"), row.dilation)?;
        let mut reads = c_in;
        for (index, &c_out) in row.widths.iter().enumerate() {
            let config = row.separable(index, self);
            validate_channels(&format!("{name}.widths[{index}]"), reads, c_out, config)?;
            reads = c_out;
            if row.shortcut == Shortcut::Sum && !keeps_size(config) {
                let accepted = format!(
                    "Half of an odd kernel, or Same, so that the sum of {name} has one size"
                );
                let value = format!("{:?}", config.padding);
                return Err(OutOfRange::new("separable.padding", accepted, value));
            }
        }
        if row.shortcut == Shortcut::Sum && row.pool_stride(self) != 1 {
            let narrows =
                matches!(self.pool_padding, Padding::Explicit(padding) if padding != [1, 1]);
            if narrows {
                let accepted = format!("Half or Same, so that the sum of {name} has one size");
                let value = format!("{:?}", self.pool_padding);
                return Err(OutOfRange::new("pool_padding", accepted, value));
            }
        }
        Ok(row.c_out())
    }
}

/// Checks a separable convolution from `c_in` to `c_out` channels, which stands in the table as `name`.
fn validate_channels(
    name: &str,
    c_in: i64,
    c_out: i64,
    config: SeparableConv2dConfig,
) -> Result<(), OutOfRange> {
    OutOfRange::unless_in(CHANNELS, name, c_out)?;
    let multiplier = config.depth_multiplier;
    let depthwise_in = match config.order {
        Order::DepthwiseFirst => c_in,
        Order::PointwiseFirst if c_out % multiplier == 0 => c_out / multiplier,
        Order::PointwiseFirst => {
            let accepted = format!("a divisor of the {c_out} channels of {name}");
            return Err(OutOfRange::new("separable.depth_multiplier", accepted, multiplier));
        }
    };
    let groups = config.groups.among(depthwise_in);
    if groups < 1 || depthwise_in % groups != 0 {
        let accepted = format!(
            "a divisor of the {depthwise_in} channels that the depthwise half of {name} reads"
        );
        return Err(OutOfRange::new("separable.groups", accepted, groups));
    }
    Ok(())
}

/// Whether outputs are as many as inputs, or as the strided 1×1 convolution of a shortcut has.
fn keeps_size(config: SeparableConv2dConfig) -> bool {
    let reach = config.dilation * (config.kernel_size - 1);
    match config.padding {
        Padding::Explicit(padding) => 2 * padding == reach,
        Padding::Half => reach % 2 == 0,
        Padding::Same => true,
    }
}
