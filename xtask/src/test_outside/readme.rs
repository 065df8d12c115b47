//! The blocks of README's section "As a library".

use anyhow::{Context, Result};

/// The texts that README tells a person to copy.
pub(super) struct Said {
    dependencies: String,
    pub(super) build_script: String,
    pub(super) program: String,
}

impl Said {
    /// Finds the blocks in README's text.
    pub(super) fn in_text(text: &str) -> Result<Self> {
        let (_, section) =
            text.split_once("\n## As a library\n").context("README has no such section")?;
        let section = section.split("\n## ").next().unwrap_or_default();
        let block = |language: &str, holds: &str| {
            let fence = format!("```{language}");
            let starts = section.match_indices(&fence).map(|(at, _)| at);
            let blocks = starts.filter_map(|at| {
                let (_, inner) = section[at..].split_once('\n')?;
                Some(inner.split("\n```").next()?.to_owned() + "\n")
            });
            let mut blocks = blocks.filter(|block| block.contains(holds));
            blocks.next().with_context(|| format!("README has no {language} block with {holds:?}"))
        };
        Ok(Self {
            dependencies: block("toml", "[dependencies]")?,
            build_script: block("rust", "DEP_XCEPTION_LINK_ARG")?,
            program: block("rust", "Preset::Xception")?,
        })
    }

    /// The manifest of a program that depends on the crate from `source`, as in `path = "…"`.
    pub(super) fn manifest(&self, source: &str) -> String {
        let lines = self.dependencies.lines().map(|line| match line.starts_with("xception = ") {
            true => format!("xception = {{ {source} }}"),
            false => line.to_owned(),
        });
        let lines: Vec<String> = lines.collect();
        format!(
            "[package]\nname = \"outside\"\nversion = \"0.0.0\"\nedition = \"2024\"\ndefault-run = \"outside\"\n\n[workspace]\n\n{}\n",
            lines.join("\n")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blocks_are_those_of_the_section() {
        let text = "# X\n```toml\nno = 1\n```\n## As a library\n\n```toml\n[dependencies]\nxception = \"0\"\n```\n\
                    ```rust\nDEP_XCEPTION_LINK_ARG\n```\n```rust,no_run\nPreset::Xception\n```\n## End\n";
        let said = Said::in_text(&text.replace("\n## As", "\n\n## As")).unwrap();
        assert_eq!(said.build_script, "DEP_XCEPTION_LINK_ARG\n");
        assert_eq!(said.program, "Preset::Xception\n");
        let manifest = said.manifest("path = \"/a/b\"");
        assert!(
            manifest.ends_with("[dependencies]\nxception = { path = \"/a/b\" }\n"),
            "{manifest}"
        );
        assert!(Said::in_text("# X").is_err());
    }
}
