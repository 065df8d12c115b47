//! Progress on stderr: a bar on a terminal, a line from time to time elsewhere, nothing where info is not shown.
//!
//! All other output to the terminal goes through [`above_bars`], which removes the bars, writes, and draws them again: a
//! line from any thread is whole, and is above the bar.

mod lines;

use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use self::lines::Lines;
use crate::console::terminal::{Motion, Stderr};

/// The bars that are on the screen.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Runs `write`, which may write to the terminal, while no bar is shown. It must not log.
pub(crate) fn above_bars<R>(write: impl FnOnce() -> R) -> R {
    BARS.suspend(write)
}

/// The readers of a rank's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// People at the terminal.
    People,
    /// The log file of a rank other than 0.
    LogFile,
}

/// Progress through the images of a run.
pub(crate) struct Progress {
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar),
    Lines { started: Instant, lines: Mutex<Lines> },
    Nothing,
}

impl Progress {
    /// Progress through `images` images, for `audience`: a bar is for people only.
    pub(crate) fn new(images: u64, audience: Audience) -> Self {
        let shown = match Stderr::of_this_process().motion {
            _ if !tracing::enabled!(tracing::Level::INFO) => Shown::Nothing,
            Motion::Bar if audience == Audience::People => Shown::Bar(bar(&BARS, images)),
            Motion::Bar | Motion::Lines => {
                Shown::Lines { started: Instant::now(), lines: Mutex::new(Lines::new(images)) }
            }
        };
        Self { shown }
    }

    /// Sets the text before the bar.
    pub(crate) fn prefix(&self, text: String) {
        match &self.shown {
            Shown::Bar(bar) => bar.set_prefix(text),
            Shown::Lines { lines, .. } => {
                lines.lock().unwrap_or_else(PoisonError::into_inner).prefix = text;
            }
            Shown::Nothing => {}
        }
    }

    /// Advances to `images`, with `text` after the bar.
    pub(crate) fn update(&self, images: u64, text: String) {
        match &self.shown {
            Shown::Bar(bar) => {
                let first = bar.position() == 0;
                bar.set_message(text);
                bar.set_position(images);
                if first {
                    // A resumed run has not just done the first part of its work.
                    bar.reset_eta();
                }
            }
            Shown::Lines { started, lines } => {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(line) = lines.update(images, &text, started.elapsed()) {
                    tracing::info!("{line}");
                }
            }
            Shown::Nothing => {}
        }
    }

    /// Prints a line that stays, above the bar or in the log.
    pub(crate) fn line(&self, text: &str) {
        tracing::info!("{text}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
            BARS.remove(bar);
        }
    }
}

/// A bar among `bars`.
fn bar(bars: &MultiProgress, images: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {percent:>3}% {msg} left {eta}")
        .expect("the template is constant")
        .progress_chars("━╸─");
    let bar = bars.add(ProgressBar::new(images).with_style(style));
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
