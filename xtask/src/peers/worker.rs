//! A contender as a process that is timed a round at a time and stopped in between.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use crate::process_group;

/// A running worker.
///
/// It is timed alone: the others are stopped, so that their thread pools, which spin for a while after the work is
/// done, take no core from it.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    requests: Option<ChildStdin>,
    answers: Receiver<String>,
    log: std::path::PathBuf,
}

impl Worker {
    /// Starts `command` with its stderr in the file `log`.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        // Alone in its process group: if this process is killed while the worker is stopped, the kernel ends the
        // orphaned group by SIGHUP, and no stopped process remains.
        process_group::lead(&mut command);
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().with_context(|| format!("cannot run {program}"))?;
        let stdout = BufReader::new(child.stdout.take().context("stdout is a pipe")?);
        let (send, answers) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let requests = child.stdin.take();
        Ok(Self { child, requests, answers, log: log.to_owned() })
    }

    /// Waits for the line that says that the network is built and warm, and returns it.
    ///
    /// # Errors
    ///
    /// When the worker ends, says something else, or takes longer than `limit`.
    pub fn ready(&mut self, limit: Duration) -> Result<Value> {
        let line = self.line(limit)?;
        let answer: Option<Value> = serde_json::from_str(&line).ok();
        answer
            .filter(|answer| answer["ready"] == true)
            .ok_or_else(|| anyhow!("said {line:?} where {{\"ready\": true}} was due"))
    }

    /// Has one round timed, and returns the milliseconds of a step.
    ///
    /// # Errors
    ///
    /// When the worker ends, says something else, or takes longer than `limit`.
    pub fn round(&mut self, limit: Duration) -> Result<f64> {
        if let Some(requests) = &mut self.requests {
            // The missing answer of a worker that is gone tells the reason.
            requests.write_all(b"round\n").ok();
        }
        let line = self.line(limit)?;
        let answer: Option<Value> = serde_json::from_str(&line).ok();
        answer
            .and_then(|answer| answer["ms_per_step"].as_f64())
            .filter(|milliseconds| *milliseconds > 0.0)
            .ok_or_else(|| anyhow!("said {line:?} where a positive \"ms_per_step\" was due"))
    }

    fn line(&mut self, limit: Duration) -> Result<String> {
        match self.answers.recv_timeout(limit) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => bail!("no answer in {} s", limit.as_secs_f64()),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait().context("cannot wait for it")?;
                let text = fs::read(&self.log).unwrap_or_default();
                let text = String::from_utf8_lossy(&text).into_owned();
                match text.lines().rev().map(str::trim).find(|line| !line.is_empty()) {
                    Some(reason) => bail!("{reason} ({status})"),
                    None => bail!("ended without a message ({status})"),
                }
            }
        }
    }

    /// Stops the process, until [`Worker::resume`].
    ///
    /// # Errors
    ///
    /// When the signal cannot be sent.
    pub fn stop(&self) -> Result<()> {
        process_group::signal(&self.child, "STOP")
    }

    /// Continues the process.
    ///
    /// # Errors
    ///
    /// When the signal cannot be sent.
    pub fn resume(&self) -> Result<()> {
        process_group::signal(&self.child, "CONT")
    }

    /// The most memory that it ever had resident, in bytes.
    pub fn peak_memory(&self) -> Option<u64> {
        peak_of(&fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?)
    }
}

/// The `VmHWM` of a `/proc/PID/status`, in bytes.
fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

impl Drop for Worker {
    /// Ends it, stopped or not.
    fn drop(&mut self) {
        drop(self.requests.take());
        // The whole group: a worker that compiles has compilers of its own.
        process_group::signal(&self.child, "KILL").ok();
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_memory_is_read_from_the_status() {
        assert_eq!(peak_of("Name:\tsh\nVmHWM:\t    1024 kB\nVmRSS:\t 512 kB\n"), Some(1_048_576));
        assert_eq!(peak_of("Name:\tsh\n"), None);
    }
}
