//! Compiles what needs no libtorch while libtorch is fetched: on two cores half of the work is done when it is there.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// `cargo build` without libtorch, which fails, but not before it has built all that it can.
///
/// It is never killed: cargo's compilers would outlive it, and write beside those of the next cargo. If the fetch fails,
/// it ends on its own, and holds cargo's lock until then.
pub(super) struct EarlyBuild(Child);

impl EarlyBuild {
    /// Starts it. `None` where it cannot be started; the build proper will say why.
    pub(super) fn start(build: &mut Command) -> Option<Self> {
        build.args(["--quiet", "--keep-going"]);
        // Also after libtorch has come: what needs it is compiled in sight.
        build.env("LIBTORCH", Path::new("target").join("no-libtorch"));
        build.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = build.spawn().ok()?;
        eprintln!("compiling what needs no libtorch, while libtorch is fetched");
        Some(Self(child))
    }

    /// Waits for it. Its failure is what was expected: the build proper has the last word.
    pub(super) fn wait(mut self) {
        self.0.wait().ok();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_of_no_libtorch_and_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut build = Command::new("sh");
        build.args(["-c", "sleep 0.2; echo $LIBTORCH $* > said; exit 101", "build"]);
        build.env("LIBTORCH", "/real").current_dir(folder.path());
        EarlyBuild::start(&mut build).unwrap().wait();
        let said = std::fs::read_to_string(folder.path().join("said")).unwrap();
        assert_eq!(said, "target/no-libtorch --quiet --keep-going\n");
        assert!(EarlyBuild::start(&mut Command::new("/no/such/cargo")).is_none());
    }
}
