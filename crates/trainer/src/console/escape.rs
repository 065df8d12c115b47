//! Text from files, as a terminal may show it: a name must not move the cursor, forge a line or turn the reading direction.

use std::borrow::Cow;

/// `text` with control characters and those that turn the reading direction escaped; lines and tabs stay.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |letter| moves(letter) && letter != '\n' && letter != '\t')
}

/// The same for a name, which has one line.
pub(crate) fn name(text: &str) -> Cow<'_, str> {
    escaped(text, moves)
}

/// A JSON document, whose strings are the same to every reader of JSON.
pub(crate) fn json(document: &str) -> Cow<'_, str> {
    let unwanted = |letter: char| moves(letter) && letter != '\n';
    if !document.chars().any(unwanted) {
        return Cow::Borrowed(document);
    }
    // All of them have four digits, and stand in strings only.
    let shown = |letter: char| {
        if unwanted(letter) { format!("\\u{:04x}", u32::from(letter)) } else { letter.to_string() }
    };
    Cow::Owned(document.chars().map(shown).collect())
}

fn escaped(text: &str, unwanted: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&unwanted) {
        return Cow::Borrowed(text);
    }
    let shown = |letter: char| match unwanted(letter) {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    Cow::Owned(text.chars().map(shown).collect())
}

/// Whether a character does something other than to be seen.
fn moves(letter: char) -> bool {
    let turns = matches!(
        letter,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    letter.is_control() || turns || matches!(letter, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_seen_stays() {
        for text in ["Katze", "猫 · 96.2 %", "два\nстроки\tздесь"] {
            assert!(matches!(lines(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn what_moves_is_escaped() {
        let check = |text, in_lines: &str, as_name: &str| {
            assert_eq!((&*lines(text), &*name(text)), (in_lines, as_name));
        };
        check("\u{1b}[2J", "\\u{1b}[2J", "\\u{1b}[2J");
        check("a\rb", "a\\rb", "a\\rb");
        check("two\nlines", "two\nlines", "two\\nlines");
        check("exe.\u{202e}gpj", "exe.\\u{202e}gpj", "exe.\\u{202e}gpj");
        check("\u{9b}31m", "\\u{9b}31m", "\\u{9b}31m");
    }

    #[test]
    fn json_stays_json_and_means_the_same() {
        let name = "exe.\u{202e}gpj\u{9b}\u{7f}\n\u{2028}";
        let document = serde_json::json!([{ "input": name }]);
        let shown = json(&format!("{document:#}")).into_owned();
        assert!(shown.contains(r"exe.\u202egpj\u009b\u007f\n\u2028"), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), document);
    }
}
