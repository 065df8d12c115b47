//! `gpu-kit` with stand-ins for cargo, Python and the packers: what is built, against what, and what the kit holds.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;

use super::command_line::{Home, outcome};
use super::orchestration::executable;

/// A home with a checkout, a site, and a cargo that names an executable for every target that the kit wants.
fn home() -> Home {
    let home = Home::new();
    let log = home.path("log").display().to_string();
    let built = home.path("built").display().to_string();
    executable(&home, "built", "an executable");
    let message = |name: &str, test: bool| {
        format!(
            "echo '{{\"target\":{{\"name\":\"{name}\"}},\"profile\":{{\"test\":{test}}},\"executable\":\"{built}\"}}'\n"
        )
    };
    let mut cargo = format!(
        "#!/bin/sh\necho \"$* | $LIBTORCH $CUDA_HOME $NCCL_HOME $CARGO_TARGET_DIR\" >> {log}\n\
         case \"$1\" in \"$FAIL\") exit 42;; esac\n"
    );
    for name in ["torch_ext", "trainer", "integration", "sepconv", "on_gpu"] {
        cargo += &message(name, true);
    }
    cargo += &message("xception", false);
    executable(&home, "cargo", &cargo);
    executable(&home, "strip", "#!/bin/sh\ncp \"$3\" \"$2\"\n");
    executable(&home, "xz", "#!/bin/sh\ncat \"$3\"\n");
    executable(&home, "peer", &format!("#!/bin/sh\necho \"python $*\" >> {log}\n"));
    let venv = format!(
        "#!/bin/sh\nmkdir -p \"$3/bin\" && cp {} \"$3/bin/python\"\n",
        home.path("peer").display()
    );
    executable(&home, "python", &venv);
    for (name, text) in [
        ("workspace/xtask/gpu/requirements.txt", "torch==2.11.0\n"),
        ("workspace/xtask/gpu/campaign.sh", "true\n"),
        ("workspace/xtask/gpu/stage-a.sh", "true\n"),
        ("workspace/xtask/gpu/timing.py", "pass\n"),
        ("workspace/xtask/peers/networks.py", "pass\n"),
        ("workspace/tests/golden/xception.json", "{}\n"),
        ("workspace/tests/golden/make_golden.py", "pass\n"),
        ("workspace/.gitignore", "/target\n"),
        ("site/torch/lib/libtorch_cuda.so", ""),
        ("site/torch/include/torch.h", ""),
        ("site/torch/version.py", "__version__ = '2.11.0+cu130'\n"),
        ("site/nvidia/cu13/include/cuda.h", ""),
    ] {
        let path = home.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "."],
        &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "a"],
    ] {
        let mut git = Command::new("git");
        assert!(
            git.current_dir(home.path("workspace")).args(arguments).status().unwrap().success()
        );
    }
    home
}

fn kit(home: &Home, arguments: &[&str]) -> Command {
    let python = home.path("python");
    let mut command = home.command(&["gpu-kit", "--python", python.to_str().unwrap()]);
    let path = format!("{}:{}", home.path("").display(), std::env::var("PATH").unwrap());
    command.args(arguments).env("PATH", path).env("CARGO", home.path("cargo"));
    command
}

#[test]
fn programs_and_tests_are_built_in_a_copy_against_the_site() {
    let home = home();
    outcome(&mut kit(&home, &["--site", "site"]))
        .expect(0, &["no CIFAR-10: the kit has no data", "the kit is in target/gpu-kit"]);
    let log = fs::read_to_string(home.path("log")).unwrap();
    let calls: Vec<_> = log.lines().filter(|line| !line.starts_with("python")).collect();
    assert_eq!(calls.len(), 6, "{log}");
    let site = home.path("site");
    let target = home.path("workspace/target/gpu-kit-build/target");
    let environment = format!(
        " | {0}/torch {0}/nvidia/cu13 {0}/nvidia/nccl {1}",
        site.display(),
        target.display()
    );
    let rest = " --release --locked --message-format=json-render-diagnostics";
    for (call, expected) in calls.iter().zip([
        "update -p tch --precise 0.24.0".to_owned(),
        format!("build -p xception-cli --bin xception{rest}"),
        format!("build -p xception-cli --bin xception --features cuda-graphs{rest}"),
        format!("test --no-run -p xception-cli --lib --features cuda-graphs{rest}"),
        format!("build -p xception-cli --bin xception --features cuda{rest}"),
        format!(
            "test --no-run -p xception-torch-ext -p xception-cli -p integration-tests -p xception-sepconv --lib --test integration \
             --test on_gpu --features xception-cli/cuda{rest}"
        ),
    ]) {
        assert_eq!(*call, format!("{expected}{environment}"));
    }
    let made = home.path("workspace/target/gpu-kit");
    for name in ["campaign.sh", "gpu/stage-a.sh", "gpu/timing.py", "peers/networks.py"] {
        assert!(made.join(name).is_file(), "{name}");
    }
    assert!(made.join("golden/xception.json").is_file());
    assert!(!made.join("golden/make_golden.py").exists());
    let sums = fs::read_to_string(made.join("programs/SHA256SUMS")).unwrap();
    let names: Vec<_> = sums.lines().filter_map(|line| line.split("  ").nth(1)).collect();
    let expected = [
        "xception-plain",
        "xception-libtorch",
        "trainer-libtorch",
        "xception",
        "torch_ext",
        "trainer",
        "integration",
        "sepconv",
        "on_gpu",
    ];
    assert_eq!(names, expected);
    for name in names {
        assert!(made.join(format!("programs/{name}.xz")).is_file(), "{name}");
    }
    let about = fs::read_to_string(made.join("kit.about")).unwrap();
    assert!(about.ends_with(" changed=no tch=0.24.0 libtorch=2.11.0\n"), "{about}");
    let golden = home.path("workspace/target/gpu-kit-build/tree/tests/golden");
    assert_eq!(
        fs::read_to_string(made.join("golden.path")).unwrap(),
        format!("{}\n", golden.display())
    );
    assert!(golden.join("xception.json").is_file());
}

#[test]
fn a_build_that_fails_leaves_no_kit() {
    let home = home();
    outcome(kit(&home, &["--site", "site"]).env("FAIL", "test"))
        .expect(1, &["`cargo test --no-run", "failed in", "(exit status: 42)"]);
    assert!(!home.path("workspace/target/gpu-kit").exists());
}

#[test]
fn data_is_packed_and_divided() {
    let home = home();
    let mosaics = home.path("workspace/target/gpu-kit-build/mosaics");
    fs::create_dir_all(&mosaics).unwrap();
    for (name, mebibytes) in [("a.webp", 30), ("b.webp", 31), ("labels", 1)] {
        fs::File::create(mosaics.join(name)).unwrap().set_len(mebibytes << 20).unwrap();
    }
    fs::create_dir(home.path("cifar")).unwrap();
    outcome(&mut kit(&home, &["--site", "site", "--data", "cifar"])).expect(0, &["== mosaics of"]);
    let log = fs::read_to_string(home.path("log")).unwrap();
    let call = format!("python xtask/gpu/mosaics.py pack {}", home.path("cifar").display());
    assert!(log.contains(&call), "{log}");
    let made = |name: &str| home.path("workspace/target").join(name).is_file();
    assert!(made("gpu-kit/mosaics/labels") && made("gpu-kit/mosaics/a.webp"));
    assert!(made("gpu-kit-data-1/mosaics/b.webp"));
}

#[test]
fn what_cannot_be_built_against_or_run_is_a_usage_error() {
    let home = home();
    outcome(&mut kit(&home, &["--site", "workspace"]))
        .expect(2, &["has no torch/lib/libtorch_cuda.so: name a site-packages"]);
    outcome(&mut kit(&home, &["--dry-run"]))
        .expect(2, &["there is no kit in target/gpu-kit: make it with `cargo xtask gpu-kit`"]);
    outcome(&mut kit(&home, &["A"])).expect(2, &["--dry-run"]);
}

#[test]
fn a_dry_run_sees_the_kits_files_and_neither_cargo_nor_the_checkout() {
    let home = home();
    let campaign = "set -e\n[ \"$*\" = '--dry-run A' ]\n[ -z \"${CARGO_MANIFEST_DIR:-}\" ]\n\
                    [ -e \"$(dirname \"$0\")/gpu/timing.py\" ]\npython3 here\n[ \"$WRONG\" = '' ]\n";
    fs::write(home.path("workspace/xtask/gpu/campaign.sh"), campaign).unwrap();
    outcome(&mut kit(&home, &["--site", "site"])).expect(0, &[]);
    outcome(kit(&home, &["--dry-run", "A"]).env("WRONG", "hidden"))
        .expect(0, &["every step ran on the CPU"]);
    assert!(fs::read_to_string(home.path("log")).unwrap().ends_with("python here\n"));
    outcome(&mut kit(&home, &["--dry-run", "B"]))
        .expect(1, &["the dry run failed (exit status: 1)"]);
}
