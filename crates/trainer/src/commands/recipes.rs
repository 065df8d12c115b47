//! `xception recipes`: lists and prints the recipes that are built in.

use super::print;
use crate::commands::{Error, Refusal};
use crate::did_you_mean;
use crate::recipe::{NAMED, named};
use clap::Args;

/// Flags of `xception recipes`.
#[derive(Debug, Args)]
pub struct RecipesArgs {
    /// The recipe to print
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

pub(super) fn run(arguments: &RecipesArgs) -> Result<(), Error> {
    let Some(name) = &arguments.name else {
        let width = NAMED.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let entry = |(name, text): (&str, &str)| {
            format!("{name:width$}  {}\n{:width$}  Result: {}", purpose(text), "", result(text))
        };
        return print(&NAMED.map(entry).join("\n"));
    };
    let text = named(name).ok_or_else(|| {
        let known = NAMED.map(|(name, _)| name);
        let hint = did_you_mean::hint(name, known);
        Refusal::NoRecipe { name: name.clone(), hint, known: known.to_vec() }
    })?;
    print(text.trim_end())
}

/// The first sentence of a recipe.
fn purpose(text: &str) -> String {
    let comment = text.lines().map_while(|line| line.strip_prefix("# "));
    let paragraph = comment.collect::<Vec<_>>().join(" ");
    match paragraph.find(". ") {
        Some(end) => paragraph[..=end].to_string(),
        None => paragraph,
    }
}

/// The result that a recipe states, also over several lines.
fn result(text: &str) -> String {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("# Result:"));
    let first = lines.next().map_or("", |line| line.trim_start_matches("# Result:").trim());
    let rest = lines.map_while(|line| line.strip_prefix("#  ")).map(str::trim);
    std::iter::once(first).chain(rest).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_listed_by_its_own_words() {
        let text = "# Small, for\n# a laptop. Quick too.\n#\n# Result:   80 %,\n#           or so\n\nseed = 0\n";
        assert_eq!(purpose(text), "Small, for a laptop.");
        assert_eq!(result(text), "80 %, or so");
        for (name, text) in NAMED {
            assert!(purpose(text).ends_with('.') && !result(text).is_empty(), "{name}");
        }
    }
}
