//! A bar where there is a terminal, plain lines where there is none, both on stderr.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Progress through the pictures of a run.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar over `pictures` pictures; it hides itself without a terminal and when info is not shown.
    pub(crate) fn new(pictures: u64) -> Self {
        let shown = tracing::enabled!(tracing::Level::INFO);
        let target =
            if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style =
            ProgressStyle::with_template("{prefix} {wide_bar} {percent:>3}% {msg} left {eta}")
                .expect("the template is constant")
                .progress_chars("━╸─");
        let bar = ProgressBar::with_draw_target(Some(pictures), target).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(500));
        Self { bar }
    }

    /// What stands ahead of the bar.
    pub(crate) fn prefix(&self, text: String) {
        self.bar.set_prefix(text);
    }

    /// Moves on to `pictures`, with `text` behind the bar.
    pub(crate) fn update(&self, pictures: u64, text: String) {
        self.bar.set_message(text);
        self.bar.set_position(pictures);
    }

    /// A line that stays, above the bar or in the log.
    pub(crate) fn line(&self, text: &str) {
        self.bar.suspend(|| tracing::info!("{text}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
