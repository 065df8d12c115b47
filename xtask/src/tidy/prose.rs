//! The English of a file: comments, strings, Markdown.

use super::lexer::{Lexed, lex, line_of};
use super::tree::SourceFile;

/// A piece of English; its line breaks are those of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Prose {
    /// The line of its first character, counted from 1.
    pub(super) line: usize,
    /// With comment markers; code in backticks is blanked.
    pub(super) text: String,
}

/// The English of a file. Of the languages that no lexer here knows, the comments after `#`.
pub(super) fn prose(file: &SourceFile) -> Vec<Prose> {
    let mut pieces = match file.extension() {
        "md" => vec![Prose { line: 1, text: file.text.clone() }],
        "rs" | "cpp" | "h" | "cu" | "cuh" => of_rust(lex(&file.text)),
        "py" => of_python(&file.text),
        _ => joined(file.text.lines().enumerate().filter_map(|(index, line)| {
            let at = (line.starts_with('#')).then_some(0).or_else(|| Some(line.find(" #")? + 1))?;
            Some((index + 1, line[at..].to_owned()))
        })),
    };
    for piece in &mut pieces {
        piece.text = without_code(&piece.text);
    }
    pieces
}

fn of_rust(lexed: Lexed) -> Vec<Prose> {
    let Lexed { code, strings, comments } = lexed;
    let strings = strings.into_iter().map(|(at, text)| Prose { line: line_of(&code, at), text });
    joined(comments.into_iter()).into_iter().chain(strings).collect()
}

/// Comments after `#`, and strings, those that document among them.
fn of_python(source: &str) -> Vec<Prose> {
    let (mut comments, mut strings) = (Vec::new(), Vec::new());
    let (mut rest, mut line) = (source, 1);
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '#' => {
                let end = rest.find('\n').unwrap_or(rest.len());
                comments.push((line, rest[..end].to_owned()));
                end
            }
            '"' | '\'' => {
                let triple = c.to_string().repeat(3);
                let quote = if rest.starts_with(&triple) { &triple } else { &triple[..1] };
                let end = python_string_end(rest, quote);
                strings.push(Prose { line, text: rest[quote.len()..end].to_owned() });
                (end + quote.len()).min(rest.len())
            }
            _ => c.len_utf8(),
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    joined(comments.into_iter()).into_iter().chain(strings).collect()
}

/// The offset of the `quote` that closes the string which starts `text`.
fn python_string_end(text: &str, quote: &str) -> usize {
    let mut at = quote.len();
    while let Some(c) = text[at..].chars().next() {
        if text[at..].starts_with(quote) {
            return at;
        }
        let escaped = if c == '\\' { text[at + 1..].chars().next() } else { None };
        at += c.len_utf8() + escaped.map_or(0, char::len_utf8);
    }
    text.len()
}

/// Comments on consecutive lines become one piece.
fn joined(comments: impl Iterator<Item = (usize, String)>) -> Vec<Prose> {
    let mut pieces: Vec<Prose> = Vec::new();
    for (line, text) in comments {
        match pieces.last_mut() {
            Some(last)
                if last.line + last.text.matches('\n').count() + 1 == line
                    && marker(&last.text) == marker(&text) =>
            {
                last.text.push('\n');
                last.text.push_str(&text);
            }
            _ => pieces.push(Prose { line, text }),
        }
    }
    pieces
}

/// The signs that a comment starts with: `//`, `///`, `//!`, `#`.
fn marker(comment: &str) -> &str {
    let end = comment.find(|c| !"/!*#".contains(c)).unwrap_or(comment.len());
    &comment[..end]
}

/// `text` with fenced blocks and spans in backticks replaced by backticks, byte for byte.
fn without_code(text: &str) -> String {
    let mut fenced = false;
    let mut blanked = String::new();
    for line in text.split_inclusive('\n') {
        let is_fence = line.trim_start_matches(is_marker).starts_with("```");
        fenced ^= is_fence;
        for (index, part) in line.split('`').enumerate() {
            let is_code =
                fenced || is_fence || (index % 2 == 1 && line.matches('`').count() > index);
            if index > 0 {
                blanked.push('`');
            }
            if is_code {
                let blank =
                    |c: char| if c == '\n' { "\n".to_owned() } else { "`".repeat(c.len_utf8()) };
                blanked.extend(part.chars().map(blank));
            } else {
                blanked.push_str(part);
            }
        }
    }
    blanked
}

/// Whether a character at the start of a line belongs to a comment, a list or a quotation.
pub(super) fn is_marker(c: char) -> bool {
    c.is_whitespace() || "/!*#>".contains(c)
}
