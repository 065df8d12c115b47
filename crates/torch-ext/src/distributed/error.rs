//! The error of everything that happens between processes: the operation, the rank and the peer.

use std::fmt;

/// A failure of a store or of a collective.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistributedError {
    /// The operation that failed: `all_reduce`, `broadcast`, the name of a store's operation with its key.
    pub operation: String,
    /// The rank that called it, and the number of ranks. A store knows neither.
    pub rank: Option<(usize, usize)>,
    /// The peer as far as it is known: the root of a broadcast, or the address that libtorch names.
    pub peer: Option<String>,
    /// The cause, in libtorch's words without its C++ places and backtraces.
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

/// The first line, without the `[file.cc:line]` that Gloo puts before a text, also within a line.
fn readable(message: &str) -> String {
    let mut line = message.lines().next().unwrap_or_default().to_string();
    let place = |line: &str| -> Option<(usize, usize)> {
        line.match_indices('[').find_map(|(start, _)| {
            let end = start + line[start..].find("] ")?;
            let inside = &line[start + 1..end];
            let is_place = inside.contains(".cc:") || inside.contains(".h:");
            (is_place && !inside.contains(' ')).then_some((start, end + 2))
        })
    };
    while let Some((start, end)) = place(&line) {
        line.replace_range(start..end, "");
    }
    line
}

/// An address as Gloo writes it, `[host]:port`, which a `$number` may follow.
fn address(message: &str) -> Option<String> {
    message.match_indices('[').find_map(|(start, _)| {
        let (host, rest) = message[start + 1..].split_once("]:")?;
        if host.contains(char::is_whitespace) {
            return None;
        }
        let digits = rest.find(|next: char| !next.is_ascii_digit()).unwrap_or(rest.len());
        let port: u16 = rest[..digits].parse().ok()?;
        Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorchs_messages_are_made_readable() {
        let message = "Gloo connectFullMesh failed with [/__w/gloo/transport/tcp/pair.cc:152] timed out connecting: \
                       SO_ERROR: No route to host, remote=[10.11.0.1]:18822$1\nException raised from";
        let error = DistributedError::new("meeting", message);
        assert_eq!(error.peer.as_deref(), Some("10.11.0.1:18822"));
        assert_eq!(
            error.message,
            "Gloo connectFullMesh failed with timed out connecting: SO_ERROR: No route to host, \
             remote=[10.11.0.1]:18822$1"
        );
        let error = DistributedError::new(
            "all_reduce",
            "[../gloo/tcp/pair.cc:534] Connection closed by peer [fd00::1]:4711. This may be",
        );
        assert_eq!(error.peer.as_deref(), Some("[fd00::1]:4711"));
        assert!(error.message.starts_with("Connection closed by peer"), "{}", error.message);
        let error = DistributedError::new("store get", "wait timeout after 300ms, keys: [a]");
        assert_eq!(
            (error.peer, error.message.as_str()),
            (None, "wait timeout after 300ms, keys: [a]")
        );
    }
}
