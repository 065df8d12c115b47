//! Each rule of tidy, on a small checkout that keeps it and on one that breaks it.

mod glossary;
mod modules;

use std::fs;
use std::path::Path;

use xtask::tidy::check;

const GOOD: &[(&str, &str)] = &[
    (
        "ARCHITECTURE.md",
        "# Map\n\nSee [the guide](docs/guide.md#start) and [a site](https://a.example).\n",
    ),
    (
        "README.md",
        "Run `cargo xtask fetch all`, then:\n\n```sh\ncargo xtask train --recipe quick\nxception eval --weights x  # xception flies\n```\n\nThe `xception` crate. `cargo add xception sepconv`\n",
    ),
    ("docs/guide.md", "[back](../README.md)\n\n```rust\nlet a = b[c](missing);\n```\n"),
    (
        "crates/trainer/recipes/quick.toml",
        "# Command: a\n# Hardware: b\n# Time: c\n# Result: d\nepochs = 1\n",
    ),
    (
        "crates/torch-ext/Cargo.toml",
        "[package]\nname = \"torch-ext\"\n[dependencies]\ntch = \"1\"\n",
    ),
    ("crates/torch-ext/src/lib.rs", "//! Glue.\npub fn f() { unsafe { g() } }\n"),
    (
        "crates/sepconv/Cargo.toml",
        "[package]\nname = \"sepconv\"\n[dependencies]\ntorch-ext.workspace = true\n",
    ),
    (
        "crates/sepconv/src/lib.rs",
        "\n//! Layers.\n// unsafe std::env\n#[allow(dead_code, reason = \"x\")]\nfn f() { \"unsafe\"; env!(\"A\"); }\n#[cfg(test)]\nmod tests { fn f() { \"weight__1\"; std::env::var(\"A\"); } }\n",
    ),
    (
        "tests/Cargo.toml",
        "[package]\nname = \"integration-tests\"\n[dev-dependencies]\ntrainer = {}\n",
    ),
    ("target/debug/utils.rs", "unsafe"),
    (".venv/utils.py", ""),
];

/// The problems of a checkout that has these files beside those of `GOOD`, or instead of them.
fn problems_with(changed: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let is_changed = |name: &str| changed.iter().any(|(changed, _)| *changed == name);
    for (name, text) in GOOD.iter().filter(|(name, _)| !is_changed(name)).chain(changed) {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    check(folder.path()).unwrap().iter().map(ToString::to_string).collect()
}

/// The file `path` with `text` is the only problem, and the message holds `expected`.
#[track_caller]
fn breaks(path: &str, text: &str, expected: &str) {
    let problems = problems_with(&[(path, text)]);
    assert_eq!(problems.len(), 1, "{path}: {text}\n{problems:#?}");
    assert!(problems[0].contains(expected), "{problems:#?}");
}

#[test]
fn a_good_checkout_has_no_problems() {
    assert_eq!(problems_with(&[]), Vec::<String>::new());
}

#[test]
fn a_crate_depends_along_the_arrows() {
    breaks(
        "crates/torch-ext/Cargo.toml",
        "[package]\nname = \"torch-ext\"\n[dependencies]\nsepconv = { path = \"../sepconv\" }\n",
        "`torch-ext` must not depend on `sepconv` (of this workspace it may use: none)",
    );
}

#[test]
fn a_dev_dependency_follows_the_arrows() {
    breaks(
        "crates/sepconv/Cargo.toml",
        "[package]\nname = \"sepconv\"\n[dev-dependencies]\ndatasets.workspace = true\n",
        "`sepconv` must not depend on `datasets` (of this workspace it may use: torch-ext)",
    );
}

#[test]
fn a_renamed_dependency_for_one_target_follows_the_arrows() {
    breaks(
        "crates/datasets/Cargo.toml",
        "[package]\nname = \"datasets\"\n[target.'cfg(unix)'.build-dependencies]\nx = { package = \"xception\" }\n",
        "`datasets` must not depend on `xception`",
    );
    breaks(
        "crates/torch-ext/Cargo.toml",
        "[package]\nname = \"xception-torch-ext\"\n[dependencies]\ny = { package = \"xception-sepconv\" }\n",
        "`torch-ext` must not depend on `sepconv`",
    );
}

#[test]
fn xtask_does_not_depend_on_tch() {
    breaks(
        "xtask/Cargo.toml",
        "[package]\nname = \"xtask\"\n[dependencies]\ntch.workspace = true\n",
        "xtask must not depend on `tch`",
    );
}

#[test]
fn the_launcher_depends_on_nothing() {
    breaks(
        "xtask/launcher/Cargo.toml",
        "[package]\nname = \"xtask-launcher\"\n[dependencies]\nanyhow.workspace = true\n",
        "the launcher must not depend on `anyhow`",
    );
}

#[test]
fn a_new_crate_needs_a_place_in_the_arrows() {
    breaks(
        "crates/new/Cargo.toml",
        "[package]\nname = \"new\"\n",
        "crate `new` has no place in the arrows",
    );
}

#[test]
fn a_manifest_must_parse() {
    breaks("crates/new/Cargo.toml", "[package", "crates/new/Cargo.toml: not TOML");
}

#[test]
fn unsafe_stands_in_torch_ext_only() {
    breaks(
        "crates/trainer/src/x.rs",
        "//! X.\n\nfn f() { unsafe { g() } }\n",
        "crates/trainer/src/x.rs:3: `unsafe` outside torch-ext",
    );
}

#[test]
fn no_string_is_named_as_tch_names_a_duplicate() {
    breaks(
        "crates/xception/src/x.rs",
        "//! X.\nconst A: &str =\n    \"bn1.weight__2\";\n",
        "crates/xception/src/x.rs:3: a name with `__`",
    );
}

#[test]
fn datasets_reads_no_environment() {
    breaks(
        "crates/datasets/src/x.rs",
        "//! X.\nuse std::{env, fs};\n",
        "crates/datasets/src/x.rs:2: `env` reads the environment",
    );
}

#[test]
fn what_stands_after_tests_is_checked_too() {
    for tests in [
        "#[cfg(test)]\npub(crate) mod golden;",
        "#[cfg(test)]\nmod tests { fn f() { std::env::var(\"A\"); } }",
        "#[cfg(test)]\nthread_local! {}",
    ] {
        let text = format!("//! X.\n{tests}\nfn g() {{ std::env::var(\"A\"); }}\n");
        breaks("crates/datasets/src/x.rs", &text, "crates/datasets/src/x.rs:4: `env` reads");
        let text = format!("//! X.\n{tests}\nconst A: &str = \"a__1\";\n");
        breaks("crates/sepconv/src/x.rs", &text, "crates/sepconv/src/x.rs:4: a name with `__`");
    }
}

#[test]
fn sepconv_reads_no_clock() {
    breaks(
        "crates/sepconv/src/x.rs",
        "//! X.\nuse std::time::Instant;\n",
        "crates/sepconv/src/x.rs:2: `Instant` reads a clock or the network",
    );
}

#[test]
fn no_file_asks_for_the_number_of_ranks() {
    for asks in [
        "f(world.ranks())",
        "f(self.world\n.ranks())",
        "f(own_world().ranks())",
        "f(World::ranks)",
        "f(<World>::ranks(&world))",
        "let Some(peers) = world.peers()",
        "f(world.on_this_machine())",
        "f(world.share().world_size)",
        "let Share { world_size, .. } = world.share()",
    ] {
        let text = format!("//! X.\nfn f() {{ {asks}; }}\n");
        breaks("crates/trainer/src/x.rs", &text, "crates/trainer/src/x.rs:");
        breaks("crates/trainer/src/x.rs", &text, "asks for the number of ranks");
    }
}

#[test]
fn no_file_compares_the_number_of_ranks() {
    for compares in [
        "if world.ranks() == 1 {}",
        "if world.ranks() as u64 != 1 {}",
        "if 1 < self.world().ranks() {}",
        "if (1 >= world.ranks()) {}",
        "if 1 == World::ranks(&world) {}",
        "if World::ranks(&world) == 1 {}",
        "match world.ranks() { 1 => {} _ => {} }",
        "let alone = world.ranks().eq(&1);",
        "if world.share().world_size > 1 {}",
        "let alone = 1 == world.share().world_size;",
    ] {
        let text = format!("//! X.\nfn f() {{ {compares} }}\n");
        let setup = "crates/trainer/src/training/setup.rs";
        breaks(setup, &text, &format!("{setup}:2: compares the number of ranks"));
        breaks("crates/trainer/src/x.rs", &text, "compares the number of ranks");
    }
    let chosen = "//! X.\nfn f() { if world.peers().is_some() {} }\n";
    breaks("crates/trainer/src/learner/exchange.rs", chosen, "compares the number of ranks");
}

#[test]
fn who_records_the_number_of_ranks_may_ask_and_so_may_ranks_and_tests() {
    let asks = "//! X.\nfn f() { if world.ranks() == 1 {} }\n";
    let records =
        "//! X.\nfn f() { let a = world.ranks(); match b { 1 => world.ranks() * 2, _ => 0 } }\n";
    let other = "//! X.\nuse crate::ranks::World;\nfn f() { self.ranks.map_or(1); tensor.size(); ranks() }\n\
                 #[cfg(test)]\nmod tests { fn f() { world.ranks() } }\n";
    let files = [
        ("crates/trainer/src/ranks.rs", asks),
        ("crates/trainer/src/ranks/x.rs", asks),
        ("crates/trainer/src/x/tests.rs", asks),
        ("crates/trainer/src/x/tests/ranks.rs", asks),
        ("crates/trainer/src/training/setup.rs", records),
        ("crates/trainer/src/x.rs", other),
        ("crates/datasets/src/x.rs", "//! X.\nfn f() { share.world_size == 1 }\n"),
    ];
    assert_eq!(problems_with(&files), Vec::<String>::new());
}

#[test]
fn who_no_longer_asks_for_the_number_of_ranks_leaves_the_list() {
    breaks("crates/trainer/src/training/setup.rs", "//! X.\n", "does not know the number of ranks");
}

#[test]
fn a_recipe_has_a_line_for_each_claim() {
    breaks(
        "crates/trainer/recipes/x.toml",
        "# Command: a\n# Hardware: b\n# Time: c\n",
        "no line `# Result: ...`",
    );
}

#[test]
fn a_line_of_a_recipe_is_not_empty() {
    breaks(
        "crates/trainer/recipes/x.toml",
        "# Command: a\n# Hardware: b\n# Time:\n# Result: d\n",
        "no line `# Time: ...`",
    );
}

#[test]
fn a_recipe_must_parse() {
    breaks(
        "crates/trainer/recipes/x.toml",
        "# Command: a\n# Hardware: b\n# Time: c\n# Result: d\na = \n",
        "crates/trainer/recipes/x.toml: not TOML",
    );
}

#[test]
fn a_command_in_a_code_span_exists() {
    breaks("docs/x.md", "Run `cargo xtask fly`.\n", "docs/x.md:1: there is no `cargo xtask fly`");
}

#[test]
fn a_command_in_a_console_block_exists() {
    breaks(
        "docs/x.md",
        "```console\n$ cargo xtask fly\n```\n",
        "docs/x.md:2: there is no `cargo xtask fly`",
    );
}

#[test]
fn a_console_block_may_show_what_a_command_printed() {
    let text = "```console\n$ xception summary --preset xception\nxception at 299×299\n```\n";
    assert_eq!(problems_with(&[("docs/x.md", text)]), Vec::<String>::new());
}

#[test]
fn each_command_of_a_chain_exists() {
    breaks(
        "docs/x.md",
        "`cargo xtask doctor && cargo xtask fly`\n",
        "docs/x.md:1: there is no `cargo xtask fly`",
    );
}

#[test]
fn the_options_of_a_command_exist() {
    breaks(
        "docs/x.md",
        "`cargo xtask fetch cifar10 --form DIR`\n",
        "docs/x.md:1: `cargo xtask fetch cifar10 --form DIR`: error: unexpected argument '--form' found",
    );
}

#[test]
fn a_command_of_the_binary_exists_in_a_block() {
    breaks(
        "docs/x.md",
        "```sh\nRUST_LOG=debug target/release/xception fly\n```\n",
        "docs/x.md:2: there is no `xception fly`: its commands are train, eval",
    );
}

#[test]
fn a_command_of_the_binary_exists_in_a_code_span() {
    breaks("docs/x.md", "a `xception fly x`\n", "docs/x.md:1: there is no `xception fly`");
}

#[test]
fn a_link_leads_somewhere() {
    breaks(
        "docs/x.md",
        "\n[a](b.md)\n",
        "docs/x.md:2: the link leads to b.md, which does not exist",
    );
}

#[test]
fn an_image_leads_somewhere() {
    breaks("docs/x.md", "![a](../b.png \"t\")\n", "the link leads to ../b.png");
}

#[test]
fn a_source_opens_with_its_reason() {
    breaks("xtask/src/x.rs", "\nfn f() {}\n", "xtask/src/x.rs:1: does not open with `//!`");
}

#[test]
fn the_reason_is_not_empty() {
    breaks("xtask/src/x.rs", "//!\nfn f() {}\n", "xtask/src/x.rs:1: does not open with `//!`");
}

#[test]
fn the_map_is_short() {
    breaks(
        "ARCHITECTURE.md",
        &"line\n".repeat(201),
        "ARCHITECTURE.md:201: 201 lines: shorten it to 200",
    );
}

#[test]
fn an_allow_has_its_reason() {
    breaks(
        "xtask/src/x.rs",
        "//! X.\n#![allow(dead_code)]\n",
        "xtask/src/x.rs:2: `allow` without `reason",
    );
}

#[test]
fn an_allow_for_tests_has_its_reason() {
    breaks(
        "xtask/src/x.rs",
        "//! X.\n\n#[cfg_attr(test, allow(dead_code))]\nfn f() { a.expect(\"b\"); }\n",
        "xtask/src/x.rs:3: `allow` without `reason",
    );
}

#[test]
fn a_file_is_not_called_utils() {
    breaks("crates/trainer/src/utils.rs", "//! X.\n", "`utils` says nothing");
}

#[test]
fn a_folder_is_not_called_common() {
    breaks("crates/trainer/src/common/x.rs", "//! X.\n", "`common` says nothing");
}

#[test]
fn the_map_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    let problems = check(folder.path()).unwrap();
    assert_eq!(problems[0].to_string(), "ARCHITECTURE.md: missing: write the map of the workspace");
    assert_eq!(problems[0].path, Path::new("ARCHITECTURE.md"));
}
