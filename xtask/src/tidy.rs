//! `cargo xtask tidy`: the rules of this project that a program can check.
//!
//! Each message says what to do. Rules that need judgement are left to the reader of a change.

mod arrows;
mod docs;
mod glossary;
mod kernels;
mod lexer;
mod markdown;
mod modules;
mod prose;
mod ranks;
mod recipes;
mod sources;
mod tokens;
mod tree;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::workspace::Workspace;

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, relative to the workspace.
    pub path: PathBuf,
    /// The line, counted from 1; 0 for the whole file.
    pub line: usize,
    /// Says what is wrong and what to do.
    pub message: String,
}

impl Problem {
    fn new(path: &Path, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path.display();
        match self.line {
            0 => write!(f, "{path}: {}", self.message),
            line => write!(f, "{path}:{line}: {}", self.message),
        }
    }
}

/// Prints every problem of the workspace.
///
/// # Errors
///
/// When there is one, or a file cannot be read.
pub fn run(workspace: &Workspace) -> Result<()> {
    let problems = check(workspace.root())?;
    for problem in &problems {
        eprintln!("{problem}");
    }
    match problems.len() {
        0 => Ok(()),
        1 => bail!("tidy found one problem"),
        n => bail!("tidy found {n} problems"),
    }
}

/// All problems of the checkout at `root`, by file and line.
///
/// # Errors
///
/// When a file cannot be read.
pub fn check(root: &Path) -> Result<Vec<Problem>> {
    let files = tree::files(root)?;
    let mut problems = tree::check(&files);
    modules::check(&files, &mut problems);
    glossary::check(&files, &mut problems);
    kernels::check(root, &mut problems)?;
    for file in &files {
        match file.extension() {
            "rs" => {
                sources::check(file, &mut problems);
                ranks::check(file, &mut problems);
            }
            "md" => docs::check(root, file, &mut problems),
            "toml" if file.name() == "Cargo.toml" => arrows::check(file, &mut problems),
            "toml" if file.path.starts_with("crates/trainer/recipes") => {
                recipes::check(file, &mut problems)
            }
            _ => {}
        }
    }
    problems.sort();
    Ok(problems)
}
