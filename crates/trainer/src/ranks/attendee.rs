//! The facts about a rank that it writes down for the others when it joins them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A rank, as the others know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attendee {
    /// The name of its machine, for messages.
    pub(super) host: String,
    /// Its process there.
    process: u32,
    /// The address at which the others reach it; empty for a network card or a host name.
    pub(super) address: String,
    /// The number of ranks that it was started with.
    pub(super) world_size: usize,
    /// Nanoseconds since 1970: a container that is started again has the same name and process.
    came: u128,
}

impl Attendee {
    /// This process, one of `world_size`, reached at `address`.
    pub(super) fn here(world_size: usize, address: String) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = match host.trim() {
            "" => "an unnamed host".to_string(),
            host => host.to_string(),
        };
        let came = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        Self { host, process: std::process::id(), address, world_size, came }
    }

    /// Its host and process, for messages.
    pub(super) fn who(&self) -> String {
        format!("{}, process {}", self.host, self.process)
    }
}
