//! A mirror's own list of hashes, and when it is believed.
//!
//! The pinned hash makes a file official wherever it lies. Another file of the right name is taken
//! only where a `SHA256SUMS` beside it names its hash, and that is said aloud.

use std::io::Read;
use std::thread;

use anyhow::Result;

use super::artefact::Artefact;
use super::http::{self, Trouble};
use super::patience::Patience;
use crate::failure::integrity;

/// The list's file name.
pub const SUMS: &str = "SHA256SUMS";

/// A longer list is not one.
const LONGEST_SUMS: u64 = 1 << 20;

/// The hash that a `sha256sum` listing gives for `artefact`.
pub fn vouched_sum(sums: &str, artefact: &Artefact<'_>) -> Option<String> {
    sums.lines().find_map(|line| {
        let (sum, file) = line.split_once(char::is_whitespace)?;
        let file = file.trim_start().trim_start_matches('*').trim_start_matches("./").trim_end();
        let is_hash = sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
        (artefact.is_named(file) && is_hash).then(|| sum.to_ascii_lowercase())
    })
}

/// Says aloud that a file of `sha256` at `place` is used although it is not the official one.
///
/// # Errors
///
/// When the mirror does not vouch for that hash.
pub fn accept_unofficial(
    artefact: &Artefact<'_>,
    place: &str,
    sha256: &str,
    vouched: Option<&str>,
) -> Result<()> {
    match vouched {
        Some(sum) if sum == sha256 => {
            eprintln!(
                "not the official archive: {place} has sha256 {sha256}, the official one {}; \
                 accepted because the mirror's own {SUMS} vouches for it",
                artefact.sha256
            );
            Ok(())
        }
        Some(sum) => Err(integrity(format!(
            "{place} is damaged: it has sha256 {sha256}, its {SUMS} says {sum}"
        ))),
        None => Err(integrity(format!(
            "{place} has sha256 {sha256}, the official archive has {}; \
             a {SUMS} beside it that names {} would vouch for it",
            artefact.sha256, artefact.name
        ))),
    }
}

/// The list that the folder `url` serves, if it serves one.
///
/// # Errors
///
/// When the server cannot be asked.
pub fn download_sums(url: &str, patience: &Patience) -> Result<Option<String>> {
    let url = format!("{url}/{SUMS}");
    let client = http::client(patience);
    let mut failures = 0;
    loop {
        let trouble = match http::get(&client, &url, &[]) {
            Ok(response) if response.status().is_success() => {
                let mut text = String::new();
                let body = response.into_body().into_reader();
                match body.take(LONGEST_SUMS).read_to_string(&mut text) {
                    Ok(_) => return Ok(Some(text)),
                    Err(err) => http::sort_io_error(&err),
                }
            }
            Ok(_) => return Ok(None),
            Err(trouble) => trouble,
        };
        let (attempts, why, asked) = match trouble {
            Trouble::Final(why) => (0, why, None),
            Trouble::Unreachable(why) => (patience.attempts_to_connect, why, None),
            Trouble::Passing { why, retry_after } => (patience.attempts, why, retry_after),
        };
        failures += 1;
        if failures >= attempts {
            return Err(integrity(format!("{url}: {why}")));
        }
        thread::sleep(patience.pause(failures, asked));
    }
}

#[cfg(test)]
mod tests {
    use super::super::artefact::Size;
    use super::*;

    #[test]
    fn reads_sha256sum_listings() {
        let (a, b) = ("a".repeat(64), "B".repeat(64));
        let sums = format!("# sums\n{a}  one+cpu.zip\n{b} *./two%2Bcpu.zip\nshort  three.zip\n");
        let sum = |name| {
            let size = Size::AtMost(1);
            vouched_sum(&sums, &Artefact { name, url: None, size, sha256: "" })
        };
        assert_eq!(sum("one+cpu.zip"), Some(a.clone()));
        assert_eq!(sum("two+cpu.zip"), Some("b".repeat(64)));
        assert_eq!(sum("three.zip"), None);
        assert_eq!(sum("ne+cpu.zip"), None);
    }
}
