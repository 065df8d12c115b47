//! The tables of a campaign: every figure with its n and its ends, and above them the machine, the versions and the dates.

mod provenance;
mod runs;
mod steps;

use anyhow::Result;
use serde_json::Value;

use super::record::Record;

/// Kernels that a table lists.
const KERNELS: usize = 12;

/// All tables that the records fill.
pub(super) fn markdown(records: &[Record]) -> Result<String> {
    let mut text = provenance::text(records)?;
    for table in [tests, limits, steps::table_of, first_steps, runs::table_of, depthwise, kernels] {
        text.push_str(&table(records));
    }
    Ok(text)
}

/// The text under a key, as it would be printed.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "unknown".into(),
        other => other.to_string(),
    }
}

/// A table under a heading, or nothing if it has no rows.
fn table(heading: &str, note: &str, columns: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!("\n### {heading}\n\n");
    if !note.is_empty() {
        text += &format!("{note}\n\n");
    }
    text += &format!("| {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len()));
    for row in rows {
        text += &format!("| {} |\n", row.join(" | "));
    }
    text
}

fn tests(records: &[Record]) -> String {
    let rows: Vec<_> = records
        .iter()
        .filter_map(|record| {
            let (passed, failed) = record.tests()?;
            let end = if record.exit == 0 { "" } else { ", the program did not end well" };
            Some(vec![
                format!("`{}`", record.step),
                format!("{passed} passed, {failed} failed{end}"),
            ])
        })
        .collect();
    table("Tests", "", &["step", "result"], &rows)
}

fn limits(records: &[Record]) -> String {
    let found = records.iter().filter(|record| record.step == "ceilings");
    let rows: Vec<_> = found
        .flat_map(|record| &record.documents)
        .filter_map(|found| {
            Some(vec![
                format!("{:.2} TB/s", found["copy_tb_per_s"].as_f64()?),
                format!("{:.0} TFLOP/s", found["bf16_tflop_per_s"].as_f64()?),
                found["times"].to_string(),
            ])
        })
        .collect();
    let note = "The median of n.";
    table("Limits", note, &["copied, read and written", "bf16 products", "n"], &rows)
}

fn first_steps(records: &[Record]) -> String {
    let rows: Vec<_> = records
        .iter()
        .filter(|record| record.step.starts_with("first-steps-") && record.exit == 0)
        .map(|record| {
            let shape = record.about("shape").replace(':', ", ");
            vec![shape, format!("{:.1}", record.seconds)]
        })
        .collect();
    let note = "The whole time of `xception bench --steps 1`, in seconds, of one run each.";
    table("Time to the first steps", note, &["network, images", "seconds"], &rows)
}

fn depthwise(records: &[Record]) -> String {
    let found = records.iter().filter(|record| record.step == "depthwise");
    let rows: Vec<_> = found
        .flat_map(|record| &record.documents)
        .filter_map(|found| {
            let sizes: Vec<_> = found["shape"].as_array()?.iter().map(Value::to_string).collect();
            let mut row = vec![sizes.join(" × ")];
            row.push(if found["benchmark"] == true { "tried out" } else { "by rule" }.into());
            for part in ["forward", "input", "weight"] {
                row.push(format!("{} ({})", found[part][0], found[part][1]));
            }
            row.push(found["times"].to_string());
            Some(row)
        })
        .collect();
    let note =
        "Microseconds, the median of n, and the part of the copy rate that the fewest bytes need.";
    let columns = ["shape", "choice", "forward", "gradient of the map", "of the kernels", "n"];
    table("Depthwise convolution of cuDNN", note, &columns, &rows)
}

fn kernels(records: &[Record]) -> String {
    let mut text = String::new();
    for found in records.iter().flat_map(|record| &record.documents) {
        let (Some(rows), Some(total), Some(calls)) = (
            found["kernels"].as_array(),
            found["ms_per_step"].as_f64(),
            found["kernels_per_step"].as_f64(),
        ) else {
            continue;
        };
        let rows: Vec<_> = rows
            .iter()
            .take(KERNELS)
            .filter_map(|row| {
                let name: String =
                    row[2].as_str()?.replace(['|', '`'], " ").chars().take(90).collect();
                Some(vec![
                    format!("{:.3}", row[0].as_f64()?),
                    format!("{:.0}", row[1].as_f64()?),
                    format!("`{}`", name.trim()),
                ])
            })
            .collect();
        let note = format!(
            "PyTorch's profiler over 3 steps, cuDNN's choice by {}: {total:.2} ms in {calls:.0} kernels a step.",
            if found["choice"] == "benchmark" { "trying them out" } else { "rule" }
        );
        let heading = format!(
            "Kernels of {}, {}, {} images",
            shown(&found["network"]),
            shown(&found["mode"]),
            found["batch_size"]
        );
        text.push_str(&table(&heading, &note, &["milliseconds", "calls", "kernel"], &rows));
    }
    text
}
