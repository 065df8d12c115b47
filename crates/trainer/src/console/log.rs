//! Log lines on stderr: the message alone, or with `warning:` or `error:` before it.

use std::env;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::console::escape;
use crate::console::progress::{Audience, above_bars};
use crate::console::terminal::{Colour, Stderr};
use crate::console::verbosity::Verbosity;
use crate::file_error::FileError;

/// Sends log lines to stderr, above the progress bar where there is one; `RUST_LOG` overrules `verbosity`.
///
/// In colour on a terminal, but for `TERM=dumb`, `NO_COLOR` and `CLICOLOR=0`; with `CLICOLOR_FORCE=1` anywhere.
pub fn init(verbosity: Verbosity) {
    let filter = EnvFilter::try_from_default_env();
    let unusable = filter.as_ref().err().map(ToString::to_string);
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| EnvFilter::new(verbosity.level())))
        .with_writer(Destination)
        .with_ansi(Stderr::of_this_process().colour == Colour::Ansi)
        // It would say so on stderr, which is what cannot be written to.
        .log_internal_errors(false)
        .event_format(Plain)
        .init();
    if let (Some(problem), Some(value)) = (unusable, env::var_os(EnvFilter::DEFAULT_ENV)) {
        let value = value.display();
        tracing::warn!(
            "RUST_LOG={value} is ignored: {problem}; levels are error, warn, info, debug, trace"
        );
    }
}

/// The log of a rank other than 0. Ranks log the same, so only rank 0 writes to the terminal.
struct Follower {
    rank: usize,
    /// Lines before the file was known.
    early: Vec<u8>,
    file: Option<File>,
}

static FOLLOWER: Mutex<Option<Follower>> = Mutex::new(None);

fn follower() -> MutexGuard<'static, Option<Follower>> {
    FOLLOWER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The readers of this process's log.
pub(crate) fn audience() -> Audience {
    match *follower() {
        None => Audience::People,
        Some(_) => Audience::LogFile,
    }
}

/// Sends only errors of this process, which is `rank`, to stderr from now on.
pub(crate) fn follow(rank: usize) {
    *follower() = Some(Follower { rank, early: Vec::new(), file: None });
}

/// Logs a line that is also shown on stderr for ranks other than 0.
pub(crate) fn aloud(text: &str) {
    if tracing::enabled!(Level::INFO)
        && let Some(Follower { rank, .. }) = &*follower()
    {
        say(&format!("rank {rank}: {text}\n"));
    }
    tracing::info!("{text}");
}

/// Sends everything to the file at `path` from now on, after the lines so far.
pub(crate) fn to_file(path: &Path) -> Result<(), FileError> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(FileError::on("create", path))?;
    if let Some(follower) = &mut *follower() {
        file.write_all(&follower.early).map_err(FileError::on("write", path))?;
        follower.early.clear();
        follower.file = Some(file);
    }
    Ok(())
}

impl Follower {
    fn take(&mut self, text: &[u8], level: Level) -> io::Result<()> {
        if level == Level::ERROR {
            let text = String::from_utf8_lossy(text).into_owned();
            say(&format!("rank {}: {text}", self.rank));
        }
        match &mut self.file {
            Some(file) => file.write_all(text),
            None => self.early.write_all(text),
        }
    }
}

/// Writes to stderr. A terminal that is closed, or a full disk under a log, ends no run.
fn say(text: &str) {
    io::stderr().write_all(text.as_bytes()).ok();
}

/// stderr without the progress bars, or the log of a rank other than 0. The subscriber writes a whole event at once.
struct Destination;

/// The destination of one event.
struct Line {
    level: Level,
}

impl MakeWriter<'_> for Destination {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line { level: Level::INFO }
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> Line {
        Line { level: *metadata.level() }
    }
}

impl Write for Line {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match &mut *follower() {
            Some(follower) => follower.take(text, self.level).map(|()| text.len()),
            None => {
                above_bars(|| io::stderr().write_all(text)).ok();
                Ok(text.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush().ok();
        Ok(())
    }
}

/// Formats an event as its level, unless it is info, and its message.
struct Plain;

impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (word, colour) = match *event.metadata().level() {
            Level::ERROR => ("error: ", "\x1b[1;31m"),
            Level::WARN => ("warning: ", "\x1b[1;33m"),
            Level::INFO => ("", ""),
            _ => ("debug: ", "\x1b[2m"),
        };
        if writer.has_ansi_escapes() && !word.is_empty() {
            write!(writer, "{colour}{word}\x1b[0m")?;
        } else {
            writer.write_str(word)?;
        }
        let mut text = String::new();
        context.format_fields(Writer::new(&mut text), event)?;
        writeln!(writer, "{}", escape::lines(&text))
    }
}
