//! Compares the values that TensorBoard read with those that the run wrote, both ways.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::Value;

use super::run_files::Scalar;

/// Seconds between the clock readings for the two files.
const SAME_TIME: f64 = 1.0;

/// The prefix of a histogram's tag, before the name of a tensor.
const WEIGHTS: &str = "weights/";

/// The result.
#[derive(Debug, Default)]
pub struct Report {
    /// The values that were compared, one line per kind.
    pub compared: String,
    /// The values that differ.
    pub differences: Vec<String>,
}

/// Compares the document of `read_events.py` with the numbers of `metrics.jsonl` and, where there is one, the number of
/// elements of every tensor of the last weights.
pub fn compare(
    read: &Value,
    written: &[Scalar],
    weights: Option<&BTreeMap<String, u64>>,
) -> Report {
    let mut report = Report::default();
    files(read, &mut report);
    scalars(read, written, &mut report);
    images(read, &mut report);
    histograms(read, written, weights, &mut report);
    report
}

impl Report {
    fn say(&mut self, line: std::fmt::Arguments) {
        writeln!(self.compared, "{line}").expect("text takes text");
    }

    fn differ(&mut self, difference: String) {
        self.differences.push(difference);
    }
}

/// The entries of a list of the document.
fn entries<'a>(read: &'a Value, kind: &str) -> &'a [Value] {
    read[kind].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry[key].as_str().unwrap_or("?")
}

fn step(entry: &Value) -> u64 {
    entry["step"].as_u64().unwrap_or(0)
}

fn files(read: &Value, report: &mut Report) {
    let files = entries(read, "files");
    let records: u64 = files.iter().filter_map(|file| file["records"].as_u64()).sum();
    report.say(format_args!(
        "TensorBoard {} read {records} events of {} file(s) in tb/",
        text(read, "version"),
        files.len()
    ));
    if files.is_empty() {
        report.differ("tb/ holds no event file".into());
    }
    for file in files {
        if let Some(problem) = file["problem"].as_str() {
            report.differ(format!("{} is damaged: {problem}", text(file, "name")));
        }
    }
}

/// Time and value of each measurement by tag and step.
type Measured = BTreeMap<(String, u64), Vec<(f64, Option<f32>)>>;

fn scalars(read: &Value, written: &[Scalar], report: &mut Report) {
    let (mut found, mut expected) = (Measured::new(), Measured::new());
    for entry in entries(read, "scalars") {
        let value = entry["value"].as_f64().map(|value| value as f32);
        let measured = (entry["time"].as_f64().unwrap_or(f64::NAN), value);
        found.entry((text(entry, "tag").into(), step(entry))).or_default().push(measured);
    }
    for scalar in written {
        let key = (scalar.tag.clone(), scalar.step);
        expected.entry(key).or_default().push((scalar.time, scalar.value));
    }
    let tags: BTreeSet<_> = expected.keys().map(|(tag, _)| tag.as_str()).collect();
    let steps: BTreeSet<_> = expected.keys().map(|(_, step)| step).collect();
    report.say(format_args!(
        "scalars: {} values of metrics.jsonl at {} steps, of {}",
        written.len(),
        steps.len(),
        tags.into_iter().collect::<Vec<_>>().join(", ")
    ));
    let keys: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    for key @ (tag, step) in keys {
        let place = format!("{tag} at step {step}");
        match (found.get(key).map(Vec::as_slice), expected.get(key).map(Vec::as_slice)) {
            (None, _) => report.differ(format!("{place} is in metrics.jsonl only")),
            (_, None) => report.differ(format!("{place} is in tb/ only")),
            (Some([found]), Some([expected])) => {
                if found.1 != expected.1 {
                    report.differ(format!(
                        "{place} is {} in tb/ and {} in metrics.jsonl",
                        shown(found.1),
                        shown(expected.1)
                    ));
                }
                if (found.0 - expected.0).abs() > SAME_TIME {
                    report.differ(format!(
                        "{place} was written at {} s in tb/ and at {} s in metrics.jsonl",
                        found.0, expected.0
                    ));
                }
            }
            (Some(found), Some(expected)) => report.differ(format!(
                "{place} is {} time(s) in tb/ and {} time(s) in metrics.jsonl, where 1 is expected",
                found.len(),
                expected.len()
            )),
        }
    }
}

fn shown(value: Option<f32>) -> String {
    value.map_or("not finite".into(), |value| value.to_string())
}

fn images(read: &Value, report: &mut Report) {
    let images = entries(read, "images");
    let sizes: Vec<_> = images
        .iter()
        .map(|image| format!("{} {}×{}", text(image, "tag"), image["said"][0], image["said"][1]))
        .collect();
    report.say(format_args!("images: {} to decode {sizes:?}", images.len()));
    for image in images {
        let place = format!("the image {} at step {}", text(image, "tag"), step(image));
        match image["problem"].as_str() {
            Some(problem) => report.differ(format!("{place} cannot be decoded: {problem}")),
            None if image["decoded"] != image["said"] => report.differ(format!(
                "{place} says that it is of {} pixels and is of {}",
                image["said"], image["decoded"]
            )),
            None => {}
        }
    }
}

fn histograms(
    read: &Value,
    written: &[Scalar],
    weights: Option<&BTreeMap<String, u64>>,
    report: &mut Report,
) {
    // Once an epoch, when the network has been measured on the test set.
    let epochs: BTreeSet<u64> = written
        .iter()
        .filter(|scalar| scalar.tag.starts_with("val/"))
        .map(|scalar| scalar.step)
        .collect();
    let histograms = entries(read, "histograms");
    let mut by_tag: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let mut values = 0.0;
    for histogram in histograms {
        let tag = text(histogram, "tag");
        by_tag.entry(tag).or_default().push(step(histogram));
        let place = format!("the histogram {tag} at step {}", step(histogram));
        let number = |key: &str| histogram[key].as_f64().unwrap_or(f64::NAN);
        let (num, in_buckets) = (number("num"), number("in_buckets"));
        values += num;
        if num != in_buckets {
            report.differ(format!("{place} has {num} values and {in_buckets} in its buckets"));
        }
        if histogram["in_order"] != true {
            report.differ(format!("{place} has buckets that do not go from its min to its max"));
        }
        let Some((name, weights)) = tag.strip_prefix(WEIGHTS).zip(weights) else { continue };
        match weights.get(name) {
            None => report.differ(format!("{place} is of no tensor in last.safetensors")),
            Some(elements) if *elements as f64 != num => report.differ(format!(
                "{place} has {num} values, and {name} in last.safetensors {elements}"
            )),
            Some(_) => {}
        }
    }
    let against = if weights.is_some() { "last.safetensors" } else { "their own buckets only" };
    report.say(format_args!(
        "histograms: {} of {} tags and {values} values, counted against {against}",
        histograms.len(),
        by_tag.len()
    ));
    for (tag, steps) in by_tag {
        if steps != epochs.iter().copied().collect::<Vec<_>>() {
            report.differ(format!(
                "the histograms {tag} are of steps {steps:?}, where epochs ended at {epochs:?}"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written() -> Vec<Scalar> {
        let scalar = |tag: &str, value| Scalar { tag: tag.into(), step: 79, time: 5.0, value };
        vec![scalar("lr", Some(0.1)), scalar("train/loss", None), scalar("val/loss", Some(2.5))]
    }

    fn weights() -> BTreeMap<String, u64> {
        [("fc.weight".to_string(), 6), ("bn1.running_mean".to_string(), 3)].into()
    }

    /// As `read_events.py` prints it; 0.1 as float32 has it.
    fn read() -> Value {
        let scalar = |tag: &str, value: Value| json!({ "tag": tag, "step": 79, "time": 5.001, "value": value });
        json!({
            "version": "2", "files": [{ "name": "f", "records": 4, "problem": null }],
            "scalars": [
                scalar("lr", json!(0.10000000149011612)), scalar("train/loss", Value::Null), scalar("val/loss", json!(2.5)),
            ],
            "images": [{ "tag": "samples", "step": 1, "said": [9, 8], "decoded": [9, 8], "problem": null }],
            "histograms": [
                { "tag": "weights/fc.weight", "step": 79, "num": 6.0, "in_buckets": 6.0, "in_order": true },
            ],
        })
    }

    #[test]
    fn equal_values_are_counted() {
        let report = compare(&read(), &written(), Some(&weights()));
        assert_eq!(report.differences, Vec::<String>::new());
        assert_eq!(
            report.compared,
            "TensorBoard 2 read 4 events of 1 file(s) in tb/\n\
             scalars: 3 values of metrics.jsonl at 1 steps, of lr, train/loss, val/loss\n\
             images: 1 to decode [\"samples 9×8\"]\n\
             histograms: 1 of 1 tags and 6 values, counted against last.safetensors\n"
        );
        let report = compare(&read(), &written(), None);
        assert!(report.compared.ends_with("against their own buckets only\n"));
    }

    /// The differences after `pointer` of the document became `value`.
    #[track_caller]
    fn check(pointer: &str, value: Value, expected: &[&str]) {
        let mut read = read();
        *read.pointer_mut(pointer).unwrap() = value;
        assert_eq!(compare(&read, &written(), Some(&weights())).differences, expected, "{pointer}");
    }

    #[test]
    fn scalars_must_be_the_same_both_ways() {
        let value = "/scalars/0/value";
        check(value, json!(0.1), &[]);
        check(
            value,
            json!(0.1000001),
            &["lr at step 79 is 0.1000001 in tb/ and 0.1 in metrics.jsonl"],
        );
        check(value, Value::Null, &["lr at step 79 is not finite in tb/ and 0.1 in metrics.jsonl"]);
        let moved = ["lr at step 78 is in tb/ only", "lr at step 79 is in metrics.jsonl only"];
        check("/scalars/0/step", json!(78), &moved);
        let twice =
            "lr at step 79 is 2 time(s) in tb/ and 1 time(s) in metrics.jsonl, where 1 is expected";
        check(
            "/scalars/1/tag",
            json!("lr"),
            &[twice, "train/loss at step 79 is in metrics.jsonl only"],
        );
        let late = "lr at step 79 was written at 9 s in tb/ and at 5 s in metrics.jsonl";
        check("/scalars/0/time", json!(9.0), &[late]);
    }

    #[test]
    fn damage_is_named() {
        check("/files", json!([]), &["tb/ holds no event file"]);
        check("/files/0/problem", json!("record 3: crc"), &["f is damaged: record 3: crc"]);
        let image = "the image samples at step 1";
        let size = format!("{image} says that it is of [9,8] pixels and is of [8,9]");
        check("/images/0/decoded", json!([8, 9]), &[&size]);
        let broken = format!("{image} cannot be decoded: no PNG");
        check("/images/0/problem", json!("no PNG"), &[&broken]);
    }

    #[test]
    fn histograms_must_hold_all_weights() {
        let place = "the histogram weights/fc.weight at step 79";
        check(
            "/histograms/0/num",
            json!(5.0),
            &[
                &format!("{place} has 5 values and 6 in its buckets"),
                &format!("{place} has 5 values, and fc.weight in last.safetensors 6"),
            ],
        );
        let order = format!("{place} has buckets that do not go from its min to its max");
        check("/histograms/0/in_order", json!(false), &[&order]);
        let unknown =
            place.replace("fc.weight", "fc.bias") + " is of no tensor in last.safetensors";
        check("/histograms/0/tag", json!("weights/fc.bias"), &[&unknown]);
        let steps =
            "the histograms weights/fc.weight are of steps [80], where epochs ended at {79}";
        check("/histograms/0/step", json!(80), &[steps]);
    }
}
