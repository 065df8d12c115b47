//! Import circles and the arrows between modules, on tiny crates.

use super::problems_with;

/// The problems of the crate `sepconv` with these files in `src/`, which open as they must.
fn problems_of(files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<_> = files
        .iter()
        .map(|(name, text)| (format!("crates/sepconv/src/{name}"), format!("//! X.\n{text}")))
        .collect();
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    problems_with(&files)
}

#[track_caller]
fn has_no_circle(files: &[(&str, &str)]) {
    assert_eq!(problems_of(files), Vec::<String>::new());
}

/// The only problem is a circle through these modules, in this order.
#[track_caller]
fn has_circle(files: &[(&str, &str)], modules: &str) {
    let problems = problems_of(files);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].contains("import circle"), "{problems:#?}");
    assert!(problems[0].contains(&format!(": {modules}\n")), "{problems:#?}");
}

#[test]
fn a_circle_is_named_file_by_file_with_the_line_of_each_import() {
    let files = [
        ("lib.rs", "mod a;\nmod b;\nmod c;\n"),
        ("a.rs", "use std::fmt;\nuse crate::b::B;\npub struct A;\n"),
        ("b.rs", "pub struct B;\n\nfn f() { super::c::f(); }\n"),
        ("c.rs", "use crate::{a::A as First, b};\n"),
    ];
    let expected = "crates/sepconv/src/b.rs:4: import circle, the shortest in a knot of 3 modules: `b` → `c` → `b`\n  \
                    Move an item of one of these lines into the module that uses it, or into a module below both:\n    \
                    crates/sepconv/src/b.rs:4: super::c::f\n    crates/sepconv/src/c.rs:2: use crate::b";
    assert_eq!(problems_of(&files), [expected]);
}

#[test]
fn imports_in_one_direction_make_no_circle() {
    has_no_circle(&[
        ("lib.rs", "mod a;\nmod b;\n"),
        ("a.rs", "use crate::b::B;\npub(crate) struct A(B);\n"),
        ("b.rs", "pub(crate) struct B;\n"),
    ]);
}

#[test]
fn parent_and_child_may_use_each_other() {
    has_no_circle(&[
        ("lib.rs", "mod a;\npub use a::inner::deep::Deep;\npub struct Root;\n"),
        ("a.rs", "pub(crate) mod inner;\nuse self::inner::Inner;\npub(crate) struct A(Inner);\n"),
        ("a/inner.rs", "pub(crate) mod deep;\nuse super::A;\npub(crate) struct Inner;\n"),
        ("a/inner/deep.rs", "use crate::Root;\nuse super::super::A;\npub struct Deep;\n"),
    ]);
}

#[test]
fn siblings_below_a_parent_make_a_circle() {
    has_circle(
        &[
            ("lib.rs", "mod a;\n"),
            ("a.rs", "mod one;\nmod two;\n"),
            ("a/one.rs", "use super::two::Two;\npub(super) struct One;\n"),
            ("a/two.rs", "use super::one::One;\npub(super) struct Two;\n"),
        ],
        "`a::one` → `a::two` → `a::one`",
    );
}

/// A circle of folders, though no two of its files use each other.
#[test]
fn folders_make_a_circle() {
    has_circle(
        &[
            ("lib.rs", "mod a;\nmod b;\n"),
            ("a.rs", "mod one;\nmod two;\n"),
            ("a/one.rs", "use crate::b::one::One;\n"),
            ("a/two.rs", "pub(crate) struct Two;\n"),
            ("b.rs", "pub(crate) mod one;\nmod two;\n"),
            ("b/one.rs", "pub(crate) struct One;\n"),
            ("b/two.rs", "use crate::a::two::Two;\n"),
        ],
        "`a` → `b` → `a`",
    );
}

#[test]
fn a_re_export_leads_to_the_module_that_defines() {
    let a = "use crate::{B, Unrelated};\npub struct A;\n";
    let b = "use super::A;\npub struct B;\n";
    has_circle(
        &[
            (
                "lib.rs",
                "mod a;\nmod b;\npub use a::A;\npub use b::*;\npub use std::fmt as Unrelated;\n",
            ),
            ("a.rs", a),
            ("b.rs", b),
        ],
        "`a` → `b` → `a`",
    );
}

#[test]
fn a_re_export_of_a_re_export_is_followed_and_the_facade_itself_is_not_used() {
    has_no_circle(&[
        ("lib.rs", "mod a;\nmod facade;\nmod low;\n"),
        ("a.rs", "use crate::facade::Low;\npub(crate) struct A(Low);\n"),
        (
            "facade.rs",
            "use crate::a::A;\npub(crate) use crate::low::Renamed as Low;\nstruct F(A);\n",
        ),
        ("low.rs", "mod deep;\npub(crate) use deep::Deep as Renamed;\n"),
        ("low/deep.rs", "pub(crate) struct Deep;\n"),
    ]);
}

#[test]
fn a_private_import_of_the_parent_is_followed() {
    has_circle(
        &[
            ("lib.rs", "mod a;\n"),
            ("a.rs", "mod inner;\nmod low;\nuse low::B;\n"),
            ("a/inner.rs", "use super::B;\npub(crate) struct Inner(B);\n"),
            ("a/low.rs", "pub(crate) struct B(super::inner::Inner);\n"),
        ],
        "`a::inner` → `a::low` → `a::inner`",
    );
}

#[test]
fn a_grouped_nested_and_renamed_import_counts() {
    has_circle(
        &[
            ("lib.rs", "mod a;\nmod b;\n"),
            (
                "a.rs",
                "use {std::io, crate::{b::{self as other, deep::{X as Y, f}}, a as own}};\npub struct A;\n",
            ),
            ("b.rs", "pub mod deep;\n"),
            ("b/deep.rs", "pub fn f() { crate::a::A }\npub struct X;\n"),
        ],
        "`a` → `b` → `a`",
    );
}

#[test]
fn a_glob_import_counts_for_the_names_that_are_taken_through_it() {
    let lib = "mod a;\nmod b;\nuse a::A;\nuse b::f;\n";
    let a = "use super::*;\npub struct A;\nfn g() { f(); }\n";
    has_circle(
        &[("lib.rs", lib), ("a.rs", a), ("b.rs", "use crate::a::*;\npub fn f() {}\n")],
        "`a` → `b` → `a`",
    );
    let idle = "use super::*;\npub struct A;\nfn g() { x.f; }\n";
    has_no_circle(&[
        ("lib.rs", lib),
        ("a.rs", idle),
        ("b.rs", "use crate::a::*;\npub fn f() {}\n"),
    ]);
}

#[test]
fn a_path_through_an_imported_module_counts() {
    has_circle(
        &[
            ("lib.rs", "mod a;\nmod b;\nmod facade;\n"),
            ("a.rs", "use crate::facade;\npub struct A;\nfn g() { facade::f(); }\n"),
            ("facade.rs", "pub use crate::b::f;\n"),
            ("b.rs", "use crate::a::A;\npub fn f() {}\n"),
        ],
        "`a` → `b` → `a`",
    );
}

#[test]
fn a_visibility_is_no_import() {
    has_no_circle(&[
        ("lib.rs", "mod a;\nmod b;\n"),
        ("a.rs", "pub(in crate::b) struct A;\npub(super) fn f() {}\npub(in super::b) struct C;\n"),
        ("b.rs", "use crate::a::f;\n"),
    ]);
}

#[test]
fn tests_are_left_out() {
    has_no_circle(&[
        ("lib.rs", "mod a;\nmod b;\n#[cfg(test)]\nmod tests;\n"),
        (
            "a.rs",
            "#[cfg(test)]\nuse crate::b::{B, C};\n#[cfg(all(test, unix))]\nmod tests {\n    use crate::b::B;\n}\n\
             #[allow(unused, reason = \"x\")]\n#[cfg(test)]\nfn f(b: crate::b::B) -> [u8; 2] { crate::b::f() }\n\
             struct S { #[cfg(test)] b: crate::b::B, c: u8 }\n#[cfg(test)]\nmod more;\n",
        ),
        ("a/more.rs", "use crate::b::B;\n"),
        ("b.rs", "use crate::a::A;\n"),
        ("tests.rs", "use crate::a::A;\n"),
    ]);
}

#[test]
fn code_after_that_of_tests_counts_and_so_does_code_without_tests() {
    let b = ("b.rs", "use crate::a::A;\n");
    let lib = ("lib.rs", "mod a;\nmod b;\n");
    for a in [
        "#[cfg(test)]\nuse crate::c::{C};\nuse crate::b::B;\n",
        "#[cfg(test)]\nmod tests { fn f() { } }\nuse crate::b::B;\n",
        "struct S { #[cfg(test)] c: u8, b: crate::b::B }\n",
        "#[cfg(test)]\nthread_local! { static A: u8 = 1; }\nfn f() { crate::b::f() }\n",
        "#[cfg(test)]\nmade!(A, B);\nfn f() { crate::b::f() }\n",
        "#[cfg(test)]\nconst A: [u8; 1] = [{ 1 }];\nfn f() { crate::b::f() }\n",
        "struct S { #[cfg(test)] pub c: u8, pub b: crate::b::B }\n",
        "fn f() { #[cfg(test)] if c { return; } crate::b::f() }\n",
        "fn f() { match c { #[cfg(test)] C => {} B => crate::b::f() } }\n",
        "#[cfg(not(test))]\nuse crate::b::B;\n",
        "#[cfg(any(test, unix))]\nuse crate::b::B;\n",
    ] {
        has_circle(&[lib, ("a.rs", a), b], "`a` → `b` → `a`");
    }
}

#[test]
fn a_whole_file_of_tests_is_left_out() {
    has_no_circle(&[
        ("lib.rs", "mod a;\nmod b;\n"),
        ("a.rs", "#![allow(unused, reason = \"x\")]\n#![cfg(test)]\nuse crate::b::B;\n"),
        ("b.rs", "use crate::a::A;\n"),
    ]);
}

#[test]
fn an_inline_module_belongs_to_its_file() {
    has_circle(
        &[
            ("lib.rs", "mod a;\nmod b;\n"),
            (
                "a.rs",
                "mod inside {\n    use super::super::b::B;\n    mod file;\n}\npub struct A;\n",
            ),
            ("a/inside/file.rs", "use crate::b::B;\n"),
            ("b.rs", "use crate::a::A;\n"),
        ],
        "`a` → `b` → `a`",
    );
}

#[test]
fn paths_in_macros_count() {
    has_circle(
        &[
            ("lib.rs", "mod a;\nmod b;\n"),
            ("a.rs", "macro_rules! m { ($x:expr) => { $crate::b::f($x) }; }\npub(crate) use m;\n"),
            ("b.rs", "pub fn f() { println!(\"{}\", crate::a::m!(1)); }\n"),
        ],
        "`a` → `b` → `a`",
    );
}

#[test]
fn a_path_after_the_dots_of_a_range_counts() {
    for a in [
        "fn f() -> A { A { a, ..crate::b::f() } }\n",
        "fn f() { for _ in 0..crate::b::N {} }\n",
        "fn f() { for _ in self.0..=crate::b::N {} }\n",
        "fn f() { a[..crate::b::N] }\n",
    ] {
        has_circle(
            &[("lib.rs", "mod a;\nmod b;\n"), ("a.rs", a), ("b.rs", "use crate::a::A;\n")],
            "`a` → `b` → `a`",
        );
    }
}

/// Each of these hides imports.
#[test]
fn a_file_that_is_named_by_its_path_is_refused() {
    for a in [
        "include!(\"b.rs\");\n",
        "fn f() { std::include!(\"b.rs\") }\n",
        "use core::include as paste;\n",
        "#[path = \"b.rs\"]\nmod c;\n",
        "#[cfg_attr(unix, path = \"b.rs\")]\nmod c;\n",
    ] {
        let expected = "crates/sepconv/src/a.rs:2: names a file whose imports this check would not find: declare a module in \
                        the file of its name";
        assert_eq!(problems_of(&[("lib.rs", "mod a;\n"), ("a.rs", a)]), [expected], "{a}");
    }
}

#[test]
fn another_name_for_the_crate_is_refused() {
    let expected = "crates/sepconv/src/lib.rs:2: gives this crate another name, under which this check would not know it: \
                    write `crate`";
    assert_eq!(problems_of(&[("lib.rs", "extern crate self as me;\n")]), [expected]);
    has_circle(
        &[
            ("lib.rs", "mod a;\nmod b;\n"),
            ("a.rs", "use crate as me;\nfn f() { me::b::f() }\n"),
            ("b.rs", "use crate::a::A;\n"),
        ],
        "`a` → `b` → `a`",
    );
}

#[test]
fn tests_may_name_a_file_and_so_may_text_be_included() {
    has_no_circle(&[
        ("lib.rs", "mod a;\n"),
        (
            "a.rs",
            "#[cfg(test)]\n#[path = \"b.rs\"]\nmod b;\nconst A: &str = include_str!(\"a.txt\");\n\
             #[serde(other, path = \"a\")]\nstruct S;\nfn f() { glue.include(\"a\") }\n",
        ),
    ]);
}

#[test]
fn comments_strings_and_other_crates_are_no_imports() {
    has_no_circle(&[
        ("lib.rs", "mod a;\nmod tch;\n"),
        ("a.rs", "use ::tch::a;\n/// [`crate::tch`]\nconst A: &str = \"crate::tch\";\n"),
        ("tch.rs", "use crate::a::A;\nuse serde::a;\n"),
    ]);
}

#[test]
fn each_test_and_example_is_a_crate_of_its_own() {
    let a = "//! X.\nmod a;\nmod b;\n";
    for root in ["examples/x.rs", "tests/x/main.rs", "src/main.rs", "named.rs"] {
        let file = |name: &str| {
            format!(
                "crates/sepconv/{}/{name}",
                root.rsplit_once('/').map_or("", |(folder, _)| folder)
            )
        };
        let problems = problems_with(&[
            (
                "crates/sepconv/Cargo.toml",
                "[package]\nname = \"sepconv\"\n[[bin]]\nname = \"n\"\npath = \"named.rs\"\n",
            ),
            (&format!("crates/sepconv/{root}"), a),
            (&file("a.rs"), "//! X.\nuse crate::b::B;\n"),
            (&file("b/mod.rs"), "//! X.\nuse super::a::A;\n"),
        ]);
        // Files in `tests` and `examples` are roots too, with nothing to circle through.
        assert_eq!(problems.len(), 1, "{root}: {problems:#?}");
        assert!(problems[0].contains("import circle: `a` → `b` → `a`"), "{problems:#?}");
    }
}

/// The problems of a trainer with these modules and the rows of the table of modules.
fn arrows(rows: &str, modules: &[(&str, &str)]) -> Vec<String> {
    let map = format!("# Map\n\n| module of `crates/trainer` | may use |\n|---|---|\n{rows}\n");
    let lib: String = modules.iter().map(|(name, _)| format!("mod {name};\n")).collect();
    let mut files = vec![
        ("ARCHITECTURE.md".to_owned(), map),
        ("crates/trainer/Cargo.toml".to_owned(), "[package]\nname = \"trainer\"\n".to_owned()),
        ("crates/trainer/src/lib.rs".to_owned(), format!("//! X.\n{lib}pub use error::Error;\n")),
    ];
    for (name, text) in modules {
        files.push((format!("crates/trainer/src/{name}.rs"), format!("//! X.\n{text}")));
    }
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    problems_with(&files)
}

const ERROR: (&str, &str) = ("error", "pub enum Error {}\n");

#[test]
fn the_arrows_of_the_table_are_allowed() {
    let rows = "| `commands` | any module |\n| `run` | `data` |\n| `data`, `optim` | |\n| any module | `error`, `stop` |";
    let problems = arrows(
        rows,
        &[
            ("commands", "use crate::data::D;\nuse crate::run::R;\n"),
            ("run", "use crate::Error;\nuse crate::data::D;\n"),
            ("data", "use crate::Error;\n"),
            ("optim", "pub struct O;\n"),
            ("stop", "use crate::Error;\n"),
            ERROR,
        ],
    );
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn an_arrow_that_the_table_lacks_is_refused() {
    let rows = "| `run` | |\n| `data` | |\n| any module | `error` |";
    let modules = [("run", "use crate::Error;\nuse crate::data::D;\n"), ("data", ""), ERROR];
    let expected = "crates/trainer/src/run.rs:3: `run` must not use `data` (`use crate::data::D`): move the code to \
                    where the table of modules in ARCHITECTURE.md allows it, or argue there for the arrow";
    assert_eq!(arrows(rows, &modules), [expected]);
}

#[test]
fn a_base_module_uses_base_modules_only() {
    let rows = "| `data` | |\n| any module | `error`, `stop` |";
    let modules = [("data", ""), ("stop", "use crate::data::D;\n"), ERROR];
    let problems = arrows(rows, &modules);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].contains("`stop` must not use `data`"), "{problems:#?}");
}

#[test]
fn a_module_without_a_row_and_a_row_without_a_module_are_refused() {
    let rows = "| `gone` | |\n| any module | `error` |";
    let expected = [
        "ARCHITECTURE.md:5: there is no module `gone`: remove its row",
        "crates/trainer/src/new.rs: `new` is missing in the table of modules in ARCHITECTURE.md: add its row",
    ];
    assert_eq!(arrows(rows, &[("new", ""), ERROR]), expected);
}

#[test]
fn an_arrow_that_nothing_uses_is_refused() {
    let rows = "| `run` | `data` |\n| `data` | |\n| any module | `error` |";
    let expected = ["ARCHITECTURE.md:5: `run` does not use `data`: remove the arrow"];
    assert_eq!(arrows(rows, &[("run", ""), ("data", ""), ERROR]), expected);
}

#[test]
fn the_trainer_must_have_a_table() {
    let problems = problems_with(&[
        ("crates/trainer/Cargo.toml", "[package]\nname = \"trainer\"\n"),
        ("crates/trainer/src/lib.rs", "//! X.\n"),
    ]);
    let expected =
        "ARCHITECTURE.md: no table `module of crates/trainer`: write which module may use which";
    assert_eq!(problems, [expected]);
}
