//! `xception bench --mode infer --layers`: where the time of a forward pass goes, and how far each layer is from
//! what the machine allows.
//!
//! A layer cannot be faster than its multiplications at the rate of a matrix product whose factors are near, nor than
//! its maps and weights take to come and go. Both rates are measured first, on this machine, in this process.

use std::time::Instant;

use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};
use torch_ext::{Around, Factors, PackedConv, PackedConvConfig};
use xception::summary::{LayerKind, LayerRow, Summary};
use xception::{Inference, ModelSpec, Xception};

use crate::Error;

/// Passes ahead of the timed ones.
const WARM_UP: u32 = 2;

/// Layers that are named as the ones to look at.
const NAMED: usize = 5;

/// What this machine does at best.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    /// Multiply-accumulates a second.
    pub(super) macs: f64,
    /// Bytes a second, read and written together.
    pub(super) bytes: f64,
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Timed {
    name: String,
    output: [i64; 3],
    macs: f64,
    seconds: f64,
    /// The least that multiplications and memory allow.
    limit: f64,
}

impl Rates {
    /// Measures both: the best of several tries, since a limit is what nothing gets past.
    fn measured(kind: Kind) -> Result<Self, Error> {
        let factors = Factors::suited_to(kind).unwrap_or(Factors::Fp32);
        let on_cpu = (Kind::Float, Device::Cpu);
        let config = PackedConvConfig {
            depthwise: None,
            weight: Tensor::f_randn([256, 256, 1, 1], on_cpu)?,
            bias: Tensor::f_zeros([256], on_cpu)?,
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
        };
        let product = PackedConv::new(&config, factors).expect("a 1×1 convolution packs");
        let picture = Tensor::f_randn([1, 256, 96, 96], on_cpu)?;
        let picture = torch_ext::channels_last(&picture)?.to_kind(kind);
        let macs = (96 * 96 * 256 * 256) as f64;
        let product = best(20, || drop(product.run(&picture, Around::default())));
        let block = Tensor::f_zeros([32 << 20], on_cpu)?;
        let mut copy = Tensor::f_zeros([32 << 20], on_cpu)?;
        let copied = best(5, || copy.copy_(&block));
        Ok(Self { macs: macs / product, bytes: (2 * 4 * (32 << 20)) as f64 / copied })
    }

    fn limit(self, macs: f64, bytes: f64) -> f64 {
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

/// Times every layer of `model` over `images`: medians of `steps` passes.
pub(super) fn time(
    spec: &ModelSpec,
    model: &Xception,
    images: &Tensor,
    steps: u32,
) -> Result<(Rates, Vec<Timed>), Error> {
    let kind = images.kind();
    let Some(packed) = Inference::new(model, kind) else {
        let message = format!(
            "preset '{}' is not packed for inference, so its layers cannot be told apart; leave --layers out",
            spec.preset
        );
        return Err(Error::Usage(message));
    };
    let rates = Rates::measured(kind)?;
    let mut names: Vec<String> = Vec::new();
    let mut seconds: Vec<Vec<f64>> = Vec::new();
    for pass in 0..WARM_UP + steps {
        let (mut index, mut last) = (0, Instant::now());
        drop(packed.logits_watched(images, &mut |name| {
            let now = Instant::now();
            if pass == 0 {
                names.push(name.to_string());
                seconds.push(Vec::new());
            }
            if pass >= WARM_UP {
                seconds[index].push((now - last).as_secs_f64());
            }
            index += 1;
            last = now;
        }));
    }
    let size = images.size();
    let summary = Summary::new(&spec.architecture()?, spec.classes, size[2])?;
    let element = if kind == Kind::BFloat16 { 2.0 } else { 4.0 };
    let medians = seconds.into_iter().map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    });
    Ok((rates, rows(&summary, &names, medians, size[0] as f64, element, rates)))
}

/// Puts times beside what the network's table says of the layers of these names.
fn rows(
    summary: &Summary,
    names: &[String],
    seconds: impl Iterator<Item = f64>,
    batch: f64,
    element: f64,
    rates: Rates,
) -> Vec<Timed> {
    let numbers = |[c, h, w]: [i64; 3]| (c * h * w) as f64;
    let module = |name: &str| name.split('.').next().unwrap_or_default().to_string();
    let (mut at, mut entered) = ([3, summary.input, summary.input], (String::new(), [0; 3]));
    let mut timed = Vec::new();
    for (name, seconds) in names.iter().zip(seconds) {
        let parts: Vec<&LayerRow> =
            summary.layers.iter().filter(|row| is_part(row, name)).collect();
        let Some(last) = parts.last() else { continue };
        if entered.0 != module(name) {
            entered = (module(name), at);
        }
        // A shortcut reads its module's input, pixel for pixel of what comes out; all others what came last.
        let shortcut = name.ends_with(".skip");
        let read = match shortcut {
            true => numbers([entered.1[0], last.output[1], last.output[2]]) + numbers(last.output),
            false => numbers(at),
        };
        // A shared module is counted with all its repeats, and timed each time.
        let repeats = names.iter().filter(|other| *other == name).count() as f64;
        let macs = parts.iter().map(|row| row.macs as f64).sum::<f64>() * batch / repeats;
        let weights: f64 = parts.iter().map(|row| row.params as f64).sum();
        let bytes = ((read + numbers(last.output)) * batch + weights) * element;
        let limit = rates.limit(macs, bytes);
        timed.push(Timed { name: name.clone(), output: last.output, macs, seconds, limit });
        at = last.output;
    }
    timed
}

/// Whether `row` is computed in the step called `name`.
fn is_part(row: &LayerRow, name: &str) -> bool {
    let computes = row.kind != LayerKind::BatchNorm;
    let within = row.name.strip_prefix(name).is_some_and(|rest| match name.contains(".rep.") {
        true => rest.starts_with('.'),
        false => rest.is_empty() || rest == ".conv1" || rest == ".pointwise",
    });
    computes && within
}

/// The rows for programs.
pub(super) fn to_json(rates: Rates, rows: &[Timed]) -> Value {
    let row = |row: &Timed| {
        json!({
            "name": row.name, "output": row.output, "macs": row.macs, "ms": row.seconds * 1e3,
            "limit_ms": row.limit * 1e3,
        })
    };
    json!({
        "gflop_per_s": rates.macs * 2e-9, "gb_per_s": rates.bytes * 1e-9,
        "layers": rows.iter().map(row).collect::<Vec<_>>(),
    })
}

/// The rows for people.
pub(super) fn to_text(rates: Rates, rows: &[Timed]) -> String {
    let total: f64 = rows.iter().map(|row| row.seconds).sum();
    let limit: f64 = rows.iter().map(|row| row.limit).sum();
    let mut lines = vec![format!(
        "{:<16} {:>14} {:>9} {:>7} {:>9} {:>9} {:>8}",
        "layer", "output", "ms", "share", "GFLOP/s", "limit ms", "× limit"
    )];
    lines.extend(rows.iter().map(|row| {
        let [channels, height, width] = row.output;
        format!(
            "{:<16} {:>14} {:>9.3} {:>5.1} % {:>9.0} {:>9.3} {:>8.2}",
            row.name,
            format!("{channels}×{height}×{width}"),
            row.seconds * 1e3,
            row.seconds / total * 100.0,
            row.macs * 2e-9 / row.seconds,
            row.limit * 1e3,
            row.seconds / row.limit
        )
    }));
    lines.push(format!(
        "\n{:.2} ms in all; {:.2} ms if every layer were at its limit ({:.0} GFLOP/s, {:.1} GB/s, measured just now)",
        total * 1e3,
        limit * 1e3,
        rates.macs * 2e-9,
        rates.bytes * 1e-9
    ));
    let mut furthest: Vec<&Timed> = rows.iter().collect();
    furthest.sort_by(|a, b| (b.seconds - b.limit).total_cmp(&(a.seconds - a.limit)));
    let lost = |row: &&Timed| format!("{} ({:.2} ms)", row.name, (row.seconds - row.limit) * 1e3);
    let named: Vec<String> = furthest.iter().take(NAMED).map(lost).collect();
    lines.push(format!("furthest from their limit: {}", named.join(", ")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use xception::Preset;

    use super::*;

    #[test]
    fn every_multiplication_is_in_some_row() {
        for preset in [Preset::Xception, Preset::PlainShared] {
            let spec = ModelSpec::new(preset);
            let summary =
                Summary::new(&spec.architecture().unwrap(), spec.classes, preset.input()).unwrap();
            let mut names: Vec<String> = Vec::new();
            for row in &summary.layers {
                let name = row.name.trim_end_matches(".conv1").trim_end_matches(".pointwise");
                if row.kind != LayerKind::BatchNorm && names.last().is_none_or(|last| last != name)
                {
                    names.push(name.to_string());
                }
            }
            let rates = Rates { macs: 1e9, bytes: 1e12 };
            let seconds = std::iter::repeat_n(1.0, names.len());
            let rows = rows(&summary, &names, seconds, 2.0, 4.0, rates);
            let macs: f64 = rows.iter().map(|row| row.macs).sum();
            assert_eq!(macs, 2.0 * summary.macs() as f64, "{preset}");
            assert_eq!(rows[0].limit, rows[0].macs / 1e9);
        }
    }

    #[test]
    fn the_table_names_the_layers_that_lose_most() {
        let row = |name: &str, seconds, limit| Timed {
            name: name.into(),
            output: [1, 2, 3],
            macs: 1e6,
            seconds,
            limit,
        };
        let rows = [row("near", 0.004, 0.004), row("far", 0.003, 0.001), row("off", 0.002, 0.0015)];
        let text = to_text(Rates { macs: 1e9, bytes: 1e9 }, &rows);
        assert!(
            text.contains("furthest from their limit: far (2.00 ms), off (0.50 ms), near"),
            "{text}"
        );
        assert!(text.contains("9.00 ms in all; 6.50 ms if every layer"), "{text}");
    }
}
