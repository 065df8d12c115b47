//! Compiles what needs no libtorch while libtorch is fetched.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::process_group;

/// `cargo build` without libtorch, which fails, but not before it has built all that it can.
pub(super) struct EarlyBuild(Child);

impl EarlyBuild {
    /// Starts it. `None` where it cannot be started; the build proper will say why.
    pub(super) fn start(build: &mut Command) -> Option<Self> {
        build.args(["--quiet", "--keep-going"]);
        // Also after libtorch has come: what needs it is compiled in sight.
        build.env("LIBTORCH", Path::new("target").join("no-libtorch"));
        build.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own, so that its compilers can be ended with it.
        process_group::lead(build);
        let child = build.spawn().ok()?;
        eprintln!("compiling what needs no libtorch, while libtorch is fetched");
        Some(Self(child))
    }
}

impl Drop for EarlyBuild {
    /// Ends it: the build proper takes what is finished, and compiles the rest beside what needs libtorch.
    ///
    /// By a signal to the group, as compilers that outlive cargo would write beside those of the next one. Where no
    /// signal can be sent, it is waited for.
    fn drop(&mut self) {
        process_group::signal(&self.0, "TERM").ok();
        self.0.wait().ok();
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn it_is_told_of_no_libtorch_and_ends_with_its_compilers() {
        let folder = tempfile::tempdir().unwrap();
        let mut build = Command::new("sh");
        build.args(["-c", "sleep 60 & echo $LIBTORCH $* $! > said; wait", "build"]);
        build.env("LIBTORCH", "/real").current_dir(folder.path());
        let early = EarlyBuild::start(&mut build).unwrap();
        let said = || fs::read_to_string(folder.path().join("said")).unwrap_or_default();
        let start = Instant::now();
        while said().is_empty() && start.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let (words, compiler) =
            said().trim().rsplit_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert_eq!(words, "target/no-libtorch --quiet --keep-going");
        drop(early);
        let state = || fs::read_to_string(format!("/proc/{compiler}/stat")).unwrap_or_default();
        // It may wait for its parent to see that it is gone.
        while !state().is_empty() && !state().contains(") Z") {
            assert!(start.elapsed() < Duration::from_secs(20), "it is still there: {}", state());
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(EarlyBuild::start(&mut Command::new("/no/such/cargo")).is_none());
    }
}
