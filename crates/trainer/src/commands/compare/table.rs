//! The figures of both networks, for programs and for people.

use serde_json::{Value, json};

use super::contender::{Contender, Published};
use super::trial::Measured;
use crate::report::Spread;

/// The figures of `contender` in all its runs, beside the published ones.
pub(super) fn row(contender: Contender, runs: &[Measured]) -> Value {
    let all = |value: fn(&Measured) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
    let Published { top1, top5, parameters: own, steps_per_second } = contender.published();
    json!({
        "name": contender.name(), "parameters": runs.first().map(|run| run.parameters),
        "macs": runs.first().map(|run| run.macs),
        "top1": all(|run| run.top1), "top5": all(|run| run.top5),
        "training_img_per_s": all(|run| run.training),
        "inference_img_per_s": all(|run| run.inference),
        "published": {
            "top1_imagenet": top1, "top5_imagenet": top5, "parameters": own,
            "steps_per_s_60_k80": steps_per_second,
        },
    })
}

/// The table of all rows of `document`.
pub(super) fn text(document: &Value) -> String {
    let mut lines = vec![format!(
        "{:<14} {:>12} {:>14} {:>16} {:>16} {:>14} {:>14}",
        "network",
        "parameters",
        "multiply-adds",
        "top-1 %",
        "top-5 %",
        "training img/s",
        "inference"
    )];
    let networks = document["networks"].as_array().map_or(&[][..], |rows| rows);
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
    };
    for row in networks {
        lines.push(format!(
            "{:<14} {:>12} {:>14} {:>16} {:>16} {:>14} {:>14}",
            row["name"].as_str().unwrap_or("?"),
            // As text: a JSON number is not padded.
            row["parameters"].to_string(),
            row["macs"].to_string(),
            Spread::scaled(&numbers(&row["top1"]), 100.0),
            Spread::scaled(&numbers(&row["top5"]), 100.0),
            Spread::scaled(&numbers(&row["training_img_per_s"]), 1.0),
            Spread::scaled(&numbers(&row["inference_img_per_s"]), 1.0),
        ));
    }
    lines.push("\nthe paper, on ImageNet, 60 K80:".to_string());
    for row in networks {
        let published = &row["published"];
        lines.push(format!(
            "{:<14} {:>12} {:>14} {:>16} {:>16} {:>8} steps/s",
            row["name"].as_str().unwrap_or("?"),
            published["parameters"].to_string(),
            "",
            published["top1_imagenet"].to_string(),
            published["top5_imagenet"].to_string(),
            published["steps_per_s_60_k80"].to_string(),
        ));
    }
    lines.join("\n")
}
