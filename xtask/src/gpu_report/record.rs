//! The records that a campaign leaves, one JSON file a step (`xtask/gpu/record.py` writes them).

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::failure::usage;

/// A step that has run.
#[derive(Debug)]
pub(super) struct Record {
    /// Its name.
    pub(super) step: String,
    /// The exit code of its command; 124 where its time was over.
    pub(super) exit: i64,
    /// The time that it took, in seconds.
    pub(super) seconds: f64,
    /// When it ended, in UTC.
    pub(super) date: String,
    /// The JSON documents that it printed.
    pub(super) documents: Vec<Value>,
    whole: Value,
}

impl Record {
    fn parse(text: &str) -> Result<Self> {
        let whole: Value = serde_json::from_str(text)?;
        let word = |key: &str| {
            whole[key].as_str().map(str::to_owned).with_context(|| format!("no text under `{key}`"))
        };
        if whole["dry_run"] == true {
            bail!("it is of a dry run, which measures nothing");
        }
        Ok(Self {
            step: word("step")?,
            exit: whole["exit"].as_i64().context("no number under `exit`")?,
            seconds: whole["seconds"].as_f64().context("no number under `seconds`")?,
            date: word("date")?,
            documents: whole["documents"].as_array().context("no list under `documents`")?.clone(),
            whole,
        })
    }

    /// A word that the campaign says about the step; empty where it says nothing.
    pub(super) fn about(&self, key: &str) -> &str {
        self.whole["about"][key].as_str().unwrap_or("")
    }

    /// Tests that passed and failed, of a test program.
    pub(super) fn tests(&self) -> Option<(u64, u64)> {
        let tests = &self.whole["tests"];
        Some((tests["passed"].as_u64()?, tests["failed"].as_u64()?))
    }
}

/// The records in `folder`, or in `results` in it, in the order in which they ended.
pub(super) fn read(folder: &Path) -> Result<Vec<Record>> {
    let inner = folder.join("results");
    let folder = if inner.is_dir() { inner.as_path() } else { folder };
    let shown = folder.display();
    let entries = fs::read_dir(folder).map_err(|err| usage(format!("{shown}: {err}")))?;
    let mut records = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = fs::read_to_string(&path);
            let text = text.with_context(|| format!("cannot read {}", path.display()))?;
            let record = Record::parse(&text);
            records.push(
                record.with_context(|| {
                    format!("{}: no record of a campaign's step", path.display())
                })?,
            );
        }
    }
    if records.is_empty() {
        return Err(usage(format!(
            "{shown} has no records (*.json): name the folder that `campaign.sh` wrote its results to"
        )));
    }
    records.sort_by(|one, other| (&one.date, &one.step).cmp(&(&other.date, &other.step)));
    Ok(records)
}
