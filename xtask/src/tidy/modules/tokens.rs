//! Words and signs of Rust code from which comments and strings are gone.

use crate::tidy::lexer::words;

/// The words that an item or a statement starts with; a field, a variant and an arm start otherwise.
const ITEM_STARTS: &[&str] = &[
    "async",
    "const",
    "enum",
    "extern",
    "fn",
    "impl",
    "let",
    "macro_rules",
    "mod",
    "pub",
    "static",
    "struct",
    "trait",
    "type",
    "union",
    "unsafe",
    "use",
];

/// A word, `::`, or one other sign.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    /// The byte offset.
    pub(super) at: usize,
    pub(super) text: &'a str,
}

/// The tokens of `code`.
pub(super) fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut end = 0;
    for (at, word) in words(code) {
        signs(code, end, at, &mut tokens);
        // `r#type` is the word `type`.
        if tokens.len() >= 2 && code[..at].ends_with("r#") {
            tokens.truncate(tokens.len() - 2);
        }
        tokens.push(Token { at, text: word });
        end = at + word.len();
    }
    signs(code, end, code.len(), &mut tokens);
    tokens
}

/// The signs of `code` between two words.
fn signs<'a>(code: &'a str, start: usize, end: usize, tokens: &mut Vec<Token<'a>>) {
    let mut at = start;
    while let Some(c) = code[at..end].chars().next() {
        let length = if code[at..end].starts_with("::") { 2 } else { c.len_utf8() };
        if !c.is_whitespace() {
            tokens.push(Token { at, text: &code[at..at + length] });
        }
        at += length;
    }
}

/// The token after the item whose attributes start at token `start`: after its `;` or its block.
///
/// A field, a variant or an arm ends at its comma, or at the brace around it.
pub(super) fn item_end(tokens: &[Token<'_>], start: usize) -> usize {
    let mut at = start;
    while text(tokens, at) == "#" {
        at = closing(tokens, at + 1);
    }
    let is_item = ITEM_STARTS.contains(&text(tokens, at));
    while at < tokens.len() {
        match text(tokens, at) {
            ";" => return at + 1,
            "," if !is_item => return at + 1,
            "}" | ")" => return at,
            "{" => {
                at = closing(tokens, at);
                if is_item && text(tokens, at) != ";" {
                    return at;
                }
            }
            "(" | "[" => at = closing(tokens, at),
            _ => at += 1,
        }
    }
    at
}

/// The token after the bracket that closes the one at `open`.
pub(super) fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

fn text<'a>(tokens: &[Token<'a>], at: usize) -> &'a str {
    tokens.get(at).map_or("", |token| token.text)
}
