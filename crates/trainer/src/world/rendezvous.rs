//! Ranks come together: all begin at once, and nobody meets those of an earlier start.
//!
//! Each start is a round, which rank 0 opens. The others write down that they came; once all did, rank 0 closes the round
//! with the list of who takes part. So it needs no count of restarts, which torchrun keeps for each machine; a rank that
//! is started again ahead of the list takes its own place over, and one that comes after it waits for the next round.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use torch_ext::distributed::{DistributedError, Store};

use super::heartbeat;
use super::silence::Silence;
use crate::Error;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Somebody who waits for so long is told for whom.
const TELL: Duration = Duration::from_secs(10);
/// Of those who are missing, so many are named.
const NAMED: usize = 8;

/// What a rank says of itself when it comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attendee {
    /// Host and process, for people.
    pub(super) who: String,
    /// Where the others reach it; empty for a network card or a host name.
    pub(super) address: String,
    /// Nanoseconds since 1970: a container that is started again has the same name and process.
    came: u128,
}

impl Attendee {
    /// This process, reached at `address`.
    pub(super) fn here(address: String) -> Self {
        let came = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        Self { who: heartbeat::introduction(), address, came }
    }
}

/// Ranks that have come together.
pub(super) struct Meeting {
    /// The part of the store that is theirs alone.
    pub(super) store: Store,
    /// Which meeting at this store it is, from 1.
    pub(super) round: i64,
    /// By rank.
    pub(super) attendees: Vec<Attendee>,
}

impl Meeting {
    /// What [`Meeting::store`] is, on another connection to the store.
    pub(super) fn part_of(&self, store: &Store) -> Result<Store, DistributedError> {
        part(store, self.round)
    }
}

fn part(store: &Store, round: i64) -> Result<Store, DistributedError> {
    store.with_prefix(&round.to_string())
}

/// How long is waited.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For all to come.
    pub(super) gathering: Duration,
    /// For the next round, by a rank that came too late for this one.
    pub(super) next_round: Duration,
}

/// Comes to the others at `store` as `rank` of `world_size`. `silence` hears of every answer of the store.
///
/// # Errors
///
/// When they do not come, or began without this process.
pub(super) fn come_together(
    store: &Store,
    (rank, world_size): (usize, usize),
    own: &Attendee,
    patience: Patience,
    silence: &Silence,
) -> Result<Meeting, Error> {
    let refused = |message: String| {
        Error::Distributed(DistributedError {
            operation: "meeting the other ranks".to_string(),
            rank: Some((rank, world_size)),
            peer: None,
            message,
        })
    };
    let met = if rank == 0 {
        open(store, world_size, own, patience.gathering, silence, refused)
    } else {
        come(store, rank, own, patience, silence, refused)
    };
    met.map_err(|error| match error {
        // Of the store: who holds it left meanwhile.
        Error::Distributed(DistributedError { rank: None, peer: Some(peer), message, .. }) => {
            refused(format!("their store at {peer} is gone, and with it who held it: {message}"))
        }
        other => other,
    })
}

/// Rank 0's part.
fn open(
    store: &Store,
    world_size: usize,
    own: &Attendee,
    patience: Duration,
    silence: &Silence,
    refused: impl Fn(String) -> Error,
) -> Result<Meeting, Error> {
    let round = store.add("round", 1)?;
    let of_round = part(store, round)?;
    let begun = Instant::now();
    let mut told = false;
    let mut missing: Vec<usize> = (1..world_size).collect();
    loop {
        let mut still = Vec::new();
        for rank in missing {
            if !of_round.has(&came(rank))? {
                still.push(rank);
            }
        }
        silence.answer();
        missing = still;
        if missing.is_empty() {
            break;
        }
        if begun.elapsed() > patience {
            return Err(refused(format!(
                "{} of {world_size} did not come within {} s; start every rank, with the same MASTER_ADDR and MASTER_PORT",
                names(&missing),
                patience.as_secs()
            )));
        }
        if !told && begun.elapsed() > TELL {
            tracing::info!("waiting for {} of {world_size}", names(&missing));
            told = true;
        }
        thread::sleep(LOOK);
    }
    let mut attendees = vec![own.clone()];
    for rank in 1..world_size {
        let attendee = serde_json::from_slice(&of_round.get(&came(rank))?);
        attendees.push(attendee.map_err(|_| refused(format!("rank {rank} runs another version")))?);
    }
    of_round.set(ALL, &serde_json::to_vec(&attendees).expect("plain values"))?;
    Ok(Meeting { store: of_round, round, attendees })
}

/// The part of any other rank.
fn come(
    store: &Store,
    rank: usize,
    own: &Attendee,
    patience: Patience,
    silence: &Silence,
    refused: impl Fn(String) -> Error,
) -> Result<Meeting, Error> {
    let text = serde_json::to_vec(own).expect("plain values");
    let mut seen = 0;
    let mut since = Instant::now();
    loop {
        let round = store.add("round", 0)?;
        let of_round = part(store, round)?;
        if round != seen {
            of_round.set(&came(rank), &text)?;
            (seen, since) = (round, Instant::now());
        }
        let all = if round > 0 && of_round.has(ALL)? { Some(of_round.get(ALL)?) } else { None };
        silence.answer();
        let attendees: Option<Vec<Attendee>> = all
            .map(|all| serde_json::from_slice(&all))
            .transpose()
            .map_err(|_| refused("rank 0 runs another version".to_string()))?;
        match attendees {
            Some(attendees) if attendees.get(rank) == Some(own) => {
                return Ok(Meeting { store: of_round, round, attendees });
            }
            Some(attendees) if since.elapsed() > patience.next_round => {
                let other = attendees.get(rank).map_or("nobody", |other| other.who.as_str());
                return Err(refused(format!(
                    "they train already, with {other} as rank {rank}; start all ranks anew, or choose another MASTER_PORT"
                )));
            }
            None if since.elapsed() > patience.gathering => {
                return Err(refused(format!(
                    "not all of them came within {} s, as rank 0 says; start every rank, with the same MASTER_ADDR and \
                     MASTER_PORT",
                    patience.gathering.as_secs()
                )));
            }
            _ => thread::sleep(LOOK),
        }
    }
}

/// The list of a round that has begun.
const ALL: &str = "all";

fn came(rank: usize) -> String {
    format!("came/{rank}")
}

/// `rank 1`, `ranks 1, 2, 3`, `ranks 1, 2, … and 30 more`.
fn names(ranks: &[usize]) -> String {
    let text = |ranks: &[usize]| ranks.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    match ranks {
        [rank] => format!("rank {rank}"),
        _ if ranks.len() > NAMED => {
            format!("ranks {} and {} more", text(&ranks[..NAMED]), ranks.len() - NAMED)
        }
        _ => format!("ranks {}", text(ranks)),
    }
}

#[cfg(test)]
mod tests;
