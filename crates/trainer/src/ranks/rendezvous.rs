//! Ranks come together: all begin at once, and nobody meets those of an earlier start.
//!
//! Each start is a round, which rank 0 opens. The others write down that they came; once all did, rank 0 closes the round
//! with the list of who takes part. So it needs no count of restarts, which torchrun keeps for each machine; a rank that
//! is started again ahead of the list takes its own place over, and one that comes after it waits for the next round.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use torch_ext::distributed::{DistributedError, Store};

use super::address::TELL;
use super::silence::Silence;
use crate::Error;
use crate::console::log;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Of those who are missing, so many are named.
const NAMED: usize = 8;

/// What a rank says of itself when it comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attendee {
    /// The name of its machine, for people.
    pub(super) host: String,
    /// Its process there.
    process: u32,
    /// Where the others reach it; empty for a network card or a host name.
    pub(super) address: String,
    /// How many ranks it thinks there are.
    world_size: usize,
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

    /// Who it is, for people.
    pub(super) fn who(&self) -> String {
        format!("{}, process {}", self.host, self.process)
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

/// Where ranks meet, and as whom this process comes.
#[derive(Clone, Copy)]
pub(super) struct Rendezvous<'a> {
    /// What they meet at.
    pub(super) store: &'a Store,
    /// Where that is, for people.
    pub(super) at: &'a str,
    /// Who holds it, for people.
    pub(super) keeper: &'a str,
    pub(super) rank: usize,
    pub(super) world_size: usize,
    pub(super) patience: Patience,
    /// Hears of every answer of the store.
    pub(super) silence: &'a Silence,
}

impl Rendezvous<'_> {
    /// Comes to the others.
    ///
    /// # Errors
    ///
    /// When they do not come, or began without this process.
    pub(super) fn come_together(self, own: &Attendee) -> Result<Meeting, Error> {
        let met = if self.rank == 0 { self.open(own) } else { self.come(own) };
        met.map_err(|error| match error {
            // Of the store: it goes with who holds it.
            Error::Distributed(DistributedError { rank: None, message, .. }) => {
                self.refused(format!("{} is gone: {message}", self.keeper))
            }
            other => other,
        })
    }

    /// Rank 0's part.
    fn open(self, own: &Attendee) -> Result<Meeting, Error> {
        let Self { store, world_size, patience, .. } = self;
        let round = store.add("round", 1)?;
        let of_round = part(store, round)?;
        let begun = Instant::now();
        let mut told = false;
        let mut missing: Vec<usize> = (1..world_size).collect();
        loop {
            let mut still = Vec::new();
            for rank in missing {
                match of_round.has(&came(rank))? {
                    true => drop(self.read(&of_round, rank)?),
                    false => still.push(rank),
                }
            }
            self.silence.answer();
            missing = still;
            if missing.is_empty() {
                break;
            }
            if begun.elapsed() > patience.gathering {
                return Err(self.refused(format!(
                    "{} of {world_size} did not come within {} s; start every rank, with the same MASTER_ADDR and \
                     MASTER_PORT",
                    names(&missing),
                    patience.gathering.as_secs()
                )));
            }
            if !told && begun.elapsed() > TELL {
                tracing::info!("waiting for {} of {world_size} at {}", names(&missing), self.at);
                told = true;
            }
            thread::sleep(LOOK);
        }
        let mut attendees = vec![own.clone()];
        for rank in 1..world_size {
            attendees.push(self.read(&of_round, rank)?);
        }
        of_round.set(ALL, &serde_json::to_vec(&attendees).expect("plain values"))?;
        Ok(Meeting { store: of_round, round, attendees })
    }

    /// What `rank`, which came, says of itself.
    fn read(self, of_round: &Store, rank: usize) -> Result<Attendee, Error> {
        let attendee: Attendee = serde_json::from_slice(&of_round.get(&came(rank))?)
            .map_err(|_| self.refused(format!("rank {rank} runs another version")))?;
        if attendee.world_size != self.world_size {
            return Err(Error::OtherRank(format!(
                "rank {rank} ({}) was started as one of {}, rank 0 as one of {}",
                attendee.who(),
                attendee.world_size,
                self.world_size
            )));
        }
        Ok(attendee)
    }

    /// The part of any other rank.
    fn come(self, own: &Attendee) -> Result<Meeting, Error> {
        let Self { store, rank, patience, .. } = self;
        let text = serde_json::to_vec(own).expect("plain values");
        let (mut seen, mut since, mut told) = (0, Instant::now(), false);
        loop {
            let round = store.add("round", 0)?;
            let of_round = part(store, round)?;
            if round != seen {
                of_round.set(&came(rank), &text)?;
                (seen, since) = (round, Instant::now());
            }
            let begun = round > 0 && of_round.has(ALL)?;
            self.silence.answer();
            if begun {
                let attendees: Vec<Attendee> = serde_json::from_slice(&of_round.get(ALL)?)
                    .map_err(|_| self.refused("rank 0 runs another version".to_string()))?;
                if attendees.get(rank) == Some(own) {
                    return Ok(Meeting { store: of_round, round, attendees });
                }
                if since.elapsed() > patience.next_round {
                    let other = attendees.get(rank).map_or("nobody".to_string(), Attendee::who);
                    return Err(self.refused(format!(
                        "they train already, with {other} as rank {rank}; start all ranks anew, or choose another \
                         MASTER_PORT"
                    )));
                }
            } else if round > 0 && of_round.get(&came(rank))? != text {
                return Err(self.refused(format!(
                    "another process came as rank {rank} after this one; give each rank a number of its own"
                )));
            } else if since.elapsed() > patience.gathering {
                return Err(self.refused(format!(
                    "not all of them came within {} s, as rank 0 says; start every rank, with the same MASTER_ADDR and \
                     MASTER_PORT",
                    patience.gathering.as_secs()
                )));
            }
            if !told && since.elapsed() > TELL {
                log::aloud(&format!("waiting for the other ranks at {}", self.at));
                told = true;
            }
            thread::sleep(LOOK);
        }
    }

    fn refused(self, message: String) -> Error {
        Error::Distributed(DistributedError {
            operation: "meeting the other ranks".to_string(),
            rank: Some((self.rank, self.world_size)),
            peer: None,
            message,
        })
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
