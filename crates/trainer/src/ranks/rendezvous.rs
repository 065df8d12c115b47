//! Ranks come together: all begin at once, and none meets those of an earlier start.
//!
//! Each start is a round, which rank 0 opens. The others write down that they came. Once all did, rank 0 closes the round
//! with the list of its ranks. No count of restarts is needed, which torchrun keeps for each machine. A rank that is
//! started again before the list is written takes its own place over; one that comes later waits for the next round.

use std::thread;
use std::time::{Duration, Instant};

use torch_ext::distributed::{DistributedError, Store};

use super::address::TELL;
use super::attendee::Attendee;
use super::store_silence::Silence;
use crate::console::log;
use crate::ranks::Error;

/// Pause between two reads of the store.
const POLL: Duration = Duration::from_millis(100);
/// Missing ranks that a message names.
const NAMED: usize = 8;

/// Ranks that have come together.
pub(super) struct Meeting {
    /// The part of the store that belongs to them alone.
    pub(super) store: Store,
    /// The number of the meeting at this store, from 1.
    pub(super) round: i64,
    /// By rank.
    pub(super) attendees: Vec<Attendee>,
}

impl Meeting {
    /// The same part of the store as [`Meeting::store`], by another connection.
    pub(super) fn part_of(&self, store: &Store) -> Result<Store, DistributedError> {
        part(store, self.round)
    }
}

fn part(store: &Store, round: i64) -> Result<Store, DistributedError> {
    store.with_prefix(&round.to_string())
}

/// The longest waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Until all ranks have come.
    pub(super) gathering: Duration,
    /// Until the next round, for a rank that came too late for this one.
    pub(super) next_round: Duration,
}

/// The place where ranks meet, and the rank that this process is.
#[derive(Clone, Copy)]
pub(super) struct Rendezvous<'a> {
    /// The store that they meet at.
    pub(super) store: &'a Store,
    /// Its address, for messages.
    pub(super) at: &'a str,
    /// The process that holds it, for messages.
    pub(super) keeper: &'a str,
    pub(super) rank: usize,
    pub(super) world_size: usize,
    pub(super) patience: Patience,
    /// Is told of every answer of the store.
    pub(super) silence: &'a Silence,
}

impl Rendezvous<'_> {
    /// Meets the other ranks.
    ///
    /// # Errors
    ///
    /// When they do not come, or began without this process.
    pub(super) fn come_together(self, own: &Attendee) -> Result<Meeting, Error> {
        let met = if self.rank == 0 { self.open(own) } else { self.come(own) };
        met.map_err(|error| match error {
            // An error of the store: it ends with the process that holds it.
            Error::Distributed(DistributedError { rank: None, message, .. }) => {
                self.refused(format!("{} is gone: {message}", self.keeper))
            }
            other => other,
        })
    }

    /// Opens a round and waits for all ranks: rank 0's part.
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
                if of_round.has(&came(rank))? {
                    drop(self.read(&of_round, rank)?);
                } else {
                    still.push(rank);
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
            thread::sleep(POLL);
        }
        let mut attendees = vec![own.clone()];
        for rank in 1..world_size {
            attendees.push(self.read(&of_round, rank)?);
        }
        of_round.set(ALL, &serde_json::to_vec(&attendees).expect("plain values"))?;
        Ok(Meeting { store: of_round, round, attendees })
    }

    /// The facts that `rank`, which came, has written about itself.
    fn read(self, of_round: &Store, rank: usize) -> Result<Attendee, Error> {
        let attendee: Attendee = serde_json::from_slice(&of_round.get(&came(rank))?)
            .map_err(|_| self.refused(format!("rank {rank} runs another version")))?;
        if attendee.world_size != self.world_size {
            let (its, ours) = (attendee.world_size, self.world_size);
            return Err(Error::OtherWorldSize { rank, who: attendee.who(), its, ours });
        }
        Ok(attendee)
    }

    /// Joins the round that rank 0 has opened.
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
            thread::sleep(POLL);
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
