//! The abilities of stderr: colours and a moving bar on a terminal, plain lines elsewhere.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal};

/// Whether warnings and errors are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// ANSI escape sequences.
    Ansi,
    /// Text alone.
    Plain,
}

/// The form of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Motion {
    /// A bar that is redrawn.
    Bar,
    /// A line from time to time.
    Lines,
}

/// The form of output on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stderr {
    /// For log lines.
    pub(crate) colour: Colour,
    /// For progress.
    pub(crate) motion: Motion,
}

impl Stderr {
    /// The form for this process.
    pub(crate) fn of_this_process() -> Self {
        Self::decide(io::stderr().is_terminal(), |name| env::var_os(name))
    }

    /// As <https://bixense.com/clicolors/> and <https://no-color.org/> have it: `NO_COLOR` over `CLICOLOR_FORCE` over
    /// what the terminal can do. None of them says anything of the bar.
    fn decide(is_terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let value = |name| variable(name).filter(|value| !value.is_empty());
        // Outside Windows a terminal says what it is.
        let moves = is_terminal && value("TERM").map_or(cfg!(windows), |term| term != "dumb");
        let says_yes = |name| value(name).is_some_and(|value| value != "0");
        let says_no = |name| value(name).is_some_and(|value| value == "0");
        let coloured = value("NO_COLOR").is_none()
            && (says_yes("CLICOLOR_FORCE") || (moves && !says_no("CLICOLOR")));
        Self {
            colour: if coloured { Colour::Ansi } else { Colour::Plain },
            motion: if moves { Motion::Bar } else { Motion::Lines },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The decision for variables given as `NAME=value NAME=value`.
    #[track_caller]
    fn check(is_terminal: bool, variables: &str, colour: Colour, motion: Motion) {
        let variables: Vec<_> =
            variables.split(' ').filter_map(|pair| pair.split_once('=')).collect();
        let decided = Stderr::decide(is_terminal, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        });
        assert_eq!(decided, Stderr { colour, motion }, "{is_terminal} {variables:?}");
    }

    #[test]
    fn a_terminal_has_colours_and_a_bar_and_anything_else_neither() {
        check(true, "TERM=xterm", Colour::Ansi, Motion::Bar);
        check(false, "TERM=xterm", Colour::Plain, Motion::Lines);
        check(true, "TERM=dumb", Colour::Plain, Motion::Lines);
        check(false, "", Colour::Plain, Motion::Lines);
        if cfg!(unix) {
            check(true, "", Colour::Plain, Motion::Lines);
        }
    }

    #[test]
    fn the_user_has_the_last_word_on_colours_and_none_on_the_bar() {
        check(true, "TERM=xterm NO_COLOR=1", Colour::Plain, Motion::Bar);
        check(true, "TERM=xterm NO_COLOR=", Colour::Ansi, Motion::Bar);
        check(true, "TERM=xterm CLICOLOR=0", Colour::Plain, Motion::Bar);
        check(true, "TERM=xterm CLICOLOR=1", Colour::Ansi, Motion::Bar);
        check(false, "CLICOLOR_FORCE=1", Colour::Ansi, Motion::Lines);
        check(false, "CLICOLOR_FORCE=0", Colour::Plain, Motion::Lines);
        check(true, "TERM=dumb CLICOLOR_FORCE=1", Colour::Ansi, Motion::Lines);
        check(true, "TERM=xterm CLICOLOR_FORCE=1 CLICOLOR=0", Colour::Ansi, Motion::Bar);
        check(true, "TERM=xterm NO_COLOR=1 CLICOLOR_FORCE=1", Colour::Plain, Motion::Bar);
    }
}
