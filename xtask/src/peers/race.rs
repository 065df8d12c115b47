//! The rounds of one workload, in turns, so that every contender sees the same minutes of the machine.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::worker::Worker;

/// The rules of a race.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Timings of each contender.
    pub rounds: usize,
    /// Rest between two turns, in which spinning threads of the last one come to an end.
    pub rest: Duration,
    /// The longest that building and warming up may take.
    pub start_limit: Duration,
    /// The longest that a round may take.
    pub round_limit: Duration,
}

/// The result of one contender.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The contender.
    pub name: String,
    /// The message by which it announced that it was ready; null if it never was.
    pub ready: Value,
    /// Milliseconds a step of each round.
    pub rounds: Vec<f64>,
    /// The most memory that it had resident, in bytes.
    pub peak_memory: Option<u64>,
    /// Why it did not finish.
    pub failure: Option<String>,
}

/// One contender while it runs; without a worker it is out.
struct Runner {
    worker: Option<Worker>,
    outcome: Outcome,
}

impl Runner {
    /// Starts the worker, waits until it is warm, and stops it.
    fn start(name: String, command: Command, logs: &Path, rules: &Rules) -> Self {
        let log = logs.join(format!("{}.log", name.replace([' ', '/'], "-")));
        let outcome = Outcome {
            name,
            ready: Value::Null,
            rounds: Vec::new(),
            peak_memory: None,
            failure: None,
        };
        let mut runner = Self { worker: None, outcome };
        let started = Worker::start(command, &log).and_then(|mut worker| {
            let ready = worker.ready(rules.start_limit)?;
            worker.stop()?;
            Ok((worker, ready))
        });
        match started {
            Ok((worker, ready)) => {
                runner.worker = Some(worker);
                runner.outcome.ready = ready;
            }
            Err(err) => runner.fail(&err),
        }
        runner
    }

    /// One timed round, before and after which the worker is stopped.
    fn take_turn(&mut self, rules: &Rules) {
        let Some(worker) = &mut self.worker else { return };
        let mut turn = || -> Result<f64> {
            worker.resume()?;
            let milliseconds = worker.round(rules.round_limit)?;
            worker.stop()?;
            Ok(milliseconds)
        };
        match turn() {
            Ok(milliseconds) => self.outcome.rounds.push(milliseconds),
            Err(err) => self.fail(&err),
        }
        thread::sleep(rules.rest);
    }

    fn fail(&mut self, err: &anyhow::Error) {
        eprintln!("   {}: failed: {err:#}", self.outcome.name);
        self.outcome.failure = Some(format!("{err:#}"));
        self.worker = None;
    }

    fn end(mut self) -> Outcome {
        self.outcome.peak_memory = self.worker.as_ref().and_then(Worker::peak_memory);
        self.outcome
    }
}

/// Starts every contender, times `rules.rounds` rounds of each in turns, and ends them all.
///
/// They start one after the other and only one runs at a time: memory must hold all the networks, but the feature
/// maps of only one. The folder `logs` gets their stderr.
pub fn run(contenders: Vec<(String, Command)>, rules: &Rules, logs: &Path) -> Vec<Outcome> {
    let mut runners = Vec::new();
    for (name, command) in contenders {
        eprintln!("   {name}: builds and warms up");
        runners.push(Runner::start(name, command, logs, rules));
    }
    for round in 1..=rules.rounds {
        eprintln!("   round {round} of {}", rules.rounds);
        for runner in &mut runners {
            runner.take_turn(rules);
        }
    }
    runners.into_iter().map(Runner::end).collect()
}
