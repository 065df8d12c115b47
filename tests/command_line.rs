//! The binary as a person or a script meets it: output, files, messages, exit codes.

mod bench;
mod check;
mod deploy;
mod documents;
mod explain;
mod folders;
mod foreign_weights;
mod idea;
mod imbalance;
mod manual;
mod own_images;
mod parquet;
mod predict;
mod ranks;
mod refusals;
mod report;
mod resuming;
mod several_labels;
mod stopping;
mod tables;
mod terminal;
mod training;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The smallest network, whatever the recipe.
const SMALL: &str =
    "model.scale={ width = 0.05, middle_modules = 0, stem_stride = 2, entry_strides = [2, 2, 1] }";

/// The binary `xception`, built once from the sources as they are.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        // With the features that the tests have: another selection of packages would build the crates below anew.
        let build = ["build", "--quiet", "--workspace", "--bin", "xception"];
        let status = Command::new(env!("CARGO")).args(build).status().expect("cargo runs");
        assert!(status.success(), "the binary does not build");
        // This test lies in target/<profile>/deps.
        let test = std::env::current_exe().expect("a test has a path");
        test.ancestors().nth(2).expect("target/<profile>").join("xception")
    })
}

/// `xception train` in `folder`, to be started; on one thread, so that the machine's load decides nothing.
fn train_on_one_thread(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .arg("train")
        .args(arguments)
        .current_dir(folder)
        .env("XCEPTION_CACHE", folder.join("cache"))
        .env("OMP_NUM_THREADS", "1")
        .stdin(Stdio::null());
    command
}

/// A folder that the first test that needs it fills, for all tests of this process.
struct Shared {
    path: PathBuf,
    /// Another process that wants the folder waits until this one has ended.
    _lock: File,
}

impl Shared {
    fn new(name: &str, fill: impl FnOnce(&Path)) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let lock = File::create(folder.join(format!("{name}.lock"))).expect("a lock file");
        lock.lock().expect("a lock");
        let path = folder.join(name);
        if path.exists() {
            fs::remove_dir_all(&path).expect("the folder of an earlier process goes");
        }
        fs::create_dir(&path).expect("a new folder");
        fill(&path);
        Self { path, _lock: lock }
    }
}

/// The output of a command and its exit code.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `xception` in `folder`, where neither a cache nor a data set is in reach.
fn xception(folder: &Path, arguments: &[&str]) -> Ended {
    xception_told(folder, arguments, "")
}

/// The same, which must end well.
#[track_caller]
fn xception_well(folder: &Path, arguments: &[&str]) -> Ended {
    let ended = xception(folder, arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    ended
}

/// [`xception`] with `input`, of a few lines, on its stdin.
fn xception_told(folder: &Path, arguments: &[&str], input: &str) -> Ended {
    let mut child = Command::new(binary())
        .args(arguments)
        .current_dir(folder)
        .env("XCEPTION_CACHE", folder.join("cache"))
        .env_remove("RUST_LOG")
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // A command that reads no input may be gone already.
    child.stdin.take().expect("stdin is a pipe").write_all(input.as_bytes()).ok();
    let Output { status, stdout, stderr } = child.wait_with_output().expect("the binary ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is text");
    Ended { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// The JSON document that a command printed, which must have ended well.
#[track_caller]
fn json(ended: &Ended) -> serde_json::Value {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout))
}
