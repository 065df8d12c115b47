//! `fetch` as a user runs it: messages, exit codes, and what is in the cache afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::archives::{CIFAR10, black_cifar10, file, mirror, sums, tar_gz};
use super::server::{Server, ranged, respond, whole};

/// A cache and a workspace of their own.
pub(crate) struct Home {
    folder: TempDir,
}

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("workspace/xtask")).unwrap();
        fs::create_dir(folder.path().join("mirror")).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The real binary, with an environment that hides the machine's.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).current_dir(self.folder.path());
        for name in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"] {
            command.env_remove(name).env_remove(name.to_ascii_lowercase());
        }
        command.env_remove("LIBTORCH").env_remove("LIBTORCH_USE_PYTORCH");
        command.env("CARGO_MANIFEST_DIR", self.path("workspace/xtask"));
        command.env("XCEPTION_CACHE", self.path("cache"));
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        outcome(&mut self.command(arguments))
    }

    /// The names in the cache but for locks, sorted, two levels deep.
    pub(crate) fn cached(&self) -> Vec<String> {
        let list = |path: &Path| -> Vec<_> {
            let entries = fs::read_dir(path).into_iter().flatten();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let mut names = Vec::new();
        for name in list(&self.path("cache")).into_iter().filter(|name| name != "locks") {
            let inner = list(&self.path("cache").join(&name));
            names.extend(inner.into_iter().map(|file| format!("{name}/{file}")));
        }
        names.sort();
        names
    }

    #[track_caller]
    pub(crate) fn has_cifar10(&self) {
        let mut expected: Vec<_> = (1..=5).map(|n| format!("data_batch_{n}.bin")).collect();
        expected
            .extend(["batches.meta.txt", "provenance.json", "test_batch.bin"].map(String::from));
        expected.sort();
        let expected: Vec<_> =
            expected.into_iter().map(|name| format!("cifar-10-batches-bin/{name}")).collect();
        assert_eq!(self.cached(), expected);
        let batch = self.path("cache/cifar-10-batches-bin/test_batch.bin");
        assert_eq!(fs::metadata(batch).unwrap().len(), 30_730_000);
    }
}

pub(crate) fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    Outcome { code: output.status.code(), stderr }
}

impl Outcome {
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for text in texts {
            assert!(self.stderr.contains(text), "no {text:?} in: {}", self.stderr);
        }
    }
}

#[test]
fn a_mirror_folder_is_taken_said_aloud_and_kept() {
    let home = Home::new();
    mirror(&home.path("mirror"));
    // What a run that was killed while extracting leaves.
    for left in ["cifar-10-batches-bin.incomplete", "cifar-10-batches-bin.old"] {
        fs::create_dir_all(home.path("cache").join(left)).unwrap();
        fs::write(home.path("cache").join(left).join("test_batch.bin"), "half").unwrap();
    }
    let fetch = ["fetch", "cifar10", "--from", "mirror"];
    home.run(&fetch).expect(
        0,
        &[
            "not the official archive: ",
            "the mirror's own SHA256SUMS vouches for it",
            "is ready in",
        ],
    );
    home.has_cifar10();
    let provenance = home.path("cache/cifar-10-batches-bin/provenance.json");
    let provenance = fs::read_to_string(provenance).unwrap();
    assert!(provenance.contains("\"official\": false"), "{provenance}");
    assert!(home.path("mirror").join(CIFAR10).exists(), "the user's own file is gone");

    fs::remove_dir_all(home.path("mirror")).unwrap();
    fs::create_dir(home.path("mirror")).unwrap();
    home.run(&fetch).expect(0, &["cifar10 is there already"]);
    home.run(&["fetch", "cifar10", "--offline"]).expect(0, &["cifar10 is there already"]);

    let batch = home.path("cache/cifar-10-batches-bin/data_batch_3.bin");
    fs::write(&batch, "short").unwrap();
    let damaged = "data_batch_3.bin is 5 bytes, was 30730000 bytes";
    home.run(&fetch).expect(3, &[damaged, "there is no cifar-10-binary.tar.gz in"]);
    mirror(&home.path("mirror"));
    home.run(&fetch).expect(0, &[damaged, "is ready in"]);
    home.has_cifar10();
}

#[test]
fn a_file_is_vouched_for_by_the_list_beside_it() {
    let home = Home::new();
    mirror(&home.path("mirror"));
    let from = format!("mirror/{CIFAR10}");
    home.run(&["fetch", "cifar10", "--from", &from]).expect(0, &["vouches for it"]);
    home.has_cifar10();
}

#[test]
fn an_unofficial_archive_without_a_voucher_is_refused() {
    let home = Home::new();
    mirror(&home.path("mirror"));
    let list = home.path("mirror/SHA256SUMS");
    fs::remove_file(&list).unwrap();
    let fetch = ["fetch", "cifar10", "--from", "mirror"];
    home.run(&fetch).expect(
        3,
        &["170052171 bytes: cut off", "the official archive has c4a38c50", "would vouch for it"],
    );
    fs::write(&list, format!("{}  {CIFAR10}\n", "0".repeat(64))).unwrap();
    home.run(&fetch).expect(3, &["is damaged: it has sha256", "its SHA256SUMS says 0000"]);
    fs::rename(home.path("mirror").join(CIFAR10), home.path("mirror/other.tar.gz")).unwrap();
    let fetch = ["fetch", "cifar10", "--from", "mirror/other.tar.gz"];
    home.run(&fetch).expect(3, &["other.tar.gz is not cifar-10-binary.tar.gz"]);
    assert_eq!(home.cached(), Vec::<String>::new());
}

#[test]
fn a_mirror_on_the_web_is_taken_by_folder_or_file() {
    let server = Server::start(|request, stream| match request.path.as_str() {
        "/m/SHA256SUMS" => whole(stream, sums(black_cifar10()).as_bytes()),
        path if path == format!("/m/{CIFAR10}") => ranged(request, stream, black_cifar10()),
        _ => respond(stream, "404 Not Found", &["Content-Length: 0"], b""),
    });
    for place in ["/m", "/m/", &format!("/m/{CIFAR10}")] {
        let home = Home::new();
        let url = format!("{}{place}", server.url);
        let outcome = home.run(&["fetch", "cifar10", "--from", &url]);
        outcome.expect(0, &["vouches for it", "removed what was downloaded", "is ready in"]);
        home.has_cifar10();
    }
    let home = Home::new();
    let url = format!("{}/m", server.url);
    let missing = format!("there is no cifar-100-binary.tar.gz at {url}");
    home.run(&["fetch", "cifar100", "--from", &url]).expect(3, &[&missing]);
    home.run(&["fetch", "libtorch", "--from", &url]).expect(3, &["no libtorch 2.13.0+cpu at"]);
    let url = format!("{}/empty", server.url);
    home.run(&["fetch", "cifar10", "--from", &url]).expect(3, &["there is no cifar-10-binary"]);
    assert_eq!(home.cached(), Vec::<String>::new());
}

#[test]
fn wrong_bytes_from_a_mirror_leave_nothing() {
    let server = Server::start(|request, stream| match request.path.as_str() {
        "/SHA256SUMS" => whole(stream, sums(black_cifar10()).as_bytes()),
        _ => whole(stream, &black_cifar10()[1..]),
    });
    let home = Home::new();
    home.run(&["fetch", "cifar10", "--from", &server.url]).expect(3, &["has sha256", "expected"]);
    assert_eq!(home.cached(), Vec::<String>::new());
}

#[test]
fn an_archive_that_is_vouched_for_but_unusable_leaves_nothing() {
    let archive = tar_gz(&[file("cifar-10-batches-bin/evil.sh", b"evil")]);
    let server = Server::start(move |request, stream| match request.path.as_str() {
        "/SHA256SUMS" => whole(stream, sums(&archive).as_bytes()),
        _ => ranged(request, stream, &archive),
    });
    let home = Home::new();
    let evil = "entry \"cifar-10-batches-bin/evil.sh\" is not one of the known files";
    home.run(&["fetch", "cifar10", "--from", &server.url]).expect(3, &[evil]);
    assert_eq!(home.cached(), Vec::<String>::new());
}

#[test]
fn proxies_of_the_environment_are_used() {
    let server = Server::start(|request, stream| match request.path.as_str() {
        "/SHA256SUMS" => whole(stream, sums(black_cifar10()).as_bytes()),
        _ => ranged(request, stream, black_cifar10()),
    });
    let home = Home::new();
    let mut command = home.command(&["fetch", "cifar10", "--from", "http://mirror.invalid"]);
    outcome(command.env("HTTP_PROXY", &server.url)).expect(0, &["is ready in"]);
    let first = &server.requests()[0];
    assert_eq!((first.method.as_str(), first.path.as_str()), ("CONNECT", "mirror.invalid:80"));
}

#[test]
fn what_the_user_put_there_is_left_alone() {
    let home = Home::new();
    mirror(&home.path("mirror"));
    let own = home.path("cache/cifar-10-batches-bin/mine.txt");
    fs::create_dir_all(own.parent().unwrap()).unwrap();
    fs::write(&own, "mine").unwrap();
    let fetch = ["fetch", "cifar10", "--from", "mirror"];
    home.run(&fetch).expect(1, &["`cargo xtask fetch` did not put it there: move it elsewhere"]);
    assert_eq!(home.cached(), ["cifar-10-batches-bin/mine.txt"]);
}

#[test]
fn offline_says_what_is_missing_and_how_to_get_it() {
    let home = Home::new();
    let cure = "run `cargo xtask fetch cifar10` online, or give a copy of cifar-10-binary.tar.gz";
    home.run(&["fetch", "cifar10", "--offline"]).expect(3, &["--offline forbids", cure]);
    home.run(&["fetch", "libtorch", "--offline"])
        .expect(3, &["libtorch 2.13.0+cpu is not in", "run `cargo xtask fetch libtorch` online"]);
    let both = ["fetch", "all", "--offline"];
    home.run(&both).expect(3, &["\n  libtorch: ", "\n  cifar10: ", "\n  cifar100: "]);
    mirror(&home.path("mirror"));
    home.run(&["fetch", "cifar10", "--offline", "--from", "mirror"]).expect(0, &["is ready in"]);
}

#[test]
fn all_continues_after_a_failure() {
    let home = Home::new();
    mirror(&home.path("mirror"));
    let outcome = home.run(&["fetch", "all", "--from", "mirror"]);
    outcome
        .expect(3, &["not everything could be fetched", "\n  libtorch: no libtorch 2.13.0+cpu in"]);
    assert!(!outcome.stderr.contains("\n  cifar10:"), "{}", outcome.stderr);
    home.has_cifar10();
}

/// One test for each command line that ends with exit code 2 and a message.
macro_rules! usage_errors {
    ($($name:ident: $arguments:expr => $expected:expr;)*) => {$(
        #[test]
        fn $name() {
            Home::new().run(&$arguments).expect(2, &[$expected]);
        }
    )*};
}

usage_errors! {
    an_unknown_artefact: ["fetch", "imagenet"] => "invalid value 'imagenet'";
    a_source_that_is_not_there: ["fetch", "cifar10", "--from", "nowhere"] => "--from nowhere: No such file";
    a_source_by_ftp: ["fetch", "cifar10", "--from", "ftp://a/b"] => "only http and https URLs";
    a_url_while_offline: ["fetch", "cifar10", "--offline", "--from", "https://a.invalid/b"] => "--from names a URL";
    a_variant_of_a_data_set: ["fetch", "cifar10", "--variant", "cpu"] => "--variant is for libtorch only";
    seeds_that_are_not_there: ["golden", "--seeds", "nowhere"] => "no such folder";
    an_unknown_command: ["fly"] => "unrecognized subcommand 'fly'";
}

#[test]
#[cfg(target_os = "linux")]
fn a_cache_that_cannot_be_written_is_named() {
    let home = Home::new();
    mirror(&home.path("mirror"));
    let mut command = home.command(&["fetch", "cifar10", "--from", "mirror"]);
    // Not even root can create a folder there.
    outcome(command.env("XCEPTION_CACHE", "/proc/xception"))
        .expect(1, &["cannot create the folder /proc/xception", "set XCEPTION_CACHE to a folder"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_leaves_nothing_under_the_final_name() {
    let home = Home::new();
    mirror(&home.path("mirror"));
    let inner = home.command(&["fetch", "cifar10", "--from", "mirror"]);
    let mut command = Command::new("bash");
    // 20 MB a file; the signal is ignored so that the write fails as on a full disk.
    command.args(["-c", "trap '' XFSZ; ulimit -f 20000; exec \"$@\"", "bash"]);
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(home.folder.path());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    outcome(&mut command).expect(1, &["cannot write", "data_batch_1.bin", "File too large"]);
    assert_eq!(home.cached(), Vec::<String>::new());
}
