//! A bar on a terminal, one plain line elsewhere; both on stderr.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

use super::artefact::Size;

/// The progress of one download or extraction.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// For a download of `size`.
    pub fn download(name: &str, size: Size) -> Self {
        let bar = match size {
            Size::Exactly(bytes) => Self::bar(name, bytes, "downloading"),
            Size::AtMost(_) => Self::bar(name, 0, "downloading"),
        };
        Self { bar }
    }

    /// For unpacking an archive to about `bytes`.
    pub fn extraction(name: &str, bytes: u64) -> Self {
        Self { bar: Self::bar(name, bytes, "extracting") }
    }

    fn bar(name: &str, bytes: u64, verb: &str) -> ProgressBar {
        if !stderr().is_terminal() {
            let size = if bytes > 0 { format!(" ({})", megabytes(bytes)) } else { String::new() };
            eprintln!("{verb} {name}{size}");
        }
        let template = "{prefix} {wide_bar} {decimal_bytes}/{decimal_total_bytes} \
                        {decimal_bytes_per_sec} {eta}";
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(bytes).with_style(style);
        bar.with_prefix(format!("{verb} {name}"))
    }

    /// Shows how far it is, of a `total` that may have become known.
    pub fn at(&self, bytes: u64, total: Option<u64>) {
        if let Some(total) = total {
            self.bar.set_length(total);
        }
        self.bar.set_position(bytes);
    }

    /// Adds to how far it is.
    pub fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// A line above the bar.
    pub fn note(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// `bytes` in the unit of the messages.
pub fn megabytes(bytes: u64) -> String {
    if bytes < 1_000_000 {
        format!("{} kB", bytes.div_ceil(1000))
    } else {
        format!("{} MB", (bytes + 500_000) / 1_000_000)
    }
}
