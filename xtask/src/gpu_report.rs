//! `cargo xtask gpu-report DIR`: the results of a campaign on a machine with a GPU, as tables in docs/measurements/gpu.md.

mod record;
mod tables;

use std::fs;

use anyhow::{Context, Result, bail};

use crate::cli::GpuReportArgs;
use crate::durable;
use crate::workspace::Workspace;

/// The page.
const PAGE: &str = "docs/measurements/gpu.md";
/// The lines between which the tables stand.
const BEGIN: &str = "<!-- gpu-report: begin -->";
const END: &str = "<!-- gpu-report: end -->";

/// Reads the records, and writes their tables between the page's markers.
///
/// # Errors
///
/// When there are no records, when they are those of a dry run, when nothing says which machine they are of, or when the
/// page has no markers.
pub fn run(workspace: &Workspace, args: &GpuReportArgs) -> Result<()> {
    let records = record::read(&args.results)?;
    let tables = tables::markdown(&records)?;
    let page = workspace.root().join(PAGE);
    let text = fs::read_to_string(&page).with_context(|| format!("cannot read {PAGE}"))?;
    durable::write(&page, &between_markers(&text, &tables)?)?;
    eprintln!("wrote {} records into {PAGE}", records.len());
    Ok(())
}

/// `page` with `tables` in place of whatever stands between the markers.
fn between_markers(page: &str, tables: &str) -> Result<String> {
    let place = |marker: &str| {
        let mut places = page.match_indices(marker).map(|(place, _)| place);
        match (places.next(), places.next()) {
            (Some(place), None) => Ok(place),
            (found, _) => bail!(
                "{PAGE} has {} `{marker}`: put it once where the tables shall begin or end",
                if found.is_some() { "more than one" } else { "no" }
            ),
        }
    };
    let (begin, end) = (place(BEGIN)? + BEGIN.len(), place(END)?);
    if begin > end {
        bail!("{PAGE} has `{END}` before `{BEGIN}`: put them in order");
    }
    Ok(format!("{}\n\n{}\n\n{}", &page[..begin], tables.trim(), &page[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_outside_the_markers_stays() {
        let page = format!("# By hand\n\n{BEGIN}\nold\n{END}\n\nAlso by hand.\n");
        let written = between_markers(&page, "new\n").unwrap();
        assert_eq!(written, format!("# By hand\n\n{BEGIN}\n\nnew\n\n{END}\n\nAlso by hand.\n"));
        assert_eq!(between_markers(&written, "new").unwrap(), written);
    }

    #[test]
    fn markers_that_are_missing_doubled_or_crossed_are_named() {
        for (page, expected) in [
            (END.to_owned(), format!("has no `{BEGIN}`")),
            (BEGIN.to_owned(), format!("has no `{END}`")),
            (format!("{BEGIN}{BEGIN}{END}"), format!("has more than one `{BEGIN}`")),
            (format!("{END}{BEGIN}"), format!("has `{END}` before")),
        ] {
            let error = between_markers(&page, "").unwrap_err().to_string();
            assert!(error.contains(&expected), "{error}");
        }
    }
}
