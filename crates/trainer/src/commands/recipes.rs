//! `xception recipes`: what the binary carries, so that a recipe of one's own can begin with one that works.

use super::print;
use crate::Error;
use crate::cli::RecipesArgs;
use crate::recipe::{NAMED, named};

pub(super) fn run(arguments: &RecipesArgs) -> Result<(), Error> {
    let Some(name) = &arguments.name else {
        let width = NAMED.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let lines = NAMED.map(|(name, text)| format!("{name:width$}  {}", result(text)));
        return print(&lines.join("\n"));
    };
    let text = named(name).ok_or_else(|| {
        let known = NAMED.map(|(name, _)| name).join(", ");
        Error::Usage(format!("no recipe '{name}'; there are {known}"))
    })?;
    print(text.trim_end())
}

/// The first line of what a recipe says it comes to.
fn result(text: &str) -> &str {
    let line = text.lines().find_map(|line| line.strip_prefix("# Result:"));
    line.map_or("", str::trim)
}
