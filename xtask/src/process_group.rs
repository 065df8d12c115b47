//! A child in a process group of its own, so that a signal reaches what it started, too.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// Has `command` start in a group of its own; without effect where there are none.
pub(crate) fn lead(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(not(unix))]
    let _ = command;
}

/// Sends the signal `name`, as in `KILL`, to the group that `child` leads.
///
/// Through the shell, whose `kill` is built in: the standard library has no signals but KILL.
///
/// # Errors
///
/// When it cannot be sent.
pub(crate) fn signal(child: &Child, name: &str) -> Result<()> {
    let group = format!("kill -s {name} -- -{}", child.id());
    let status = Command::new("sh").args(["-c", &group]).stderr(Stdio::null()).status();
    let status = status.context("cannot run sh")?;
    if !status.success() {
        bail!("`{group}` failed ({status})");
    }
    Ok(())
}
