//! Errors of meeting and working with other ranks.

use std::io;

use torch_ext::distributed::DistributedError;

use crate::exit_code::ExitCode;
use crate::torch_error::{TorchError, from_torch_errors};

/// Why ranks cannot meet or work together.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An environment variable that a launcher sets is missing.
    #[error(
        "environment variable {name} expected, but not set; a launcher such as torchrun sets it, and without one every \
         rank needs it (docs/guide/distributed.md)"
    )]
    MissingVariable {
        /// The variable.
        name: String,
    },
    /// An environment variable has a value that it cannot have.
    #[error("environment variable {name} is {value:?}, expected {expected}")]
    Variable {
        /// The variable.
        name: String,
        /// Its value.
        value: String,
        /// The accepted values, in words.
        expected: String,
    },
    /// Another program listens at the port of the store.
    #[error(
        "port {port} of this machine, MASTER_PORT, is taken; choose another one, the same for all ranks"
    )]
    PortTaken {
        /// `MASTER_PORT`.
        port: u16,
    },
    /// Rank 0 runs on another machine than the store's address names.
    #[error(
        "MASTER_ADDR is {host}, which is no address of this machine, but rank 0 holds the store there; start rank 0 on \
         that machine"
    )]
    NotThisMachine {
        /// `MASTER_ADDR`.
        host: String,
    },
    /// The store's address has no name that this machine knows.
    #[error("MASTER_ADDR is {host}, which this machine does not know: {reason}")]
    UnknownHost {
        /// `MASTER_ADDR`.
        host: String,
        /// The system's reason. No source: the message has it all.
        reason: io::Error,
    },
    /// Some ranks would be reached at loopback addresses, others not.
    #[error(
        "rank {rank} would be reached at {address}, which only its own machine knows, because MASTER_ADDR means that \
         there; give an address that every machine knows, or name each machine's network card in {interface}"
    )]
    Loopback {
        /// The rank.
        rank: usize,
        /// Its address.
        address: String,
        /// The variable that names the network card.
        interface: &'static str,
    },
    /// Ranks were started with different numbers of ranks.
    #[error(
        "rank {rank} ({who}) was started as one of {its}, rank 0 as one of {ours}; start all ranks with the same \
         number of ranks"
    )]
    OtherWorldSize {
        /// The rank.
        rank: usize,
        /// Its machine and process.
        who: String,
        /// Its number of ranks.
        its: usize,
        /// Rank 0's number of ranks.
        ours: usize,
    },
    /// A rank sent something that cannot be read.
    #[error("cannot read {what} of rank {rank}: {reason}; start all ranks with the same version")]
    Unreadable {
        /// The value that was sent.
        what: String,
        /// The sender.
        rank: usize,
        /// The reason. No source: the message has it all.
        reason: serde_json::Error,
    },
    /// A value that cannot be told to other ranks.
    #[error("ranks cannot agree on the {what} of the run: {reason}")]
    NoAgreement {
        /// The value.
        what: String,
        /// The reason. No source: the message has it all.
        reason: serde_json::Error,
    },
    /// Another rank is gone, or cannot be reached.
    #[error(transparent)]
    Distributed(#[from] DistributedError),
    /// An error of libtorch.
    #[error(transparent)]
    Torch(#[from] TorchError),
}

impl Error {
    /// The exit code of this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Error::MissingVariable { .. }
            | Error::Variable { .. }
            | Error::PortTaken { .. }
            | Error::NotThisMachine { .. }
            | Error::UnknownHost { .. }
            | Error::Loopback { .. }
            | Error::OtherWorldSize { .. }
            | Error::NoAgreement { .. } => ExitCode::Usage,
            Error::Unreadable { .. } => ExitCode::Failed,
            Error::Distributed(_) => ExitCode::Peer,
            Error::Torch(error) => error.exit_code(),
        }
    }
}

from_torch_errors!(Error, Error::Torch);
