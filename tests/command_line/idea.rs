//! The guide to the idea, in both languages, says what the program computes.

use tempfile::TempDir;
use xception::sepconv::cost::reduction_ratio;
use xception::summary::Summary;
use xception::{ModelSpec, Preset, module_of};

use super::documents::shell;

const ENGLISH: &str = include_str!("../../docs/guide/idea.md");
const KOREAN: &str = include_str!("../../docs/guide/idea.ko.md");

/// The commands of fenced blocks, each with the lines below it.
fn quoted_outputs(document: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    let mut fenced = false;
    for line in document.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if let (true, Some(command)) = (fenced, line.strip_prefix("$ ")) {
            commands.push((command.to_string(), String::new()));
        } else if let (true, Some((_, output))) = (fenced, commands.last_mut()) {
            *output += &format!("{line}\n");
        }
    }
    commands
}

/// The rows of all tables, as cells.
fn rows(document: &str) -> impl Iterator<Item = Vec<&str>> {
    document.lines().filter_map(|line| {
        let cells = line.strip_prefix('|')?.strip_suffix('|')?;
        Some(cells.split('|').map(str::trim).collect())
    })
}

/// The code and the numbers of a line: a translation leaves both as they are.
fn figures(line: &str) -> Vec<String> {
    let mut parts: Vec<String> = line.split('`').skip(1).step_by(2).map(str::to_string).collect();
    let prose: String = line.split('`').step_by(2).collect();
    let numbers = prose.split(|c: char| !c.is_ascii_digit() && !".,".contains(c));
    let numbers = numbers.map(|number| number.trim_matches(['.', ',']));
    parts.extend(numbers.filter(|number| !number.is_empty()).map(str::to_string));
    parts.sort();
    parts
}

#[test]
fn the_guide_quotes_what_its_commands_print() {
    let folder = TempDir::new().unwrap();
    let commands = quoted_outputs(ENGLISH);
    assert!(commands.len() >= 5, "{commands:?}");
    for (command, expected) in commands {
        let output = shell(&command, folder.path());
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{command}");
    }
    assert_eq!(quoted_outputs(KOREAN), quoted_outputs(ENGLISH));
}

#[test]
fn the_table_of_savings_is_that_of_the_cost_model() {
    let savings: Vec<(u64, &str)> = rows(ENGLISH)
        .filter_map(|cells| match cells[..] {
            [n, ratio] => Some((n.parse().ok()?, ratio)),
            _ => None,
        })
        .collect();
    assert!(savings.len() >= 10, "{savings:?}");
    for (n, ratio) in savings {
        assert_eq!(ratio, format!("{:.2}", 1. / reduction_ratio(n, 3)), "{n}");
    }
}

#[test]
fn the_shapes_of_the_network_are_those_of_its_summary() {
    let spec = ModelSpec::new(Preset::Xception);
    let summary = Summary::new(&spec.architecture().unwrap(), 1000, 299).unwrap();
    let mut compared = 0;
    for cells in rows(ENGLISH).filter(|cells| cells.len() == 5) {
        let Some(name) = cells[1].split('`').nth(1) else { continue };
        let last = summary.layers.iter().rfind(|row| module_of(&row.name) == name).unwrap();
        let [channels, rows, columns] = last.output;
        assert_eq!(cells[4], format!("{channels}×{rows}×{columns}"), "{name}");
        compared += 1;
    }
    assert_eq!(compared, 11);
}

#[test]
fn every_preset_is_compared_with_the_paper() {
    for preset in Preset::all() {
        let row = format!("| `{preset}` |");
        for document in [ENGLISH, KOREAN] {
            assert!(document.contains(&row), "{row}");
        }
    }
}

#[test]
fn the_translation_has_the_figures_of_the_original() {
    let tables =
        |document| rows(document).map(|cells| figures(&cells.join("|"))).collect::<Vec<_>>();
    let (english, korean) = (tables(ENGLISH), tables(KOREAN));
    assert_eq!(korean.len(), english.len());
    for (ours, theirs) in korean.iter().zip(&english) {
        assert_eq!(ours, theirs);
    }
}
