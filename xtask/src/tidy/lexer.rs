//! Tells code from comments and strings, so that a rule on code does not read prose.

/// A Rust source, split.
#[derive(Default)]
pub(super) struct Lexed {
    /// The source with comments and the inside of strings replaced by spaces; lines stay in place.
    pub(super) code: String,
    /// String literals: the offset in `code` of each one's opening quote, and the text between the quotes.
    pub(super) strings: Vec<(usize, String)>,
    /// Comments with their markers: the line where each starts, and its text.
    pub(super) comments: Vec<(usize, String)>,
}

/// Splits `source`. Text that does not lex counts as code: the compiler will complain about it.
pub(super) fn lex(source: &str) -> Lexed {
    let mut lexer = Lexer { rest: source, line: 1, lexed: Lexed::default() };
    while let Some(c) = lexer.rest.chars().next() {
        lexer.step(c);
    }
    lexer.lexed
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    lexed: Lexed,
}

impl Lexer<'_> {
    fn step(&mut self, c: char) {
        let after_word = self.lexed.code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if self.rest.starts_with("//") {
            self.comment(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            self.comment(block_comment(self.rest));
        } else if let Some(hashes) = raw_string(self.rest).filter(|_| !after_word) {
            let open = self.rest.find('"').unwrap_or(0) + 1;
            let close = format!("\"{}", "#".repeat(hashes));
            let end = self.rest[open..].find(&close).map_or(self.rest.len(), |at| open + at);
            self.string(open, end, close.len());
        } else if c == '"' {
            let end = string_end(self.rest);
            self.string(1, end, 1);
        } else if c == '\'' {
            match char_literal(self.rest) {
                Some(length) => self.blank(length),
                None => self.keep(1),
            }
        } else {
            self.keep(c.len_utf8());
        }
    }

    fn keep(&mut self, bytes: usize) {
        let (text, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.line += text.matches('\n').count();
        self.lexed.code.push_str(text);
        self.rest = rest;
    }

    fn blank(&mut self, bytes: usize) {
        let (text, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.line += text.matches('\n').count();
        self.lexed.code.extend(text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        self.rest = rest;
    }

    fn comment(&mut self, bytes: usize) {
        self.lexed.comments.push((self.line, self.rest[..bytes].to_owned()));
        self.blank(bytes);
    }

    fn string(&mut self, open: usize, end: usize, close: usize) {
        let text = self.rest[open..end].to_owned();
        self.keep(open);
        self.lexed.strings.push((self.lexed.code.len() - 1, text));
        self.blank(end - open);
        self.keep(close);
    }
}

/// Length of a block comment; they nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The number of hashes when `text` starts a raw string.
fn raw_string(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let inner = rest.trim_start_matches('#');
    inner.starts_with('"').then(|| rest.len() - inner.len())
}

/// The offset of the quote that closes the string which starts `text`.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at,
            _ => {}
        }
    }
    text.len()
}

/// Length of the character literal that starts `text`; `None` for a lifetime.
fn char_literal(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        chars.next();
        return chars.find(|(_, c)| *c == '\'').map(|(at, _)| at + 1);
    }
    chars.next().filter(|(_, c)| *c == '\'').map(|(at, _)| at + 1)
}

/// The identifiers of `code` with their byte offsets.
pub(super) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + code[at..].find(is_word)?;
        let end = code[start..].find(|c| !is_word(c)).map_or(code.len(), |len| start + len);
        at = end;
        Some((start, &code[start..end]))
    })
}

/// The line, counted from 1, of a byte offset.
pub(super) fn line_of(code: &str, offset: usize) -> usize {
    code[..offset].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_comments_and_strings_but_keeps_lines() {
        let source = "a // unsafe\n/* x /* unsafe */ y */ b \"unsafe \\\" q\" 'c' '\\'' &'static d\nr#\"un\"safe\"# e b\"x\" 'é'";
        let lexed = lex(source);
        let found: Vec<_> = words(&lexed.code).map(|(_, word)| word).collect();
        assert_eq!(found, ["a", "b", "static", "d", "r", "e", "b"]);
        let strings: Vec<_> = lexed
            .strings
            .iter()
            .map(|(at, text)| (line_of(&lexed.code, *at), text.as_str()))
            .collect();
        assert_eq!(strings, [(2, "unsafe \\\" q"), (3, "un\"safe"), (3, "x")]);
        assert!(lexed.strings.iter().all(|(at, _)| lexed.code[*at..].starts_with('"')));
        let comments = [(1, "// unsafe".to_owned()), (2, "/* x /* unsafe */ y */".into())];
        assert_eq!(lexed.comments, comments);
        assert_eq!(lexed.code.matches('\n').count(), 2);
    }

    #[test]
    fn an_unfinished_string_ends_with_the_file() {
        assert_eq!(lex("a \"b").strings, [(2, "b".to_owned())]);
        assert_eq!(lex("/* a").code, "    ");
    }
}
