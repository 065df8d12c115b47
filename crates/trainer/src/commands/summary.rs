//! `xception summary`: the layers of a network.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "these comments are what --help prints, where brackets mean an option"
)]

use clap::Args;
use serde_json::{Value, json};
use xception::summary::{LayerRow, Summary};
use xception::{ModelSpec, Preset};

use super::bench::layers;
use super::print;
use crate::commands::Error;

/// Flags of `xception summary`.
#[derive(Debug, Args)]
pub struct SummaryArgs {
    /// The network
    #[arg(long, value_name = "PRESET")]
    pub preset: String,
    /// Rows and columns of the images [default: the preset's]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(i64).range(1..=8192))]
    pub input: Option<i64>,
    /// Length of the logits [default: the preset's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=1_000_000))]
    pub classes: Option<i64>,
    /// Run it as well, and show each layer's share of the time of a forward pass over one image
    #[arg(long)]
    pub time: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(arguments: &SummaryArgs) -> Result<(), Error> {
    let preset: Preset = arguments.preset.parse()?;
    let mut spec = ModelSpec::new(preset);
    spec.classes = arguments.classes.unwrap_or(spec.classes);
    let summary = Summary::new(
        &spec.architecture()?,
        spec.classes,
        arguments.input.unwrap_or(preset.input()),
    )?;
    let shares = if arguments.time {
        layers::shares(&spec, &summary)?
    } else {
        vec![None; summary.layers.len()]
    };
    print(&if arguments.json {
        format!("{:#}", to_json(preset, &summary, &shares))
    } else {
        to_text(preset, &summary, &shares, arguments.time)
    })
}

fn to_json(preset: Preset, summary: &Summary, shares: &[Option<f64>]) -> Value {
    let layer = |(row, share): (&LayerRow, &Option<f64>)| {
        json!({
            "name": row.name, "kind": row.kind.name(), "output": row.output, "activations": row.activations,
            "params": row.params, "statistics": row.statistics, "macs": row.macs, "macs_regular": row.macs_regular,
            "params_regular": row.params_regular, "time_share": share,
        })
    };
    json!({
        "preset": preset.to_string(), "input": summary.input, "params_trainable": summary.params_trainable(),
        "params_total": summary.params_total(), "macs": summary.macs(), "activations": summary.activations(),
        "macs_regular": summary.macs_regular(), "params_regular": summary.params_regular(),
        "macs_ratio": ratio(summary.macs_regular(), summary.macs()),
        "params_ratio": ratio(summary.params_regular(), summary.params_trainable()),
        "layers": summary.layers.iter().zip(shares).map(layer).collect::<Vec<_>>(),
    })
}

/// The heading over the columns that say what regular convolutions would cost.
const AS_REGULAR: &str = "as regular convolutions";

fn ratio(regular: u64, separable: u64) -> f64 {
    regular as f64 / separable as f64
}

fn to_text(preset: Preset, summary: &Summary, shares: &[Option<f64>], timed: bool) -> String {
    let time = |text: &str| if timed { format!(" {text:>7}") } else { String::new() };
    let width = summary.layers.iter().map(|row| row.name.len()).max().unwrap_or(0);
    // Over the last two columns.
    let over = format!("{:>1$}", AS_REGULAR, width + 101);
    let mut lines = vec![
        over,
        format!(
            "{:<width$} {:<11} {:>16} {:>12} {:>16} {:>11} {:>12} {:>16}{}",
            "layer",
            "kind",
            "output",
            "parameters",
            "multiplications",
            "activations",
            "parameters",
            "multiplications",
            time("time")
        ),
    ];
    lines.extend(summary.layers.iter().zip(shares).map(|(row, share)| {
        let [channels, rows, columns] = row.output;
        let output = format!("{channels}×{rows}×{columns}");
        let number = |value: u64| if value == 0 { "·".to_string() } else { grouped(value) };
        format!(
            "{:<width$} {:<11} {output:>16} {:>12} {:>16} {:>11} {:>12} {:>16}{}",
            row.name,
            row.kind.name(),
            number(row.params),
            number(row.macs),
            number(row.activations),
            number(row.params_regular),
            number(row.macs_regular),
            time(&share.map_or("·".to_string(), |share| format!("{:.1} %", 100.0 * share)))
        )
    }));
    lines.push(format!(
        "\n{preset} at {input}×{input}: {} trainable parameters, {} with batch-norm statistics, {} \
         multiply-accumulates and {} activations an image",
        grouped(summary.params_trainable()),
        grouped(summary.params_total()),
        grouped(summary.macs()),
        grouped(summary.activations()),
        input = summary.input,
    ));
    lines.push(format!(
        "With regular convolutions in place of the separable ones: {} trainable parameters and {} multiply-accumulates, \
         {:.2} and {:.2} times as many",
        grouped(summary.params_regular()),
        grouped(summary.macs_regular()),
        ratio(summary.params_regular(), summary.params_trainable()),
        ratio(summary.macs_regular(), summary.macs()),
    ));
    if timed {
        lines.push(
            "Layers that one kernel computes have their time at the first of them.".to_string(),
        );
    }
    lines.join("\n")
}

/// Digits in threes.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let first = digits.len() % 3;
    let groups = digits.as_bytes()[first..]
        .chunks(3)
        .map(|group| String::from_utf8_lossy(group).into_owned());
    let head = (first > 0).then(|| digits[..first].to_string());
    head.into_iter().chain(groups).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use xception::ModelSpec;

    use super::*;

    /// A middle block that is applied seven times is timed and counted as often.
    #[test]
    fn shares_of_all_layers_are_the_whole() {
        let spec = ModelSpec::new(Preset::PlainShared);
        let summary = Summary::new(&spec.architecture().unwrap(), 10, 32).unwrap();
        let shares = layers::shares(&spec, &summary).unwrap();
        let whole: f64 = shares.iter().flatten().sum();
        assert!((whole - 1.0).abs() < 1e-9, "{whole}");
        let text = to_text(Preset::PlainShared, &summary, &shares, true);
        assert_eq!(text.matches(" %").count(), shares.iter().flatten().count(), "{text}");
        let document = to_json(Preset::PlainShared, &summary, &shares);
        assert_eq!(document["layers"][0]["activations"], 32 * 15 * 15);
        assert_eq!(document["layers"].as_array().unwrap().len(), summary.layers.len());
    }

    /// A middle layer of 728 to 728 channels on 19×19 pixels: 9 · 728 · 728 weights, at the depthwise half.
    #[test]
    fn a_separable_layer_stands_beside_its_regular_convolution() {
        let spec = ModelSpec::new(Preset::Xception);
        let summary = Summary::new(&spec.architecture().unwrap(), 1000, 299).unwrap();
        let untimed = vec![None; summary.layers.len()];
        let text = to_text(Preset::Xception, &summary, &untimed, false);
        let cells = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().skip(3).map(str::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            cells("block4.rep.1.conv1 "),
            ["6,552", "2,365,272", "262,808", "4,769,856", "1,721,918,016"]
        );
        assert_eq!(
            cells("block4.rep.1.pointwise "),
            ["529,984", "191,324,224", "262,808", "·", "·"]
        );
        let [over, heads] = [0, 1].map(|line| text.lines().nth(line).unwrap().chars().count());
        assert_eq!(over, heads, "{text}");
        let document = to_json(Preset::Xception, &summary, &untimed);
        assert_eq!(document["macs_regular"], summary.macs_regular());
        assert_eq!(document["layers"][0]["params_regular"], 32 * 3 * 9);
    }

    #[test]
    fn digits_stand_in_threes() {
        assert_eq!(
            [0, 12, 999, 1000, 22_855_952].map(grouped),
            ["0", "12", "999", "1,000", "22,855,952"]
        );
    }
}
