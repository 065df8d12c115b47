//! The provenance of a run: its command, the versions and the machine.

use maud::{Markup, html};
use serde_json::{Map, Value};

use super::number_format::{date, duration};
use super::run_files::Run;

/// The keys of `env.json` that a page names, in its order; others follow under their own names.
const NAMED: [(&str, &str); 9] = [
    ("xception", "xception"),
    ("commit", "Commit"),
    ("libtorch", "libtorch"),
    ("cpu", "CPU"),
    ("threads", "Threads"),
    ("bf16_matrix_unit", "bf16 matrix unit"),
    ("cuda", "CUDA"),
    ("os", "System"),
    ("seed", "Seed"),
];

/// The command, then everything else.
pub(super) fn markup(run: &Run) -> Markup {
    html! {
        @if let Some(command) = command(&run.environment) { pre.command { code { (command) } } }
        dl.pairs {
            @for (name, value) in facts(&run.environment) { dt { (name) } dd { (value) } }
            dt { "Time" } dd { (duration(run.seconds())) }
            @if let Some(date) = run.curves.last_time().and_then(date) { dt { "Last measured" } dd { (date) } }
        }
    }
}

/// The content of `env.json` besides the command.
pub(super) fn facts(environment: &Map<String, Value>) -> Vec<(String, String)> {
    let named = NAMED.iter().filter_map(|(key, name)| Some((*name, environment.get(*key)?)));
    let others = environment
        .iter()
        .filter(|(key, _)| *key != "command" && NAMED.iter().all(|(named, _)| named != key));
    named
        .chain(others.map(|(key, value)| (key.as_str(), value)))
        .map(|(name, value)| (name.to_string(), in_words(value)))
        .collect()
}

fn in_words(value: &Value) -> String {
    match value {
        Value::Null => "unknown".to_string(),
        Value::Bool(true) => "yes".to_string(),
        Value::Bool(false) => "no".to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The command line, as it can be typed again.
fn command(environment: &Map<String, Value>) -> Option<String> {
    let words = environment.get("command")?.as_array()?;
    let words: Vec<String> =
        words.iter().map(|word| quoted(word.as_str().unwrap_or("?"))).collect();
    Some(words.join(" "))
}

/// `word`, quoted for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_command_can_be_typed_again() {
        let environment =
            json!({ "command": ["xception", "--set", "model.scale={ width = 0.1 }", "it's", ""] });
        let typed = command(environment.as_object().unwrap()).unwrap();
        assert_eq!(typed, r"xception --set 'model.scale={ width = 0.1 }' 'it'\''s' ''");
        assert_eq!(command(&Map::new()), None);
    }

    #[test]
    fn keys_without_a_name_are_shown_too() {
        let environment = json!({ "zeal": 3, "command": [], "cuda": false, "commit": null });
        let facts = facts(environment.as_object().unwrap());
        let expected = [("Commit", "unknown"), ("CUDA", "no"), ("zeal", "3")]
            .map(|(a, b)| (a.to_string(), b.to_string()));
        assert_eq!(facts, expected);
    }
}
