//! Words and signs of Rust code from which comments and strings are gone.

use crate::tidy::lexer::words;

/// Signs of several characters that are one token: the dots of a range are not those before a field.
const LONG_SIGNS: &[&str] = &["::", "..=", "...", ".."];

/// The words, and the brace, that start what ends with its block, or at `;` without one: items and expressions.
const WITH_BLOCK: &[&str] = &[
    "async", "const", "enum", "extern", "fn", "for", "if", "impl", "loop", "match", "mod",
    "struct", "trait", "unsafe", "while", "{",
];

/// Those of them that are words only before a name.
const WITH_BLOCK_BEFORE_A_NAME: &[&str] = &["auto", "union"];

/// The words that start what ends at `;`, whatever blocks are in it. After `const` may also be a function or a block.
const WITHOUT_BLOCK: &[&str] = &["const", "let", "static", "type", "use"];

/// The signs after a block that belong to the same expression, pattern or type: `if let A { a } = b { } else { }`.
const AFTER_A_BLOCK: &[&str] = &[".", "?", "=", "else", "in", ">"];

/// A word, one of [`LONG_SIGNS`], or one other sign.
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
        let long = LONG_SIGNS.iter().find(|sign| code[at..end].starts_with(**sign));
        let length = long.map_or(c.len_utf8(), |sign| sign.len());
        if !c.is_whitespace() {
            tokens.push(Token { at, text: &code[at..at + length] });
        }
        at += length;
    }
}

/// Whether an attribute starts at token `at` that leaves its item to tests: `cfg(test)`, `cfg(all(test, …))`.
pub(super) fn is_test_attribute(tokens: &[Token<'_>], at: usize) -> bool {
    follows(tokens, at, &["#", "[", "cfg", "(", "test"])
        || follows(tokens, at, &["#", "[", "cfg", "(", "all", "(", "test"])
}

/// Skips the attributes of the whole file: the token after them, and whether one is `#![cfg(test)]`.
pub(super) fn file_attributes(tokens: &[Token<'_>]) -> (usize, bool) {
    let (mut at, mut is_test) = (0, false);
    while follows(tokens, at, &["#", "!", "["]) {
        is_test |= follows(tokens, at, &["#", "!", "[", "cfg", "(", "test", ")"]);
        at = closing(tokens, at + 2);
    }
    (at, is_test)
}

/// Whether the tokens from `at` on are `expected`.
pub(super) fn follows(tokens: &[Token<'_>], at: usize, expected: &[&str]) -> bool {
    expected.iter().enumerate().all(|(ahead, sign)| text(tokens, at + ahead) == *sign)
}

/// `code` without what is left to tests: the items are blanked, and lines stay in place.
pub(super) fn without_tests(code: &str) -> String {
    let tokens = tokens(code);
    let offset = |at: usize| tokens.get(at).map_or(code.len(), |token| token.at);
    let (mut at, is_test) = file_attributes(&tokens);
    let mut kept = code.as_bytes().to_vec();
    let mut blank = |from: usize, to: usize| {
        kept[from..to].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    };
    if is_test {
        blank(0, code.len());
    }
    while at < tokens.len() {
        let end = if is_test_attribute(&tokens, at) { item_end(&tokens, at) } else { at + 1 };
        if end > at + 1 {
            blank(offset(at), offset(end));
        }
        at = end;
    }
    String::from_utf8(kept).unwrap_or_default()
}

/// The token after what the attributes at token `start` belong to: an item, a statement, a field, a variant or an arm.
///
/// Where that is not clear it is the earlier one. Code of tests that is read may be refused without need; other code that
/// is not read may hide what a rule refuses.
pub(super) fn item_end(tokens: &[Token<'_>], start: usize) -> usize {
    let before = start.checked_sub(1).map_or("", |at| text(tokens, at));
    let in_a_list = ["(", "[", "<", ","].contains(&before);
    let mut at = start;
    while text(tokens, at) == "#" {
        at = closing(tokens, at + 1);
    }
    if text(tokens, at) == "pub" {
        at = if text(tokens, at + 1) == "(" { closing(tokens, at + 1) } else { at + 1 };
    } else if text(tokens, at) == "'" && text(tokens, at + 2) == ":" {
        // The label of a loop.
        at += 3;
    }
    let (first, second) = (text(tokens, at), text(tokens, at + 1));
    // A field may have the name of a kind of items.
    let is_field = second == ":";
    let is_value = first != "const" || !["async", "extern", "fn", "unsafe", "{"].contains(&second);
    let has_block = WITH_BLOCK.contains(&first)
        || (WITH_BLOCK_BEFORE_A_NAME.contains(&first) && is_word(second))
        || is_macro_with_block(tokens, at);
    if is_field {
        end_of(tokens, at, &[","], false)
    } else if WITHOUT_BLOCK.contains(&first) && is_value {
        end_of(tokens, at, if in_a_list { &[";", ","] } else { &[";"] }, false)
    } else if has_block {
        end_of(tokens, at, if in_a_list { &[";", ","] } else { &[";"] }, true)
    } else {
        end_of(tokens, at, &[";", ","], false)
    }
}

/// Whether `name! {` or `name! name {` is at token `at`, where the first name may be a path.
fn is_macro_with_block(tokens: &[Token<'_>], mut at: usize) -> bool {
    while ["::", "$"].contains(&text(tokens, at)) || is_word(text(tokens, at)) {
        at += 1;
    }
    let named = usize::from(is_word(text(tokens, at + 1)));
    text(tokens, at) == "!" && text(tokens, at + 1 + named) == "{"
}

/// The token after the next of `ends`, or after a block if `block_ends`; at most the bracket around all this.
fn end_of(tokens: &[Token<'_>], start: usize, ends: &[&str], block_ends: bool) -> usize {
    let mut at = start;
    while at < tokens.len() {
        match text(tokens, at) {
            sign if ends.contains(&sign) => return at + 1,
            "}" | ")" | "]" => return at,
            "{" if block_ends => {
                at = closing(tokens, at);
                if !AFTER_A_BLOCK.contains(&text(tokens, at)) {
                    return at;
                }
            }
            "(" | "[" | "{" => at = closing(tokens, at),
            "=" if text(tokens, at + 1) == ">" => {
                // An arm needs no comma after a block.
                at += 2;
                if WITH_BLOCK.contains(&text(tokens, at)) {
                    let end = end_of(tokens, at, &[","], true);
                    return if text(tokens, end) == "," { end + 1 } else { end };
                }
            }
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

/// Whether a token is a word.
pub(super) fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_of_a_range_are_one_token() {
        let texts = |code| tokens(code).iter().map(|token| token.text).collect::<Vec<_>>();
        assert_eq!(texts("a.0..=b"), ["a", ".", "0", "..=", "b"]);
        assert_eq!(texts("..c::d"), ["..", "c", "::", "d"]);
        assert_eq!(texts("0...1"), ["0", "...", "1"]);
    }

    /// In each case, `kept` is what is no test; it may not be lost, whatever kind of thing is before it.
    #[test]
    fn what_follows_tests_is_kept() {
        for (case, before) in [
            ("a function", "#[cfg(test)] fn f() -> [u8; { 1 }] { { } }"),
            ("a function of constants", "#[cfg(test)] pub(crate) const unsafe fn f() { }"),
            ("a function for a length", "#[cfg(test)] fn f(a: A<{ 1 }>) -> A<{ 1 }> { a; b }"),
            ("an implementation", "#[cfg(test)] impl A for B { fn f() { } }"),
            ("a module", "#[cfg(test)] pub(crate) mod golden;"),
            ("a module in place", "#[cfg(test)] mod tests { fn f() { } }"),
            ("an import", "#[cfg(test)] use a::{b, c};"),
            ("a structure", "#[cfg(test)] pub struct S { a: u8, b: u8 }"),
            ("a structure without names", "#[cfg(test)] struct S(u8, u8);"),
            ("a union", "#[cfg(test)] union U { a: u8 }"),
            ("a constant of a block", "#[cfg(test)] const A: u8 = { 1 } + { 2 };"),
            ("a static array", "#[cfg(test)] static A: [u8; 2] = [1, 2];"),
            ("a macro with a block", "#[cfg(test)] thread_local! { static A: u8 = 1; }"),
            ("a path to a macro", "#[cfg(test)] ::std::thread_local! { static A: u8 = 1; }"),
            ("a macro with parentheses", "#[cfg(test)] shapes!(a; b, c);"),
            ("a macro with brackets", "#[cfg(test)] shapes![a; b, c];"),
            ("a macro's definition", "#[cfg(test)] macro_rules! m { () => { }; }"),
            ("several attributes", "#[cfg(test)] #[allow(a, b)] mod tests { }"),
            ("all of several conditions", "#[cfg(all(test, unix))] mod tests { }"),
        ] {
            let code = without_tests(&format!("{before} kept"));
            assert_eq!(code.trim(), "kept", "{case}");
            assert_eq!(code.len(), before.len() + " kept".len(), "{case}");
        }
    }

    #[test]
    fn what_follows_tests_in_a_body_is_kept() {
        for (case, before) in [
            ("a variable", "#[cfg(test)] let a = if b { 1 } else { 2 };"),
            ("a condition", "#[cfg(test)] if let A { a } = b { return a; } else { c }"),
            ("a choice", "#[cfg(test)] match a { A => { } B => { } }"),
            ("a loop", "#[cfg(test)] for A { a } in b { }"),
            ("a loop with a label", "#[cfg(test)] 'a: loop { }"),
            ("a block", "#[cfg(test)] { a; b }"),
            ("a call", "#[cfg(test)] a.b(c, { d });"),
            ("a field", "#[cfg(test)] pub a: u8,"),
            ("a field with the name of a keyword", "#[cfg(test)] union: u8,"),
            ("a variant", "#[cfg(test)] A { a: u8, b: u8 },"),
            ("an arm", "#[cfg(test)] A { a, .. } if a => f({ b }),"),
            ("an arm with a block", "#[cfg(test)] A => { a; b }"),
            ("an arm with a condition", "#[cfg(test)] A => if a { b } else { c },"),
        ] {
            let code = without_tests(&format!("x {{ {before} kept }}"));
            assert_eq!(
                code.split_whitespace().collect::<Vec<_>>(),
                ["x", "{", "kept", "}"],
                "{case}"
            );
        }
        assert_eq!(without_tests("f(#[cfg(test)] a: A, b)").replace(' ', ""), "f(b)");
        assert_eq!(without_tests("f<#[cfg(test)] const N: u8, T>()").replace(' ', ""), "f<T>()");
    }

    #[test]
    fn a_file_of_tests_has_nothing_else() {
        assert_eq!(without_tests("#![allow(a)]\n#![cfg(test)]\nfn f() {}").trim(), "");
        let code = "#[cfg(not(test))]\nfn f() {}";
        assert_eq!(without_tests(code), code);
    }
}
