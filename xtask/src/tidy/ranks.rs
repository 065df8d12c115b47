//! One rank is the same code path as many: outside the trainer's `ranks`, nothing depends on how many there are.
//!
//! The number is known by the names of [`NUMBERS`], in all files of the trainer but those of tests. The files of [`KNOW_IT`]
//! record, print, multiply or divide it; every other is refused. No file may compare it where it asks for it: a number
//! that was put into a variable before is not followed.

use std::path::Path;

use super::Problem;
use super::lexer::{lex, line_of};
use super::tokens::{Token, closing, is_word, tokens, without_tests};
use super::tree::SourceFile;

const TRAINER: &str = "crates/trainer/src";

/// The module that may do all this.
const RANKS: &str = "crates/trainer/src/ranks";

/// Methods that return the number of ranks, or nothing where there is one.
const NUMBERS: &[&str] = &["ranks", "peers", "on_this_machine"];

/// A field that is the number, as `datasets` has it.
const FIELD: &str = "world_size";

/// The files that know the number, with their use of it.
const KNOW_IT: &[(&str, &str)] = &[
    ("evaluation/counts.rs", "divides a batch by it, for the images of one rank"),
    ("learner/exchange.rs", "chooses the exchange, once, when a learner is built"),
    ("learner/exchange/several_ranks.rs", "prints it in an error, where there are several"),
    ("recipe/ranks.rs", "multiplies the learning rate by it"),
    ("training/origin.rs", "records it, and counts the batches of a recorded number"),
    ("training/resuming.rs", "records it, and hands it to the comparison with a recorded run"),
    ("training/run_plan.rs", "records it in a new run's folder"),
    ("training/sets.rs", "multiplies the size of a batch by it"),
    ("training/setup.rs", "multiplies the learning rate by it, and divides the free memory"),
];

/// Methods that compare.
const COMPARING: &[&str] = &["cmp", "eq", "ge", "gt", "is_none", "is_some", "le", "lt", "ne"];

/// Checks one Rust source.
pub(super) fn check(file: &SourceFile, problems: &mut Vec<Problem>) {
    let Ok(inside) = file.path.strip_prefix(TRAINER) else { return };
    let is_of_tests = inside.iter().any(|part| part == "tests" || part == "tests.rs");
    let is_in_ranks =
        file.path.starts_with(RANKS) || file.path == Path::new(RANKS).with_extension("rs");
    if is_of_tests || is_in_ranks {
        return;
    }
    let code = without_tests(&lex(&file.text).code);
    let tokens = tokens(&code);
    let uses: Vec<usize> = (0..tokens.len()).filter(|at| is_the_number(&tokens, *at)).collect();
    let knows_it = KNOW_IT.iter().any(|(known, _)| inside == Path::new(known));
    let mut problem = |line, message: &str| problems.push(Problem::new(&file.path, line, message));
    if knows_it && uses.is_empty() {
        problem(
            0,
            "does not know the number of ranks: remove it from the list in xtask/src/tidy/ranks.rs",
        );
    }
    for at in uses {
        let line = line_of(&code, tokens[at].at);
        if is_compared(&tokens, at) {
            let message = "compares the number of ranks: one rank is the same code path as many; give `World` a method \
                           that does what is meant for any number, or an `Exchange`";
            problem(line, message);
        } else if !knows_it {
            let message = "asks for the number of ranks: one rank is the same code path as many; give `World` a method \
                           that does what is meant for any number, or, where it is only recorded, printed or multiplied, \
                           list the file in xtask/src/tidy/ranks.rs";
            problem(line, message);
        }
    }
}

fn text<'a>(tokens: &[Token<'a>], at: Option<usize>) -> &'a str {
    at.and_then(|at| tokens.get(at)).map_or("", |token| token.text)
}

/// Whether token `at` is the name in `world.ranks()`, `World::ranks`, `share.world_size` and the like.
fn is_the_number(tokens: &[Token<'_>], at: usize) -> bool {
    let name = tokens[at].text;
    if !NUMBERS.contains(&name) {
        return name == FIELD;
    }
    let after = text(tokens, Some(at + 1));
    match text(tokens, at.checked_sub(1)) {
        "." => after == "(",
        "::" => text(tokens, at.checked_sub(2)).starts_with(|c: char| c.is_uppercase() || c == '>'),
        _ => false,
    }
}

/// Whether the number whose name is token `at` is compared there, or matched.
fn is_compared(tokens: &[Token<'_>], at: usize) -> bool {
    let is_called = text(tokens, Some(at + 1)) == "(";
    let mut end = if is_called { closing(tokens, at + 1) } else { at + 1 };
    if text(tokens, Some(end)) == "as" {
        end += 2;
    }
    let next = text(tokens, Some(end));
    let after = match next {
        "=" | "!" => text(tokens, Some(end + 1)) == "=",
        "." => COMPARING.contains(&text(tokens, Some(end + 1))),
        _ => ["<", ">", "{"].contains(&next),
    };
    let mut start = at;
    while start > 0 && is_of_a_receiver(tokens[start - 1].text) {
        start -= 1;
    }
    let sign = [text(tokens, start.checked_sub(2)), text(tokens, start.checked_sub(1))];
    let before = match sign {
        ["=" | "!" | "<" | ">", "="] => true,
        // An arrow, of an arm or a type, is no comparison, and nor is `<World>::ranks`.
        [first, "<" | ">"] => !["=", "-"].contains(&first) && text(tokens, Some(start)) != "::",
        _ => false,
    };
    after || before
}

/// Whether a token may stand in `self.world()` of `self.world().ranks()`.
fn is_of_a_receiver(text: &str) -> bool {
    is_word(text) || [".", "::", "(", ")", "&", "*"].contains(&text)
}
