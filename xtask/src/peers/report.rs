//! The result of a run as text, which is Markdown, and as JSON.

use serde_json::{Map, Value, json};

use super::race::Outcome;
use super::statistics::Spread;
use super::workload::{Contender, Precision, Runtime, Workload};

/// A workload that has been run.
#[derive(Debug)]
pub struct Entry {
    /// The workload.
    pub workload: Workload,
    /// The result of each contender.
    pub results: Vec<Contestant>,
}

/// A contender and its result.
#[derive(Debug)]
pub struct Contestant {
    /// The contender.
    pub contender: Contender,
    /// Its measurements.
    pub outcome: Outcome,
    /// Of its rounds; nothing where it failed.
    pub spread: Option<Spread>,
}

impl Contestant {
    /// Rounds of a contender that failed on the way do not count.
    pub fn new(contender: Contender, outcome: Outcome) -> Self {
        let spread = Spread::of(&outcome.rounds).filter(|_| outcome.failure.is_none());
        Self { contender, outcome, spread }
    }

    fn peak_mib(&self) -> Option<u64> {
        Some(self.outcome.peak_memory? / (1 << 20))
    }
}

/// Ours against the fastest of some peers.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratio {
    /// The name of our contender.
    pub ours: &'static str,
    /// The class of peers that it is held against.
    pub class: &'static str,
    /// The fastest of them.
    pub peer: &'static str,
    /// Speed of ours relative to the peer's: 2 is twice as fast.
    pub speed: f64,
    /// Peak memory of ours relative to the peer's.
    pub memory: Option<f64>,
}

impl Entry {
    /// Ours at fp32 against the fastest fp32 peer, and ours at `auto` against the fastest of all.
    ///
    /// A ratio is left out where one of its sides failed.
    pub fn ratios(&self) -> Vec<Ratio> {
        let fp32 = |contender: &Contender| contender.precision == Precision::Fp32;
        [
            self.ratio(Precision::Fp32, "fp32 peers", fp32),
            self.ratio(Precision::Auto, "all peers", |_| true),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn ours(&self, precision: Precision) -> Option<(&Contestant, Spread)> {
        let is_it = |contender: &Contender| {
            contender.runtime == Runtime::Ours && contender.precision == precision
        };
        let ours = self.results.iter().find(|one| is_it(&one.contender))?;
        Some((ours, ours.spread?))
    }

    fn ratio(
        &self,
        precision: Precision,
        class: &'static str,
        is_in_it: impl Fn(&Contender) -> bool,
    ) -> Option<Ratio> {
        let (ours, our_spread) = self.ours(precision)?;
        let peers = self.results.iter().filter(|one| one.contender.runtime != Runtime::Ours);
        let peers = peers.filter(|one| is_in_it(&one.contender));
        let (peer, peer_spread) = peers
            .filter_map(|one| Some((one, one.spread?)))
            .min_by(|one, other| one.1.median.total_cmp(&other.1.median))?;
        let memory = ours.outcome.peak_memory.zip(peer.outcome.peak_memory);
        Some(Ratio {
            ours: ours.contender.name,
            class,
            peer: peer.contender.name,
            speed: our_spread.speed_over(&peer_spread),
            memory: memory.map(|(ours, theirs)| ours as f64 / theirs as f64),
        })
    }

    /// Those that did not finish, and why.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let failures = self.results.iter();
        failures.filter_map(|one| Some((one.contender.name, one.outcome.failure.as_deref()?)))
    }

    fn json(&self) -> Value {
        let Workload { name, mode, network, batch_size } = self.workload;
        let contender = |one: &Contestant| {
            json!({
                "name": one.contender.name,
                "precision": one.contender.precision.name(),
                "computed_in": one.outcome.ready["precision"],
                "ms_per_step": one.spread.map(|spread| {
                    json!({ "median": spread.median, "min": spread.min, "max": spread.max })
                }),
                "img_per_s": one.spread.map(|spread| spread.images_per_second(batch_size)),
                "peak_memory": one.outcome.peak_memory,
                "rounds": one.outcome.rounds,
                "steps_per_round": one.outcome.ready["steps_per_round"],
                "failure": one.outcome.failure,
            })
        };
        let ratio = |ratio: Ratio| {
            json!({
                "ours": ratio.ours, "class": ratio.class, "peer": ratio.peer,
                "speed": ratio.speed, "memory": ratio.memory,
            })
        };
        json!({
            "name": name, "mode": mode.name(), "network": network, "batch_size": batch_size,
            "contenders": self.results.iter().map(contender).collect::<Vec<_>>(),
            "ratios": self.ratios().into_iter().map(ratio).collect::<Vec<_>>(),
        })
    }

    fn markdown(&self) -> String {
        let Workload { name, mode, network, batch_size } = self.workload;
        let auto = self.ours(Precision::Auto).map(|(_, spread)| spread);
        let row = |one: &Contestant| {
            let spread = one.spread;
            let precision = one.outcome.ready["precision"].as_str().unwrap_or(NOTHING);
            let speed = spread.and_then(|spread| Some(auto?.speed_over(&spread)));
            let median = match one.outcome.failure {
                Some(_) => "failed".into(),
                None => cell(spread.map(|spread| format!("{:.2}", spread.median))),
            };
            vec![
                one.contender.name.into(),
                precision.into(),
                median,
                cell(spread.map(|spread| format!("{:.2}–{:.2}", spread.min, spread.max))),
                cell(spread.map(|spread| format!("{:.1}", spread.images_per_second(batch_size)))),
                cell(one.peak_mib().map(|mib| mib.to_string())),
                cell(speed.map(|speed| format!("{speed:.2}"))),
            ]
        };
        let header = [
            "contender",
            "computed in",
            "ms a step",
            "fastest–slowest",
            "img/s",
            "peak MiB",
            "ours auto is × as fast",
        ];
        let rows: Vec<_> = self.results.iter().map(row).collect();
        let mut text = format!(
            "## {name}\n\n{} of `{network}`, batch {batch_size}.\n\n{}",
            if mode.name() == "train" { "Training" } else { "Inference" },
            table(&header, &rows)
        );
        let failures: Vec<_> = self.failures().collect();
        if !failures.is_empty() {
            text.push('\n');
        }
        for (name, reason) in failures {
            text += &format!("- {name} failed: {reason}\n");
        }
        text
    }
}

/// The run as one JSON document.
pub fn json(machine: &Value, settings: &Value, entries: &[Entry]) -> Value {
    json!({
        "machine": machine,
        "settings": settings,
        "versions": versions(entries),
        "workloads": entries.iter().map(Entry::json).collect::<Vec<_>>(),
    })
}

/// The run as Markdown that reads well as plain text.
pub fn markdown(machine: &Value, settings: &Value, entries: &[Entry]) -> String {
    let mut text = "# This project and its peers\n\n".to_owned();
    text += "All contenders of a workload take turns, each as a process that is stopped while another is timed; \
             a time is the median of its rounds.\n\n";
    for (title, about) in
        [("machine", machine), ("settings", settings), ("versions", &versions(entries))]
    {
        text += &format!("- {title}: {}\n", line(about));
    }
    let rows: Vec<_> = entries
        .iter()
        .flat_map(|entry| entry.ratios().into_iter().map(|ratio| (entry.workload.name, ratio)))
        .map(|(workload, ratio)| {
            vec![
                workload.into(),
                ratio.ours.into(),
                format!("{}, of {}", ratio.peer, ratio.class),
                format!("{:.2}", ratio.speed),
                cell(ratio.memory.map(|memory| format!("{memory:.2}"))),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let header = ["workload", "", "against the fastest", "× as fast", "× the peak memory"];
        text += &format!("\n## Ratios\n\n{}", table(&header, &rows));
    }
    for entry in entries {
        text += &format!("\n{}", entry.markdown());
    }
    text
}

/// The versions of the libraries, as the workers report them.
fn versions(entries: &[Entry]) -> Value {
    let ready = entries.iter().flat_map(|entry| &entry.results).map(|one| &one.outcome.ready);
    let versions = ready.filter_map(|ready| ready["versions"].as_object()).flatten();
    let versions: Map<_, _> =
        versions.map(|(name, version)| (name.clone(), version.clone())).collect();
    versions.into()
}

/// An object of plain values in one line.
fn line(object: &Value) -> String {
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        Value::Null => "unknown".into(),
        other => other.to_string(),
    };
    let fields = object.as_object().into_iter().flatten();
    let fields = fields.map(|(name, value)| format!("{} {}", name.replace('_', " "), shown(value)));
    fields.collect::<Vec<_>>().join(", ")
}

/// Stands in for a missing measurement.
const NOTHING: &str = "·";

fn cell(text: Option<String>) -> String {
    text.unwrap_or_else(|| NOTHING.into())
}

/// A Markdown table with padded columns, words to the left and figures to the right.
fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let is_figure = |text: &str| text == NOTHING || text.starts_with(|c: char| c.is_ascii_digit());
    let columns: Vec<_> = header
        .iter()
        .enumerate()
        .map(|(index, title)| {
            let cells = || rows.iter().map(move |row| row[index].as_str());
            let width = cells().chain([*title]).map(|text| text.chars().count()).max();
            let figures = cells().any(|text| text != NOTHING)
                && cells().all(|text| is_figure(text) || text == "failed");
            (width.unwrap_or(0).max(3), figures)
        })
        .collect();
    let row = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(&columns).map(|(text, (width, figures))| {
            if *figures { format!("{text:>width$}") } else { format!("{text:<width$}") }
        });
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = columns.iter().map(|(width, figures)| {
        if *figures { format!("{}:", "-".repeat(width + 1)) } else { "-".repeat(width + 2) }
    });
    let rule = format!("|{}|\n", rule.collect::<Vec<_>>().join("|"));
    let mut text = row(&mut header.iter().copied()) + &rule;
    for cells in rows {
        text += &row(&mut cells.iter().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::workload::WORKLOADS;

    /// `infer-xception-16` with these medians, in the order of its contenders; NaN for a failure.
    fn entry(milliseconds: [f64; 10]) -> Entry {
        let workload = WORKLOADS[4];
        let outcome = |(contender, time): (Contender, f64)| {
            let failed = time.is_nan();
            let outcome = Outcome {
                name: contender.name.into(),
                ready: match contender.precision {
                    _ if failed => Value::Null,
                    Precision::Fp32 => {
                        json!({ "precision": "fp32", "versions": { "torch": "2.13.0" } })
                    }
                    _ => json!({ "precision": "bf16", "versions": { "openvino": "2026.4.1" } }),
                },
                rounds: if failed { vec![1.0] } else { vec![time, time + 2.0, time - 1.0] },
                peak_memory: (!failed).then_some((time * 1048576.0) as u64),
                failure: failed.then(|| "ImportError: no such thing (exit status: 1)".into()),
            };
            Contestant::new(contender, outcome)
        };
        Entry { workload, results: workload.contenders().zip(milliseconds).map(outcome).collect() }
    }

    const TIMES: [f64; 10] =
        [200.0, 80.0, 800.0, 400.0, f64::NAN, 300.0, 160.0, 300.0, 250.0, 100.0];

    #[test]
    fn ratios_are_against_the_fastest_of_the_class() {
        let ratio = |ours, class, peer, speed| Ratio {
            ours,
            class,
            peer,
            speed,
            memory: Some(1.0 / speed),
        };
        assert_eq!(
            entry(TIMES).ratios(),
            [
                ratio("ours fp32", "fp32 peers", "OpenVINO fp32", 1.25),
                ratio("ours auto", "all peers", "OpenVINO bf16", 1.25),
            ]
        );
    }

    #[test]
    fn a_failure_counts_for_nothing_and_takes_its_ratio_along() {
        let mut times = TIMES;
        times[0] = f64::NAN;
        times[9] = f64::NAN;
        let entry = entry(times);
        let ratios = entry.ratios();
        assert_eq!(ratios.len(), 1);
        assert_eq!((ratios[0].peer, ratios[0].speed), ("torch.compile bf16", 2.0));
        let failed: Vec<_> = entry.failures().map(|(name, _)| name).collect();
        assert_eq!(failed, ["ours fp32", "PyTorch bf16 channels_last", "OpenVINO bf16"]);
    }

    #[test]
    fn the_text_has_aligned_tables_ratios_and_reasons() {
        let machine = json!({ "cpu": "X", "flags": ["avx2", "amx_bf16"], "memory_mib": null });
        let text = markdown(&machine, &json!({ "threads": 2 }), &[entry(TIMES)]);
        for expected in [
            "- machine: cpu X, flags avx2 amx_bf16, memory mib unknown\n- settings: threads 2\n- versions: openvino 2026.4.1, torch 2.13.0\n",
            "| infer-xception-16 | ours auto | OpenVINO bf16, of all peers  |      1.25 |              0.80 |\n",
            "## infer-xception-16\n\nInference of `xception`, batch 16.\n\n",
            "| contender                  | computed in | ms a step | fastest–slowest | img/s | peak MiB | ours auto is × as fast |\n",
            "|----------------------------|-------------|----------:|----------------:|------:|---------:|-----------------------:|\n",
            "| ours auto                  | bf16        |     80.00 |     79.00–82.00 | 200.0 |       80 |                   1.00 |\n",
            "| PyTorch bf16 channels_last | ·           |    failed |               · |     · |        · |                      · |\n",
            "- PyTorch bf16 channels_last failed: ImportError: no such thing (exit status: 1)\n",
        ] {
            assert!(text.contains(expected), "no {expected:?} in:\n{text}");
        }
    }

    #[test]
    fn the_document_has_every_round_and_null_for_what_is_not_there() {
        let document = json(&json!({}), &json!({}), &[entry(TIMES)]);
        let workload = &document["workloads"][0];
        assert_eq!(
            workload["contenders"][1]["ms_per_step"],
            json!({ "median": 80.0, "min": 79.0, "max": 82.0 })
        );
        assert_eq!(workload["contenders"][1]["rounds"], json!([80.0, 82.0, 79.0]));
        assert_eq!(workload["contenders"][4]["ms_per_step"], Value::Null);
        assert_eq!(workload["ratios"][1]["speed"], 1.25);
        assert_eq!(document["versions"], json!({ "openvino": "2026.4.1", "torch": "2.13.0" }));
    }
}
