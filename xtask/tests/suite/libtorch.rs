//! `fetch libtorch` from mirrors with small stand-ins, and the link in the workspace.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use xtask::cli::Variant;
use xtask::fetch::libtorch::table::{wheels, zip_for};
use xtask::fetch::partial::sha256_of;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::command_line::{Home, outcome};
use super::orchestration::executable;

const LINUX: (&str, &str) = ("linux", "x86_64");
const HEADER: &str = "include/torch/csrc/api/include/torch/torch.h";

/// Puts an archive into the mirror, which vouches for it.
fn add(home: &Home, name: &str, files: &[(&str, &[u8])]) {
    let path = home.path("mirror").join(name);
    let mut writer = ZipWriter::new(fs::File::create(&path).unwrap());
    for (name, data) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(data).unwrap();
    }
    writer.finish().unwrap();
    let list = home.path("mirror/SHA256SUMS");
    let sum = sha256_of(fs::File::open(path).unwrap()).unwrap().0;
    let sums = fs::read_to_string(&list).unwrap_or_default();
    fs::write(list, format!("{sums}{sum}  {name}\n")).unwrap();
}

fn add_zip(home: &Home, variant: Variant, version: &str) {
    let name = zip_for(LINUX, variant).unwrap().archive.name;
    let header = format!("libtorch/{HEADER}");
    let files: &[(&str, &[u8])] = &[
        ("libtorch/lib/libtorch_cpu.so", b"code"),
        ("libtorch/build-version", version.as_bytes()),
        ("libtorch/bin/protoc", b"not needed"),
        (&header, b"//"),
    ];
    add(home, name, files);
}

fn linked(home: &Home) -> Option<String> {
    let target = fs::read_link(home.path("workspace/libtorch")).ok()?;
    assert_eq!(target.parent().unwrap(), home.path("cache"));
    Some(target.file_name().unwrap().to_str().unwrap().to_owned())
}

const FETCH: [&str; 4] = ["fetch", "libtorch", "--from", "mirror"];

#[test]
fn a_zip_is_installed_linked_and_found_again() {
    let home = Home::new();
    add_zip(&home, Variant::Cpu, "2.13.0+cpu\n");
    home.run(&FETCH).expect(0, &["vouches for it", "libtorch 2.13.0+cpu is ready in", "linked "]);
    assert_eq!(linked(&home).as_deref(), Some("libtorch-2.13.0-cpu"));
    assert_eq!(fs::read(home.path("workspace/libtorch/lib/libtorch_cpu.so")).unwrap(), b"code");
    assert!(!home.path("workspace/libtorch/bin").exists());

    fs::remove_file(home.path("workspace/libtorch")).unwrap();
    home.run(&["fetch", "libtorch", "--offline"]).expect(0, &["is there already", "linked "]);
    let again = home.run(&["fetch", "libtorch"]);
    again.expect(0, &["is there already"]);
    assert!(!again.stderr.contains("linked"), "{}", again.stderr);

    fs::remove_file(home.path("workspace/libtorch/lib/libtorch_cpu.so")).unwrap();
    home.run(&FETCH).expect(0, &["is damaged (lib/libtorch_cpu.so is missing, was 4 bytes)"]);
    assert!(home.path("workspace/libtorch/lib/libtorch_cpu.so").exists());
}

#[test]
fn a_linked_variant_stays_until_another_is_asked_for() {
    let home = Home::new();
    add_zip(&home, Variant::Cpu, "2.13.0+cpu\n");
    add_zip(&home, Variant::Cu130, "2.13.0+cu130\n");
    let cuda = [&FETCH[..], &["--variant", "cu130"]].concat();
    home.run(&cuda).expect(0, &["carries no NVIDIA libraries", "cargo xtask doctor"]);
    assert_eq!(linked(&home).as_deref(), Some("libtorch-2.13.0-cu130"));
    home.run(&FETCH).expect(0, &["libtorch 2.13.0+cu130 is there already"]);
    assert_eq!(linked(&home).as_deref(), Some("libtorch-2.13.0-cu130"));
    home.run(&[&FETCH[..], &["--variant", "cpu"]].concat()).expect(0, &["linked "]);
    assert_eq!(linked(&home).as_deref(), Some("libtorch-2.13.0-cpu"));
}

#[test]
fn only_a_link_is_replaced() {
    let home = Home::new();
    add_zip(&home, Variant::Cpu, "2.13.0+cpu\n");
    symlink("/nowhere", home.path("workspace/libtorch")).unwrap();
    home.run(&FETCH).expect(0, &["linked "]);
    assert_eq!(linked(&home).as_deref(), Some("libtorch-2.13.0-cpu"));
    fs::remove_file(home.path("workspace/libtorch")).unwrap();
    fs::create_dir(home.path("workspace/libtorch")).unwrap();
    home.run(&FETCH).expect(0, &["is a folder of your own, so it stays"]);
    assert_eq!(linked(&home), None);
}

#[test]
fn the_users_libtorch_wins_and_is_named() {
    let home = Home::new();
    add_zip(&home, Variant::Cpu, "2.13.0+cpu\n");
    let mut command = home.command(&FETCH);
    outcome(command.env("LIBTORCH", "/opt/lt"))
        .expect(0, &["LIBTORCH is set to /opt/lt, and that"]);
    let mut command = home.command(&FETCH);
    // cargo's own setting.
    let own = outcome(command.env("LIBTORCH", home.path("workspace/libtorch")));
    own.expect(0, &[]);
    assert!(!own.stderr.contains("LIBTORCH is set"), "{}", own.stderr);
}

#[test]
fn an_archive_of_another_version_is_refused() {
    let home = Home::new();
    add_zip(&home, Variant::Cpu, "2.11.0+cpu\n");
    home.run(&FETCH).expect(3, &["holds libtorch \"2.11.0+cpu\", not 2.13.0"]);
    assert_eq!((linked(&home), home.cached()), (None, Vec::new()));
}

/// A shared library that a linker takes.
fn library(folder: &Path, name: &str) -> Vec<u8> {
    let path = folder.join(name);
    let mut command = Command::new("c++");
    command.args(["-shared", "-fPIC", "-x", "c++", "/dev/null", "-o"]).arg(&path);
    assert!(command.status().unwrap().success());
    fs::read(path).unwrap()
}

#[test]
fn wheels_become_a_libtorch_with_an_umbrella() {
    let home = Home::new();
    let (cpu, c10) = ("libtorch_cpu.so", "libc10.so");
    let (cpu, c10) = (library(&home.path("."), cpu), library(&home.path("."), c10));
    let header = format!("torch/{HEADER}");
    let contents: [&[(&str, &[u8])]; 3] = [
        &[
            ("torch/lib/libtorch_cpu.so", &cpu),
            ("torch/lib/libc10.so", &c10),
            ("torch/lib/libtorch_cuda.so", b"not needed"),
            (&header, b"//"),
        ],
        &[("nvidia/cu13/lib/libcudart.so.13", b"cudart")],
        &[("nvidia/cu13/lib/libcupti.so.13", b"cupti")],
    ];
    let wheels = wheels(LINUX, Variant::Cpu).unwrap();
    for (wheel, files) in wheels.iter().zip(contents).take(2) {
        add(&home, wheel.archive.name, files);
    }
    home.run(&FETCH).expect(3, &["its wheels are not all there", wheels[2].archive.name]);
    add(&home, wheels[2].archive.name, contents[2]);
    home.run(&FETCH).expect(0, &["is ready in", "linked "]);
    let lib = home.path("workspace/libtorch/lib");
    let mut names: Vec<_> = fs::read_dir(&lib)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected =
        ["libc10.so", "libcudart.so.13", "libcupti.so.13", "libtorch.so", "libtorch_cpu.so"];
    assert_eq!(names, expected);
    let umbrella = fs::read(lib.join("libtorch.so")).unwrap();
    for needed in ["libtorch_cpu.so", "libc10.so", "$ORIGIN"] {
        let found = umbrella.windows(needed.len()).any(|bytes| bytes == needed.as_bytes());
        assert!(found, "libtorch.so does not name {needed}");
    }
    let version = fs::read_to_string(home.path("workspace/libtorch/build-version")).unwrap();
    assert_eq!(version, "2.13.0+cpu\n");
}

#[test]
fn when_nothing_can_be_reached_both_reasons_are_told() {
    let home = Home::new();
    let script = "#!/bin/sh\n[ \"$3\" = --version ] && exit 0\necho no index >&2\nexit 1\n";
    executable(&home, "python3", script);
    let path = format!("{}:/usr/bin:/bin", home.path("").display());
    let unreachable = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command.env("HTTPS_PROXY", "http://127.0.0.1:1").env("PATH", &path);
        outcome(&mut command)
    };
    unreachable(&["fetch", "libtorch"]).expect(
        3,
        &[
            "the official zip cannot be fetched: https://download.pytorch.org/",
            "no index",
            "error: libtorch 2.13.0+cpu cannot be fetched: https://download.pytorch.org/",
            "python3 -m pip download failed (exit status: 1), see its messages above",
            "give a copy of the zip or a folder of the wheels with --from PATH_OR_URL",
        ],
    );
    unreachable(&["fetch", "libtorch", "--variant", "cu132"])
        .expect(3, &["there is no other source of libtorch 2.13.0+cu132 for linux x86_64"]);
    unreachable(&["fetch", "cifar10"])
        .expect(3, &["a copy of cifar-10-binary.tar.gz is taken with --from PATH_OR_URL"]);
    assert_eq!(linked(&home), None);
}

#[test]
fn a_missing_compiler_is_told_before_anything_is_downloaded() {
    let home = Home::new();
    let mut command = home.command(&["fetch", "libtorch"]);
    command.env("HTTPS_PROXY", "http://127.0.0.1:1").env("PATH", "/nowhere").env_remove("CXX");
    outcome(&mut command)
        .expect(1, &["no C++ compiler found (tried c++, g++, clang++)", "apt install"]);
}
