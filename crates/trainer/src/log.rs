//! What stderr looks like: the message alone where all is well, `warning:` and `error:` ahead of it where not.

use std::env;
use std::fmt;
use std::io::{self, IsTerminal};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::cli::Verbosity;

/// Sends log lines to stderr, in colour on a terminal unless `NO_COLOR` is set; `RUST_LOG` overrules `verbosity`.
pub fn init(verbosity: Verbosity) {
    let colour =
        io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(verbosity.level())),
        )
        .with_writer(io::stderr)
        .with_ansi(colour)
        .event_format(Plain)
        .init();
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
