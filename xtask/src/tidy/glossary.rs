//! Phrases that the glossary of CONTRIBUTING.md replaces.
//!
//! The list is read from the document, so the two cannot part. Its header is `| not | but | allowed |`; the first and
//! the last column hold phrases in backticks. A phrase that starts with `///` is refused only where it opens a doc
//! comment.

use std::path::Path;

use super::Problem;
use super::lexer::words;
use super::markdown::{self, code_spans};
use super::prose::{Prose, is_marker, prose};
use super::tree::SourceFile;

const DOCUMENT: &str = "CONTRIBUTING.md";

/// A row of the glossary.
#[derive(Debug)]
struct Entry {
    /// Each as words, in small letters.
    phrases: Vec<Phrase>,
    instead: String,
    allowed: Vec<Phrase>,
}

#[derive(Debug)]
struct Phrase {
    words: Vec<String>,
    /// Refused only as the first words of a doc comment.
    opens_doc: bool,
}

/// A word of a piece of English.
struct Word<'a> {
    at: usize,
    text: &'a str,
}

/// Checks all files.
pub(super) fn check(files: &[SourceFile], problems: &mut Vec<Problem>) {
    let Some(document) = files.iter().find(|file| file.path == Path::new(DOCUMENT)) else { return };
    let entries = entries(&document.text);
    for file in files {
        for piece in prose(file) {
            for (line, phrase, instead) in found(&piece, &entries) {
                let message =
                    format!("\"{phrase}\": {instead}, as the glossary of {DOCUMENT} has it");
                problems.push(Problem::new(&file.path, line, message));
            }
        }
    }
}

fn entries(document: &str) -> Vec<Entry> {
    let tables = markdown::tables(document);
    let glossary = tables.iter().filter(|table| table.header.cells == ["not", "but", "allowed"]);
    let rows = glossary.flat_map(|table| &table.rows);
    rows.filter_map(|row| {
        let [not, but, allowed] = row.cells[..] else { return None };
        let phrases = |cell| code_spans(cell).map(Phrase::read).collect();
        Some(Entry { phrases: phrases(not), instead: but.to_owned(), allowed: phrases(allowed) })
    })
    .collect()
}

impl Phrase {
    fn read(text: &str) -> Self {
        let opens_doc = text.starts_with("///");
        Self { words: words(text).map(|(_, word)| word.to_lowercase()).collect(), opens_doc }
    }

    /// Whether the phrase stands in `piece` at word `start`.
    fn is_at(&self, piece: &Prose, words: &[Word<'_>], start: usize) -> bool {
        let Some(found) = words.get(start..start + self.words.len()) else { return false };
        let same =
            found.iter().zip(&self.words).all(|(word, own)| word.text.to_lowercase() == *own);
        let gaps = || {
            found.windows(2).all(|pair| {
                let gap = &piece.text[pair[0].at + pair[0].text.len()..pair[1].at];
                gap.matches('\n').count() <= 1 && gap.chars().all(|c| is_marker(c) || c == '\\')
            })
        };
        let opens_doc = || {
            let is_doc = piece.text.starts_with("///") || piece.text.starts_with("//!");
            is_doc && piece.text[..found[0].at].chars().all(is_marker)
        };
        same && gaps() && (!self.opens_doc || opens_doc())
    }
}

/// The phrases in a piece: line, phrase, and the word to use.
fn found<'a>(piece: &Prose, entries: &'a [Entry]) -> Vec<(usize, String, &'a str)> {
    let words: Vec<Word<'_>> = words(&piece.text).map(|(at, text)| Word { at, text }).collect();
    let mut found = Vec::new();
    for start in 0..words.len() {
        for entry in entries {
            let Some(phrase) =
                entry.phrases.iter().find(|phrase| phrase.is_at(piece, &words, start))
            else {
                continue;
            };
            let end = start + phrase.words.len();
            let is_allowed = entry.allowed.iter().any(|allowed| {
                let earliest = end.saturating_sub(allowed.words.len());
                (earliest..=start)
                    .any(|at| at + allowed.words.len() >= end && allowed.is_at(piece, &words, at))
            });
            if !is_allowed {
                let line = piece.line + piece.text[..words[start].at].matches('\n').count();
                found.push((line, phrase.words.join(" "), entry.instead.as_str()));
            }
        }
    }
    found
}
