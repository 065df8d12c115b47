//! `cargo xtask doctor`: what is installed, what is missing, and the command that mends it.

mod build;
mod machine;

use std::io::Write;

use anyhow::{Result, bail};

use crate::cache::Cache;
use crate::workspace::Workspace;

/// The weight of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// All is well, or it is only for information.
    Fine,
    /// Something is missing that only some uses need.
    Note,
    /// A build cannot work.
    Broken,
}

/// One line of the report.
#[derive(Debug)]
struct Finding {
    subject: &'static str,
    weight: Weight,
    what: String,
    cure: Option<String>,
}

impl Finding {
    fn fine(subject: &'static str, what: impl Into<String>) -> Self {
        Self { subject, weight: Weight::Fine, what: what.into(), cure: None }
    }

    fn note(subject: &'static str, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { subject, weight: Weight::Note, what: what.into(), cure: Some(cure.into()) }
    }

    fn broken(subject: &'static str, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { subject, weight: Weight::Broken, what: what.into(), cure: Some(cure.into()) }
    }
}

/// Prints the report.
///
/// # Errors
///
/// When a build cannot work.
pub fn run(workspace: &Workspace) -> Result<()> {
    let cache = Cache::from_env()?;
    let mut findings = build::examine(workspace);
    findings.extend(machine::examine(workspace, &cache));
    let mut stdout = std::io::stdout().lock();
    for finding in &findings {
        let mark = match finding.weight {
            Weight::Fine => "ok",
            Weight::Note => "note",
            Weight::Broken => "BROKEN",
        };
        writeln!(stdout, "{mark:<7}{:<14}{}", finding.subject, finding.what)?;
        if let Some(cure) = &finding.cure {
            writeln!(stdout, "{:<21}-> {cure}", "")?;
        }
    }
    let broken = findings.iter().filter(|finding| finding.weight == Weight::Broken).count();
    match broken {
        0 => Ok(()),
        1 => bail!("a build cannot work: one thing is broken"),
        n => bail!("a build cannot work: {n} things are broken"),
    }
}
