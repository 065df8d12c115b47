//! The table of training steps and forward passes, each timed in rounds.

use serde_json::Value;

use super::{shown, table};
use crate::gpu_report::record::Record;
use crate::peers::statistics::Spread;

/// A way to take a step, timed in rounds.
struct Timed {
    work: (String, String, u64),
    way: String,
    spread: Spread,
    rounds: usize,
}

/// Ours: a document that describes the work, and one for each round.
fn ours(record: &Record) -> Option<Timed> {
    let described = record.documents.iter().find(|found| found["ready"] == true)?;
    let times: Vec<f64> =
        record.documents.iter().filter_map(|found| found["ms_per_step"].as_f64()).collect();
    let launch = match record.about("launch") {
        "" | "auto" => String::new(),
        launch => format!(", launch {launch}"),
    };
    Some(Timed {
        work: work(described, "preset")?,
        way: format!("`{}`{launch}, {}", record.about("program"), shown(&described["precision"])),
        spread: Spread::of(&times)?,
        rounds: times.len(),
    })
}

/// PyTorch's: a document for each way, which has its median and ends.
fn theirs(found: &Value) -> Option<Timed> {
    let number = |key: &str| found[key].as_f64();
    Some(Timed {
        work: work(found, "network")?,
        way: format!("PyTorch, {}", found["way"].as_str()?),
        spread: Spread {
            median: number("ms_per_step")?,
            min: number("smallest")?,
            max: number("largest")?,
        },
        rounds: found["rounds"].as_u64()? as usize,
    })
}

fn work(found: &Value, network: &str) -> Option<(String, String, u64)> {
    let word = |key: &str| found[key].as_str().map(str::to_owned);
    Some((word(network)?, word("mode")?, found["batch_size"].as_u64()?))
}

/// Ours and PyTorch's, by their work and then by their time.
pub(super) fn table_of(records: &[Record]) -> String {
    let theirs = records.iter().flat_map(|record| record.documents.iter().filter_map(theirs));
    let mut timed: Vec<_> = records.iter().filter_map(ours).chain(theirs).collect();
    timed.sort_by(|one, other| {
        one.work.cmp(&other.work).then(one.spread.median.total_cmp(&other.spread.median))
    });
    let row = |one: &Timed| {
        let (network, mode, images) = &one.work;
        let Spread { median, min, max } = one.spread;
        vec![
            format!("{network}, {mode}, {images}"),
            one.way.clone(),
            format!("{median:.2} ({min:.2} to {max:.2})"),
            format!("{:.0}", *images as f64 * 1e3 / median),
            one.rounds.to_string(),
        ]
    };
    let rows: Vec<_> = timed.iter().map(row).collect();
    let note = "Milliseconds a step: the median of n rounds, with the smallest and largest. \
                Ours are rounds of a second and bring their batch to the GPU in training; \
                PyTorch's are rounds of 0.4 s, and their batch lies there.";
    let note = note.replace(". ", ".\n");
    let columns = ["network, pass, images", "way", "ms a step", "images/s", "n"];
    table("Training and inference", &note, &columns, &rows)
}
