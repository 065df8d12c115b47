//! The best rates of this machine, measured in this process just before the layers.

use std::time::Instant;

use tch::{Device, Kind, Tensor};
use torch_ext::{Factors, FusedOps, PackedConv, PackedConvConfig};

use crate::commands::Error;

/// Channels of a product so large that the time before its multiplications does not matter.
const CHANNELS: i64 = 1024;

/// Rows and columns of its image.
const SIDE: i64 = 48;

/// The best rates of this machine.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Rates {
    /// Multiply-accumulates a second.
    pub(super) macs: f64,
    /// Bytes a second, read and written together.
    pub(super) bytes: f64,
}

impl Rates {
    /// Measures both: the best of several tries, since a limit must not be exceeded.
    pub(super) fn measured(kind: Kind) -> Result<Self, Error> {
        let factors = Factors::suited_to(kind).unwrap_or(Factors::Fp32);
        let on_cpu = (Kind::Float, Device::Cpu);
        let config = PackedConvConfig {
            depthwise: None,
            weight: Tensor::f_randn([CHANNELS, CHANNELS, 1, 1], on_cpu)?,
            bias: Tensor::f_zeros([CHANNELS], on_cpu)?,
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
        };
        let product = PackedConv::new(&config, factors).expect("a 1×1 convolution packs");
        let image = Tensor::f_randn([1, CHANNELS, SIDE, SIDE], on_cpu)?;
        let image = torch_ext::channels_last(&image)?.to_kind(kind);
        let macs = (SIDE * SIDE * CHANNELS * CHANNELS) as f64;
        let product = best(20, || drop(product.run(&image, FusedOps::default())));
        // In place: a copy would also read its destination, which would not be counted.
        let mut block = Tensor::f_zeros([32 << 20], on_cpu)?;
        let scaled = best(5, || drop(block.g_mul_scalar_(1.0)));
        Ok(Self { macs: macs / product, bytes: (2 * 4 * (32 << 20)) as f64 / scaled })
    }

    /// The least time in seconds for so many multiply-accumulates on so many bytes.
    pub(super) fn limit(self, macs: f64, bytes: f64) -> f64 {
        (macs / self.macs).max(bytes / self.bytes)
    }
}

fn best(tries: u32, mut work: impl FnMut()) -> f64 {
    let seconds = (0..tries).map(|_| {
        let started = Instant::now();
        work();
        started.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min)
}
