//! The recipes that travel inside the binary, so that an installed `xception` needs no folder beside it.

/// Name and text of every recipe in `crates/trainer/recipes`.
pub const NAMED: [(&str, &str); 9] = [
    ("quick", include_str!("../../recipes/quick.toml")),
    ("notebook", include_str!("../../recipes/notebook.toml")),
    ("cifar10-cpu", include_str!("../../recipes/cifar10-cpu.toml")),
    ("cifar10-best", include_str!("../../recipes/cifar10-best.toml")),
    ("cifar100-step", include_str!("../../recipes/cifar100-step.toml")),
    ("compare", include_str!("../../recipes/compare.toml")),
    ("finetune", include_str!("../../recipes/finetune.toml")),
    ("paper-imagenet", include_str!("../../recipes/paper-imagenet.toml")),
    ("paper-jft", include_str!("../../recipes/paper-jft.toml")),
];

/// The text of a recipe by name.
pub fn named(name: &str) -> Option<&'static str> {
    NAMED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
