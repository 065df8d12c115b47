//! `xception summary`: what a network is made of.

use serde_json::json;
use xception::summary::Summary;
use xception::{ModelSpec, Preset};

use super::print;
use crate::Error;
use crate::cli::SummaryArgs;

pub(super) fn run(arguments: &SummaryArgs) -> Result<(), Error> {
    let preset: Preset = arguments.preset.parse()?;
    let mut spec = ModelSpec::new(preset);
    spec.classes = arguments.classes.unwrap_or(spec.classes);
    let summary = Summary::new(
        &spec.architecture()?,
        spec.classes,
        arguments.input.unwrap_or(preset.input()),
    )?;
    let (trainable, total, macs) =
        (summary.params_trainable(), summary.params_total(), summary.macs());
    if arguments.json {
        let layer = |row: &xception::summary::LayerRow| {
            json!({
                "name": row.name, "kind": row.kind.name(), "output": row.output,
                "params": row.params, "statistics": row.statistics, "macs": row.macs,
            })
        };
        let document = json!({
            "preset": preset.to_string(), "input": summary.input, "params_trainable": trainable,
            "params_total": total, "macs": macs, "layers": summary.layers.iter().map(layer).collect::<Vec<_>>(),
        });
        return print(&format!("{document:#}"));
    }
    let mut lines = vec![format!(
        "{:<26} {:<11} {:>16} {:>12} {:>16}",
        "layer", "kind", "output", "parameters", "multiplications"
    )];
    lines.extend(summary.layers.iter().map(|row| {
        let [channels, rows, columns] = row.output;
        let output = format!("{channels}×{rows}×{columns}");
        let number = |value: u64| if value == 0 { "·".to_string() } else { grouped(value) };
        format!(
            "{:<26} {:<11} {output:>16} {:>12} {:>16}",
            row.name,
            row.kind.name(),
            number(row.params),
            number(row.macs)
        )
    }));
    lines.push(format!(
        "\n{preset} at {input}×{input}: {} trainable parameters, {} with batch-norm statistics, {} multiply-accumulates a picture",
        grouped(trainable),
        grouped(total),
        grouped(macs),
        input = summary.input,
    ));
    print(&lines.join("\n"))
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
    #[test]
    fn digits_stand_in_threes() {
        assert_eq!(
            [0, 12, 999, 1000, 22_855_952].map(super::grouped),
            ["0", "12", "999", "1,000", "22,855,952"]
        );
    }
}
