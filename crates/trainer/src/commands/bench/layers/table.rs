//! Times beside limits: the table that `--layers` prints.

use serde_json::{Value, json};
use xception::summary::{LayerKind, LayerRow, Summary};

use super::rates::Rates;
use super::watched::LayerTime;
use crate::commands::bench::BenchMode;

/// Layers that are named as furthest from their limit.
const NAMED: usize = 5;

/// The name of the optimizer's row.
pub(super) const OPTIMIZER: &str = "optimizer";

/// Passes of Adam over numbers of four bytes: weight, gradient and two means are read, all but the gradient written.
const OPTIMIZER_PASSES: f64 = 7.0;

/// The work that was timed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub(super) mode: BenchMode,
    pub(super) batch_size: f64,
    /// Bytes of a number of a feature map.
    pub(super) element: f64,
}

/// Every layer's time and limit.
#[derive(Debug)]
pub(in super::super) struct Table {
    rates: Rates,
    rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    time: LayerTime,
    /// The output for one image; the optimizer has none.
    output: Option<[i64; 3]>,
    /// Multiply-accumulates, backward pass included.
    macs: f64,
    /// The least that multiplications and memory allow, in seconds.
    limit: f64,
}

impl Row {
    fn seconds(&self) -> f64 {
        self.time.forward + self.time.backward.unwrap_or(0.0)
    }
}

impl Table {
    /// Puts `times` beside what the network's summary says of the layers of these names.
    pub(super) fn new(summary: &Summary, times: &[LayerTime], work: Work, rates: Rates) -> Self {
        let training = work.mode == BenchMode::Train;
        let numbers = |[c, h, w]: [i64; 3]| (c * h * w) as f64;
        // The shape that the next layer reads, and the one that its module reads.
        let mut at = [3, summary.input, summary.input];
        let mut entered = (String::new(), at);
        let mut rows = Vec::new();
        for time in times {
            if time.name == OPTIMIZER {
                let bytes = OPTIMIZER_PASSES * 4.0 * summary.params_trainable() as f64;
                let limit = rates.limit(0.0, bytes);
                rows.push(Row { time: time.clone(), output: None, macs: 0.0, limit });
                continue;
            }
            let module = xception::module_of(&time.name);
            if entered.0 != module {
                entered = (module.to_string(), at);
            }
            let parts: Vec<&LayerRow> =
                summary.layers.iter().filter(|row| is_part(row, &time.name)).collect();
            // A module without a pool ends in a sum alone.
            let output = parts.last().map_or(at, |row| row.output);
            let shortcut = xception::is_shortcut(&time.name);
            let sums = if training { time.name == module } else { shortcut };
            // A shortcut reads its module's input, pixel for pixel of what comes out.
            let read = if shortcut { [entered.1[0], output[1], output[2]] } else { at };
            let read = numbers(read) + if sums { numbers(output) } else { 0.0 };
            // A shared module is counted with all its repeats, and timed each time.
            let repeats = times.iter().filter(|other| other.name == time.name).count() as f64;
            let macs: u64 = parts.iter().map(|row| row.macs).sum();
            let macs = macs as f64 * work.batch_size / repeats;
            let weights = parts.iter().map(|row| row.params).sum::<u64>() as f64;
            let bytes = |maps: f64, weights: f64| {
                maps * work.batch_size * work.element + weights * work.element
            };
            let forward = rates.limit(macs, bytes(read + numbers(output), weights));
            // The gradients of the weights and of the input; the images need none.
            let products = if rows.is_empty() { 1.0 } else { 2.0 };
            let back =
                || rates.limit(products * macs, bytes(2.0 * read + numbers(output), 2.0 * weights));
            let (limit, macs) = if training {
                (forward + back(), macs * (1.0 + products))
            } else {
                (forward, macs)
            };
            rows.push(Row { time: time.clone(), output: Some(output), macs, limit });
            if !shortcut {
                at = output;
            }
        }
        Self { rates, rows }
    }

    /// The table for programs.
    pub(in super::super) fn to_json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "name": row.time.name, "output": row.output, "macs": row.macs, "ms": row.seconds() * 1e3,
                "forward_ms": row.time.forward * 1e3,
                "backward_ms": row.time.backward.map(|seconds| seconds * 1e3),
                "limit_ms": row.limit * 1e3,
            })
        };
        json!({
            "gflop_per_s": self.rates.macs * 2e-9, "gb_per_s": self.rates.bytes * 1e-9,
            "layers": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }

    /// The table for people.
    pub(in super::super) fn to_text(&self) -> String {
        let total: f64 = self.rows.iter().map(Row::seconds).sum();
        let limit: f64 = self.rows.iter().map(|row| row.limit).sum();
        let training = self.rows.iter().any(|row| row.time.backward.is_some());
        let halves = |forward: &str, backward: &str| {
            if training { format!(" {forward:>9} {backward:>9}") } else { String::new() }
        };
        let mut lines = vec![format!(
            "{:<16} {:>14}{} {:>9} {:>7} {:>9} {:>9} {:>8}",
            "layer",
            "output",
            halves("forward", "backward"),
            "ms",
            "share",
            "GFLOP/s",
            "limit ms",
            "× limit"
        )];
        lines.extend(self.rows.iter().map(|row| {
            let output = row.output.map(|[c, h, w]| format!("{c}×{h}×{w}")).unwrap_or_default();
            let milliseconds = |seconds: f64| format!("{:.3}", seconds * 1e3);
            let seconds = row.seconds();
            // Pools, sums and the optimizer multiply no matrices.
            let rate = (row.macs > 0.0).then(|| format!("{:.0}", row.macs * 2e-9 / seconds));
            format!(
                "{:<16} {output:>14}{} {:>9} {:>5.1} % {:>9} {:>9} {:>8.2}",
                row.time.name,
                halves(
                    &milliseconds(row.time.forward),
                    &row.time.backward.map(milliseconds).unwrap_or_default()
                ),
                milliseconds(seconds),
                seconds / total * 100.0,
                rate.unwrap_or_default(),
                milliseconds(row.limit),
                seconds / row.limit
            )
        }));
        lines.push(format!(
            "\n{:.2} ms in all; {:.2} ms if every layer were at its limit ({:.0} GFLOP/s, {:.1} GB/s, measured just now)",
            total * 1e3,
            limit * 1e3,
            self.rates.macs * 2e-9,
            self.rates.bytes * 1e-9
        ));
        let lost = |row: &Row| row.seconds() - row.limit;
        let mut furthest: Vec<&Row> = self.rows.iter().collect();
        furthest.sort_by(|a, b| lost(b).total_cmp(&lost(a)));
        let named = furthest.iter().take(NAMED);
        let named = named.map(|row| format!("{} ({:.2} ms)", row.time.name, lost(row) * 1e3));
        lines.push(format!("furthest from their limit: {}", named.collect::<Vec<_>>().join(", ")));
        lines.join("\n")
    }
}

/// The fraction of all `times` that each layer of `summary` takes; layers that are computed in one step stand at the first.
pub(super) fn shares(summary: &Summary, times: &[LayerTime]) -> Vec<Option<f64>> {
    let total: f64 = times.iter().map(|time| time.forward).sum();
    let mut shares = vec![None; summary.layers.len()];
    for time in times {
        let place = summary.layers.iter().position(|row| is_part(row, &time.name));
        if let Some(place) = place {
            *shares[place].get_or_insert(0.0) += time.forward / total;
        }
    }
    shares
}

/// Whether `row` is computed in the step called `name`.
fn is_part(row: &LayerRow, name: &str) -> bool {
    let computes = row.kind != LayerKind::BatchNorm;
    let within = row.name.strip_prefix(name).is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix('.').is_some_and(xception::is_half)
    });
    computes && within
}

#[cfg(test)]
mod tests {
    use xception::{ModelSpec, Preset};

    use super::*;

    fn time(name: &str, forward: f64, backward: Option<f64>) -> LayerTime {
        LayerTime { name: name.into(), forward, backward }
    }

    /// The layers of a preset as a hook notes them, a second each way.
    fn all_layers(preset: Preset, mode: BenchMode) -> (Summary, Vec<LayerTime>) {
        let spec = ModelSpec::new(preset);
        let table = spec.architecture().unwrap();
        let summary = Summary::new(&table, spec.classes, preset.input()).unwrap();
        let mut names: Vec<&str> = Vec::new();
        for row in &summary.layers {
            let name = row.name.trim_end_matches(".conv1").trim_end_matches(".pointwise");
            if row.kind != LayerKind::BatchNorm && names.last().is_none_or(|last| *last != name) {
                names.push(name);
            }
        }
        let backward = (mode == BenchMode::Train).then_some(1.0);
        let times = names.into_iter().map(|name| time(name, 1.0, backward)).collect();
        (summary, times)
    }

    const RATES: Rates = Rates { macs: 1e9, bytes: 1e12 };

    fn work(mode: BenchMode) -> Work {
        Work { mode, batch_size: 2.0, element: 4.0 }
    }

    #[test]
    fn every_multiplication_is_in_some_row() {
        for preset in [Preset::Xception, Preset::PlainShared] {
            let (summary, times) = all_layers(preset, BenchMode::Infer);
            let table = Table::new(&summary, &times, work(BenchMode::Infer), RATES);
            let macs: f64 = table.rows.iter().map(|row| row.macs).sum();
            assert_eq!(macs, 2.0 * summary.macs() as f64, "{preset}");
            assert_eq!(table.rows[0].limit, table.rows[0].macs / 1e9);

            let (summary, times) = all_layers(preset, BenchMode::Train);
            let table = Table::new(&summary, &times, work(BenchMode::Train), RATES);
            let macs: f64 = table.rows.iter().map(|row| row.macs).sum();
            let first = 2.0 * summary.layers[0].macs as f64;
            assert_eq!(macs, 3.0 * 2.0 * summary.macs() as f64 - first, "{preset}");
        }
    }

    #[test]
    fn a_shortcut_does_not_change_what_the_module_reads() {
        let (summary, _) = all_layers(Preset::Xception, BenchMode::Train);
        let of = |names: &[&str]| {
            let times: Vec<_> = names.iter().map(|name| time(name, 1.0, Some(1.0))).collect();
            // No multiplications to speak of: the limit is memory's.
            let rates = Rates { macs: 1e18, bytes: 1.0 };
            Table::new(&summary, &times, work(BenchMode::Train), rates).rows
        };
        let with = of(&["conv2", "block1.skip", "block1.rep.0", "block1"]);
        let without = of(&["conv2", "block1.rep.0", "block1"]);
        assert_eq!(with[2], without[1]);
        assert_eq!(with[3].output, Some([128, 74, 74]));
    }

    #[test]
    fn the_optimizer_is_limited_by_memory() {
        let (summary, _) = all_layers(Preset::Xception, BenchMode::Train);
        let times = [time(OPTIMIZER, 1.0, None)];
        let table = Table::new(&summary, &times, work(BenchMode::Train), RATES);
        assert_eq!(table.rows[0].limit, 28.0 * summary.params_trainable() as f64 / 1e12);
    }

    #[test]
    fn the_table_names_the_layers_that_lose_most() {
        let row = |name: &str, seconds, limit| Row {
            time: time(name, seconds, None),
            output: Some([1, 2, 3]),
            macs: 1e6,
            limit,
        };
        let rows =
            vec![row("near", 0.004, 0.004), row("far", 0.003, 0.001), row("off", 0.002, 0.0015)];
        let text = Table { rates: RATES, rows }.to_text();
        assert!(
            text.contains("furthest from their limit: far (2.00 ms), off (0.50 ms), near"),
            "{text}"
        );
        assert!(text.contains("9.00 ms in all; 6.50 ms if every layer"), "{text}");
        assert!(!text.contains("backward"), "{text}");
    }
}
