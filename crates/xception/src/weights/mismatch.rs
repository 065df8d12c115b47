//! Every problem of a set of tensors in one error.

use std::fmt;

/// One tensor that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The network has it, the file does not.
    Missing {
        /// Its name.
        name: String,
    },
    /// The file has it, the network does not.
    Unexpected {
        /// Its name.
        name: String,
    },
    /// Both have it, with different shapes.
    Shape {
        /// Its name.
        name: String,
        /// The network's shape.
        expected: Vec<i64>,
        /// The file's shape.
        got: Vec<i64>,
    },
    /// Names that stand for one tensor hold different values.
    Unequal {
        /// The first name.
        name: String,
        /// The name that disagrees with it.
        other: String,
    },
}

impl Problem {
    fn sort(&self) -> &'static str {
        match self {
            Problem::Missing { .. } => "missing",
            Problem::Unexpected { .. } => "unexpected",
            Problem::Shape { .. } => "of another shape",
            Problem::Unequal { .. } => "unequal",
        }
    }
}

/// Tensors that do not fit a network.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// Every problem.
    pub problems: Vec<Problem>,
}

impl Mismatch {
    /// An error unless `problems` is empty.
    pub(crate) fn check(problems: Vec<Problem>) -> Result<(), Mismatch> {
        if problems.is_empty() { Ok(()) } else { Err(Mismatch { problems }) }
    }
}

/// Lines of each sort in a message; the rest are counted.
const SPELLED_OUT: usize = 12;

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the weights do not fit the model in {} places", self.problems.len())?;
        for sort in ["missing", "unexpected", "of another shape", "unequal"] {
            let lines: Vec<String> =
                self.problems.iter().filter(|problem| problem.sort() == sort).map(line).collect();
            if !lines.is_empty() {
                write!(f, "\n  {} {sort}:", lines.len())?;
            }
            lines.iter().take(SPELLED_OUT).try_for_each(|line| write!(f, "\n    {line}"))?;
            if lines.len() > SPELLED_OUT {
                write!(f, "\n    … and {} more", lines.len() - SPELLED_OUT)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Mismatch {}

fn line(problem: &Problem) -> String {
    match problem {
        Problem::Missing { name } | Problem::Unexpected { name } => name.clone(),
        Problem::Shape { name, expected, got } => {
            format!("{name}: expected {expected:?}, got {got:?}")
        }
        Problem::Unequal { name, other } => {
            format!("{other} differs from {name}, though both are one tensor")
        }
    }
}
