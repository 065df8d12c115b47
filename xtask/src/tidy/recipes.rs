//! A recipe is a claim: it names the command, the hardware, the time and the result.

use super::Problem;
use super::tree::SourceFile;

/// Lines that the first comment must have.
const HEADER: &[&str] = &["# Command:", "# Hardware:", "# Time:", "# Result:"];

/// Checks one recipe.
pub(super) fn check(file: &SourceFile, problems: &mut Vec<Problem>) {
    if let Err(err) = file.text.parse::<toml::Table>() {
        let message = format!("not TOML: {}", err.to_string().trim_end());
        problems.push(Problem::new(&file.path, 0, message));
    }
    let header: Vec<_> = file.text.lines().take_while(|line| line.starts_with('#')).collect();
    for word in HEADER {
        let line = header.iter().find_map(|line| line.strip_prefix(word));
        if line.is_none_or(|rest| rest.trim().is_empty()) {
            let message = format!("its first comment has no line `{word} ...`: add it");
            problems.push(Problem::new(&file.path, 1, message));
        }
    }
}
