//! The table of whole runs: accuracy and time over seeds.

use serde_json::Value;

use super::table;
use crate::gpu_report::record::Record;
use crate::peers::statistics::Spread;

/// A run that ended.
struct Run {
    recipe: String,
    program: String,
    epochs: String,
    /// Of the test set, in percent.
    accuracy: f64,
    seconds: f64,
}

impl Run {
    /// Ours as `results.json` describes it, with what the campaign says; PyTorch's as `listing.py` does.
    fn of(record: &Record, found: &Value) -> Option<Self> {
        let top1 = found["last"]["top1"].as_f64().or(found["top1"].as_f64())?;
        let (recipe, program) = match found["program"].as_str() {
            Some(program) => (found["recipe"].as_str()?, program),
            None => (record.about("recipe"), record.about("program")),
        };
        Some(Self {
            recipe: recipe.to_owned(),
            program: program.to_owned(),
            epochs: found["epochs"].to_string(),
            accuracy: top1 * 100.0,
            seconds: found["seconds"].as_f64()?,
        })
    }

    /// Runs with the same key differ in their seed only.
    fn key(&self) -> (&str, &str, &str) {
        (&self.recipe, &self.program, &self.epochs)
    }
}

/// Runs of one recipe by one program in a row.
pub(super) fn table_of(records: &[Record]) -> String {
    let ended = records.iter().filter(|record| record.exit == 0);
    let mut runs: Vec<_> = ended
        .flat_map(|record| record.documents.iter().filter_map(|found| Run::of(record, found)))
        .collect();
    runs.sort_by(|one, other| one.key().cmp(&other.key()));
    let rows: Vec<_> = runs.chunk_by(|one, other| one.key() == other.key()).map(row).collect();
    let note = "The median of n runs, with the smallest and largest.";
    let columns = ["recipe", "program", "epochs", "accuracy, %", "seconds", "n"];
    table("Whole runs", note, &columns, &rows)
}

fn row(same: &[Run]) -> Vec<String> {
    let spread = |of: fn(&Run) -> f64, digits: usize| {
        let values: Vec<f64> = same.iter().map(of).collect();
        Spread::of(&values).map_or(String::new(), |Spread { median, min, max }| {
            format!("{median:.digits$} ({min:.digits$} to {max:.digits$})")
        })
    };
    let (recipe, program, epochs) = same[0].key();
    vec![
        recipe.to_owned(),
        format!("`{program}`"),
        epochs.to_owned(),
        spread(|run| run.accuracy, 2),
        spread(|run| run.seconds, 1),
        same.len().to_string(),
    ]
}
