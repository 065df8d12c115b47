//! What went wrong between processes: what was tried, by whom, and with whom.

use std::fmt;

/// A failure of a store or of a collective.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistributedError {
    /// What was tried: `all_reduce`, `broadcast`, the name of a store's operation with its key.
    pub operation: String,
    /// Who tried: the rank, and of how many. A store knows neither.
    pub rank: Option<(usize, usize)>,
    /// With whom, as far as it is known: the root of a broadcast, or the address that libtorch names.
    pub peer: Option<String>,
    /// What libtorch said, without its C++ places and backtraces.
    pub message: String,
}

impl DistributedError {
    pub(super) fn new(operation: impl Into<String>, message: &str) -> Self {
        Self {
            operation: operation.into(),
            rank: None,
            peer: address(message),
            message: readable(message),
        }
    }

    /// The same, by `rank` of `world_size`.
    pub(super) fn by(self, rank: usize, world_size: usize) -> Self {
        Self { rank: Some((rank, world_size)), ..self }
    }

    /// The same, with `peer` unless libtorch named one.
    pub(super) fn with(self, peer: impl Into<String>) -> Self {
        Self { peer: self.peer.or_else(|| Some(peer.into())), ..self }
    }
}

impl fmt::Display for DistributedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((rank, world_size)) = self.rank {
            write!(f, "rank {rank} of {world_size}: ")?;
        }
        f.write_str(&self.operation)?;
        if let Some(peer) = &self.peer {
            write!(f, " with {peer}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for DistributedError {}

/// The first line, without the `[file.cc:line]` that Gloo begins with.
fn readable(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let place = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    match place {
        Some((place, rest)) if place.contains(".cc:") || place.contains(".h:") => rest.to_string(),
        _ => line.to_string(),
    }
}

/// An address as Gloo writes it, `[host]:port`.
fn address(message: &str) -> Option<String> {
    message.split_whitespace().find_map(|word| {
        let word = word.trim_end_matches(['.', ',', ':']);
        let (host, port) = word.strip_prefix('[')?.split_once("]:")?;
        let port: u16 = port.parse().ok()?;
        Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
    })
}
