//! Checks before the first batch whether it will fit: a system that runs out of memory ends programs without a message.

use std::fs;

use tch::Device;
use xception::summary::{LayerKind, LayerRow, Summary};

use super::error::{TooLarge, gibibytes};
use crate::precision::Precision;

/// Bytes that libtorch and the program need in every run, by measurement.
const PROGRAM: u64 = 200 << 20;
/// The memory of an image, as a multiple of the layers' outputs, which the backward pass reads. By measurement (fp32 and
/// bf16, 32 and 299 pixels).
const KEPT: f64 = 1.15;

/// Bytes that training needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needs {
    /// For any batch.
    fixed: u64,
    /// For each image of a batch.
    each: u64,
}

impl Needs {
    /// The needs of `network`, where `kept` bytes are kept between steps beside weights and gradients.
    pub(super) fn of(network: &Summary, precision: Precision, kept: u64) -> Self {
        let outputs = |layer: &LayerRow| layer.output.iter().product::<i64>();
        let stored = network.layers.iter().filter(|layer| {
            use LayerKind::{Conv, Depthwise, MaxPool, Pointwise};
            matches!(layer.kind, Conv | Depthwise | Pointwise | MaxPool)
        });
        // A product reads numbers from memory: the output of a norm before it is written out.
        let written_out = network.layers.windows(2).filter(|pair| {
            (pair[0].kind, pair[1].kind) == (LayerKind::BatchNorm, LayerKind::Pointwise)
        });
        let numbers = stored.map(outputs).sum::<i64>()
            + written_out.map(|pair| outputs(&pair[0])).sum::<i64>();
        let bytes = if precision == Precision::Bf16 { 2.0 } else { 4.0 };
        Self {
            // The weights and their gradients are fp32.
            fixed: PROGRAM + network.params_trainable() * 8 + kept,
            each: (numbers as f64 * bytes * KEPT) as u64,
        }
    }

    fn of_batch(self, batch_size: u64) -> u64 {
        self.fixed.saturating_add(self.each.saturating_mul(batch_size))
    }

    /// Refuses a batch that does not fit into its part of `free` bytes, which `ranks` on this machine share. The error says
    /// which batch would fit.
    pub(super) fn check(
        self,
        batch_size: u64,
        free: Option<u64>,
        ranks: u64,
    ) -> Result<(), TooLarge> {
        let free = free.map(|free| free / ranks);
        let Some(free) = free.filter(|&free| self.of_batch(batch_size) > free) else {
            return Ok(());
        };
        let fits = free.saturating_sub(self.fixed) / self.each.max(1);
        Err(TooLarge { batch_size, needed: self.of_batch(batch_size), free, ranks, fits })
    }

    /// The memory that batches need, for a message when memory ran out.
    pub(super) fn explain(self, batch_size: u64) -> String {
        format!(
            "a batch of {batch_size} needs about {}, one of {} about {}",
            gibibytes(self.of_batch(batch_size)),
            (batch_size / 2).max(1),
            gibibytes(self.of_batch((batch_size / 2).max(1)))
        )
    }
}

/// Bytes that a run on `device` may still take: the GPU's, or those of the machine, or of its control group where that has
/// less. `None` where nobody says.
pub(super) fn free(device: Device) -> Option<u64> {
    if device.is_cuda() {
        return torch_ext::free_device_memory(device).ok().flatten();
    }
    let machine = available(&fs::read_to_string("/proc/meminfo").ok()?)?;
    Some(group().map_or(machine, |group| group.min(machine)))
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// Free bytes of a control group: its limit less its use.
fn group() -> Option<u64> {
    let path = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = path.lines().find_map(|line| line.strip_prefix("0::"))?.trim().to_string();
    let number = |name: &str| -> Option<u64> {
        let own = fs::read_to_string(format!("/sys/fs/cgroup{path}/{name}"));
        own.or_else(|_| fs::read_to_string(format!("/sys/fs/cgroup/{name}")))
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    // "max" is no number, and means no limit.
    let limit = number("memory.max")?;
    Some(limit.saturating_sub(number("memory.current")?))
}

#[cfg(test)]
mod tests {
    use xception::{ModelSpec, Preset};

    use super::*;

    /// Largest resident size in MiB of `xception bench --mode train --steps 2` with Adam, commit c2b3b61, x86-64.
    const MEASURED: [(Preset, i64, Precision, u64, u64); 8] = [
        (Preset::NotebookCifar10, 32, Precision::Fp32, 1, 459),
        (Preset::NotebookCifar10, 32, Precision::Fp32, 128, 663),
        (Preset::NotebookCifar10, 32, Precision::Fp32, 256, 909),
        (Preset::NotebookCifar10, 32, Precision::Bf16, 128, 634),
        (Preset::Xception, 299, Precision::Fp32, 1, 626),
        (Preset::Xception, 299, Precision::Fp32, 8, 1803),
        (Preset::Xception, 299, Precision::Bf16, 8, 1123),
        (Preset::DenseCifar100Depthwise, 32, Precision::Bf16, 64, 689),
    ];

    fn needs(preset: Preset, input: i64, precision: Precision) -> Needs {
        let spec = ModelSpec::new(preset);
        let network = Summary::new(&spec.architecture().unwrap(), spec.classes, input).unwrap();
        // Adam keeps two numbers for each parameter.
        Needs::of(&network, precision, network.params_trainable() * 8)
    }

    #[test]
    fn estimates_are_near_what_was_measured() {
        for (preset, input, precision, batch_size, measured) in MEASURED {
            let estimate = needs(preset, input, precision).of_batch(batch_size) >> 20;
            let ratio = estimate as f64 / measured as f64;
            assert!(
                (0.8..1.4).contains(&ratio),
                "{preset} {precision:?} {batch_size}: {estimate}, measured {measured}"
            );
        }
    }

    #[test]
    fn a_batch_that_does_not_fit_is_refused_with_one_that_would() {
        let needs = needs(Preset::Xception, 299, Precision::Fp32);
        needs.check(64, None, 1).expect("where the system does not say, nothing is refused");
        needs.check(8, Some(4 << 30), 1).unwrap();
        let error = needs.check(64, Some(4 << 30), 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a batch of 64 needs about 10.7 GiB of memory, and 4.0 GiB are free; batch_size=21 would fit (--set \
             batch_size=21)"
        );
        needs.check(21, Some(4 << 30), 1).expect("the batch in the message fits");
        assert!(needs.check(22, Some(4 << 30), 1).is_err());
        let shared = needs.check(21, Some(4 << 30), 2).unwrap_err().to_string();
        assert!(
            shared.contains("2.0 GiB are free for each rank on this machine; batch_size=9 would"),
            "{shared}"
        );
        assert!(
            needs
                .check(1, Some(1 << 20), 1)
                .unwrap_err()
                .to_string()
                .contains("not even one image fits")
        );
    }

    #[test]
    fn free_memory_is_read() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"), Some(2 << 20));
        assert_eq!(available("MemTotal: 9 kB\n"), None);
    }
}
