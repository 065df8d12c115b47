//! The recipes that travel inside the binary, so that an installed `xception` needs no folder beside it.

/// Name and text of every recipe in `recipes/`.
pub const NAMED: [(&str, &str); 2] = [
    ("quick", include_str!("../../../../recipes/quick.toml")),
    ("notebook", include_str!("../../../../recipes/notebook.toml")),
];

/// The text of a recipe by name.
pub fn named(name: &str) -> Option<&'static str> {
    NAMED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
