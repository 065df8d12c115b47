//! Compiles what needs no libtorch while libtorch is fetched: on two cores half of the work is done when it is there.

use std::process::{Child, Command, Stdio};

/// `cargo build` without libtorch, which fails, but not before it has built all that it can.
pub(super) struct EarlyBuild(Child);

impl EarlyBuild {
    /// Starts it. `None` where it cannot be started; the build proper will say why.
    pub(super) fn start(build: &mut Command) -> Option<Self> {
        build.args(["--quiet", "--keep-going"]);
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

impl Drop for EarlyBuild {
    /// Ends it with a fetch that failed.
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
