//! The origin of the figures of a campaign: the sentences above its tables.

use anyhow::{Context, Result};

use super::shown;
use crate::gpu_report::record::Record;

/// The machine, the versions, the programs, the dates, and what failed: one sentence a line.
pub(super) fn text(records: &[Record]) -> Result<String> {
    let machine = records.iter().find(|record| record.step == "machine").context(
        "no record of the step `machine`: figures of an unknown machine are not written; \
         take all records of the campaign, of which it is the first",
    )?;
    let found = machine.documents.first().context(
        "the record of the step `machine` is empty: see machine.log for what went wrong",
    )?;
    let gpu = &found["gpu"];
    let mut text = String::from(
        "`cargo xtask gpu-report` wrote what stands between the two markers; changes there are lost.\n",
    );
    text += &format!(
        "Machine: {} ({}), driver {}, {} CPU cores.\n",
        shown(&gpu["name"]),
        shown(&gpu["memory.total"]),
        shown(&gpu["driver_version"]),
        found["cores"],
    );
    text += &format!(
        "Libraries: PyTorch {} with CUDA {} and cuDNN {}, Python {}.\n",
        shown(&found["torch"]),
        shown(&found["cuda"]),
        found["cudnn"],
        shown(&found["python"]),
    );
    text += &format!(
        "Programs: commit {}{}, libtorch {} through tch {}.\n",
        machine.about("commit"),
        if machine.about("changed") == "yes" { ", with changes that are not in it" } else { "" },
        machine.about("libtorch"),
        machine.about("tch"),
    );
    let ends = |at: Option<&Record>| at.map_or("", |record| record.date.as_str()).to_owned();
    text += &format!(
        "Command: `campaign.sh`, {} steps between {} and {}; each program ran by itself, one after the other and not in turns.\n",
        records.len(),
        ends(records.first()),
        ends(records.last()),
    );
    let failed: Vec<_> = records
        .iter()
        .filter(|record| record.exit != 0)
        .map(|record| match record.exit {
            124 | 137 => format!("`{}` (its time was over)", record.step),
            code => format!("`{}` (exit code {code})", record.step),
        })
        .collect();
    if !failed.is_empty() {
        text += &format!("Failed: {}.\n", failed.join(", "));
    }
    Ok(text)
}
