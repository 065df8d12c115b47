//! Each rule of tidy, on a small checkout that keeps it and on one that breaks it.

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
    ("recipes/quick.toml", "# Command: a\n# Hardware: b\n# Time: c\n# Result: d\nepochs = 1\n"),
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

fn problems_with(path: &str, text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let changed = (path, text);
    let files = GOOD.iter().filter(|(name, _)| *name != path).chain([&changed]);
    for (name, text) in files.filter(|(name, _)| !name.is_empty()) {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    check(folder.path()).unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_checkout_has_no_problems() {
    assert_eq!(problems_with("", ""), Vec::<String>::new());
}

#[test]
fn each_rule_finds_what_breaks_it_and_nothing_else() {
    let long_map = "line\n".repeat(201);
    for (path, text, expected) in [
        (
            "crates/torch-ext/Cargo.toml",
            "[package]\nname = \"torch-ext\"\n[dependencies]\nsepconv = { path = \"../sepconv\" }\n",
            "`torch-ext` must not depend on `sepconv` (of this workspace it may use: none)",
        ),
        (
            "crates/sepconv/Cargo.toml",
            "[package]\nname = \"sepconv\"\n[dev-dependencies]\ndatasets.workspace = true\n",
            "`sepconv` must not depend on `datasets` (of this workspace it may use: torch-ext)",
        ),
        (
            "crates/datasets/Cargo.toml",
            "[package]\nname = \"datasets\"\n[target.'cfg(unix)'.build-dependencies]\nx = { package = \"xception\" }\n",
            "`datasets` must not depend on `xception`",
        ),
        (
            "xtask/Cargo.toml",
            "[package]\nname = \"xtask\"\n[dependencies]\ntch.workspace = true\n",
            "xtask must not depend on `tch`",
        ),
        (
            "crates/new/Cargo.toml",
            "[package]\nname = \"new\"\n",
            "crate `new` has no place in the arrows",
        ),
        ("crates/new/Cargo.toml", "[package", "crates/new/Cargo.toml: not TOML"),
        (
            "crates/trainer/src/x.rs",
            "//! X.\n\nfn f() { unsafe { g() } }\n",
            "crates/trainer/src/x.rs:3: `unsafe` outside torch-ext",
        ),
        (
            "crates/xception/src/x.rs",
            "//! X.\nconst A: &str =\n    \"bn1.weight__2\";\n",
            "crates/xception/src/x.rs:3: a name with `__`",
        ),
        (
            "crates/datasets/src/x.rs",
            "//! X.\nuse std::{env, fs};\n",
            "crates/datasets/src/x.rs:2: `env` reads the environment",
        ),
        (
            "crates/sepconv/src/x.rs",
            "//! X.\nuse std::time::Instant;\n",
            "crates/sepconv/src/x.rs:2: `Instant` reads a clock or the network",
        ),
        ("recipes/x.toml", "# Command: a\n# Hardware: b\n# Time: c\n", "no line `# Result: ...`"),
        (
            "recipes/x.toml",
            "# Command: a\n# Hardware: b\n# Time:\n# Result: d\n",
            "no line `# Time: ...`",
        ),
        (
            "recipes/x.toml",
            "# Command: a\n# Hardware: b\n# Time: c\n# Result: d\na = \n",
            "recipes/x.toml: not TOML",
        ),
        ("docs/x.md", "Run `cargo xtask fly`.\n", "docs/x.md:1: there is no `cargo xtask fly`"),
        (
            "docs/x.md",
            "```console\n$ cargo xtask fly\n```\n",
            "docs/x.md:2: there is no `cargo xtask fly`",
        ),
        (
            "docs/x.md",
            "`cargo xtask doctor && cargo xtask fly`\n",
            "docs/x.md:1: there is no `cargo xtask fly`",
        ),
        (
            "docs/x.md",
            "`cargo xtask fetch cifar10 --form DIR`\n",
            "docs/x.md:1: `cargo xtask fetch cifar10 --form DIR`: error: unexpected argument '--form' found",
        ),
        (
            "docs/x.md",
            "```sh\nRUST_LOG=debug target/release/xception fly\n```\n",
            "docs/x.md:2: there is no `xception fly`: its commands are train, eval",
        ),
        ("docs/x.md", "a `xception fly x`\n", "docs/x.md:1: there is no `xception fly`"),
        ("docs/x.md", "\n[a](b.md)\n", "docs/x.md:2: the link leads to b.md, which does not exist"),
        ("docs/x.md", "![a](../b.png \"t\")\n", "the link leads to ../b.png"),
        ("xtask/src/x.rs", "\nfn f() {}\n", "xtask/src/x.rs:1: does not open with `//!`"),
        ("xtask/src/x.rs", "//!\nfn f() {}\n", "xtask/src/x.rs:1: does not open with `//!`"),
        ("ARCHITECTURE.md", long_map.as_str(), "ARCHITECTURE.md:201: 201 lines: shorten it to 200"),
        (
            "xtask/src/x.rs",
            "//! X.\n#![allow(dead_code)]\n",
            "xtask/src/x.rs:2: `allow` without `reason",
        ),
        (
            "xtask/src/x.rs",
            "//! X.\n\n#[cfg_attr(test, allow(dead_code))]\nfn f() { a.expect(\"b\"); }\n",
            "xtask/src/x.rs:3: `allow` without `reason",
        ),
        ("crates/trainer/src/utils.rs", "//! X.\n", "`utils` says nothing"),
        ("crates/trainer/src/common/x.rs", "//! X.\n", "`common` says nothing"),
    ] {
        let problems = problems_with(path, text);
        assert_eq!(problems.len(), 1, "{path}: {text}\n{problems:#?}");
        assert!(problems[0].contains(expected), "{problems:#?}");
    }
}

#[test]
fn the_map_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    let problems = check(folder.path()).unwrap();
    assert_eq!(problems[0].to_string(), "ARCHITECTURE.md: missing: write the map of the workspace");
    assert_eq!(problems[0].path, Path::new("ARCHITECTURE.md"));
}
