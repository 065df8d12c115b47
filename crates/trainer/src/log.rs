//! What stderr looks like: the message alone where all is well, `warning:` and `error:` ahead of it where not.

use std::env;
use std::fmt;
use std::io::{self, Write};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::cli::Verbosity;
use crate::progress::above_bars;
use crate::terminal::{Colour, Stderr};

/// Sends log lines to stderr, above the progress bar where there is one; `RUST_LOG` overrules `verbosity`.
///
/// In colour on a terminal, but for `TERM=dumb`, `NO_COLOR` and `CLICOLOR=0`; with `CLICOLOR_FORCE=1` anywhere.
pub fn init(verbosity: Verbosity) {
    let filter = EnvFilter::try_from_default_env();
    let unusable = filter.as_ref().err().map(ToString::to_string);
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| EnvFilter::new(verbosity.level())))
        .with_writer(|| AboveBars)
        .with_ansi(Stderr::of_this_process().colour == Colour::Ansi)
        .event_format(Plain)
        .init();
    if let (Some(problem), Some(value)) = (unusable, env::var_os(EnvFilter::DEFAULT_ENV)) {
        let value = value.display();
        tracing::warn!(
            "RUST_LOG={value} is passed over: {problem}; levels are error, warn, info, debug, trace"
        );
    }
}

/// stderr, with the bars out of the way. The subscriber writes a whole event at once.
struct AboveBars;

impl Write for AboveBars {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        above_bars(|| io::stderr().write(text))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The level as a word, where it is one to notice, then the message.
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
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
