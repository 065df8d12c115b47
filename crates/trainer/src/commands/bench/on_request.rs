//! A benchmark that waits for its turn: one timed round for every line that it is sent.
//!
//! Timings of two programs compare only when both saw the same minutes of a noisy machine. This is the half of
//! `cargo xtask peers` that lets a program be timed a little at a time, between the others.

use std::io::BufRead;

use serde_json::{Value, json};

use crate::commands::Error;

/// The fewest steps before the first round: the first steps allocate memory and choose kernels.
const WARM_UP: u32 = 3;

/// Warms up, answers `ready` with the key `steps_per_round` added, and then every line of `requests` with
/// `{"ms_per_step", "steps"}`, until the lines end.
///
/// A round has as many steps as last about `seconds`, by the last step of the warm-up, which takes at least as long. One
/// step before them does not count: in the meantime other programs have used the caches.
///
/// # Errors
///
/// Those of `timed`, which takes so many steps and returns their seconds, and of `answer`; a line that cannot be read ends the rounds like the last one.
pub(super) fn serve(
    seconds: f64,
    mut ready: Value,
    requests: impl BufRead,
    mut timed: impl FnMut(u32) -> Result<f64, Error>,
    mut answer: impl FnMut(&str) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut last = timed(WARM_UP)? / f64::from(WARM_UP);
    let mut spent = 0.0;
    while spent < seconds {
        last = timed(1)?;
        spent += last;
    }
    let steps = steps_per_round(seconds, last);
    ready["steps_per_round"] = steps.into();
    answer(&ready.to_string())?;
    for _ in requests.lines().map_while(Result::ok) {
        timed(1)?;
        let milliseconds = timed(steps)? * 1e3 / f64::from(steps);
        answer(&json!({ "ms_per_step": milliseconds, "steps": steps }).to_string())?;
    }
    Ok(())
}

/// The number of steps of `step` seconds nearest to `seconds`, at least one.
pub(super) fn steps_per_round(seconds: f64, step: f64) -> u32 {
    let steps = (seconds / step).round();
    // No time in no time is not a number.
    if steps.is_nan() { 1 } else { steps.clamp(1.0, 1e6) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Refusal;

    #[test]
    fn a_round_has_the_nearest_number_of_steps_and_at_least_one() {
        for (seconds, step, expected) in [
            (1.0, 0.1, 10),
            (1.0, 0.4, 3),
            (1.0, 5.0, 1),
            (0.0, 0.1, 1),
            (1.0, 0.0, 1_000_000),
            (0.0, 0.0, 1),
        ] {
            assert_eq!(steps_per_round(seconds, step), expected, "{seconds} s of {step} s");
        }
    }

    #[test]
    fn says_ready_once_and_answers_every_line() {
        let (mut taken, mut answers) = (0_u32, Vec::<Value>::new());
        let timed = |steps| {
            taken += steps;
            Ok(1e-3)
        };
        let answer = |line: &str| {
            answers.push(serde_json::from_str(line).unwrap());
            Ok(())
        };
        serve(0.0, json!({ "ready": true }), &b"round\n\nround"[..], timed, answer).unwrap();
        assert_eq!(answers.len(), 4);
        assert_eq!(answers[0], json!({ "ready": true, "steps_per_round": 1 }));
        for round in &answers[1..] {
            assert_eq!(round["steps"], 1);
            assert!(round["ms_per_step"].as_f64() >= Some(0.0), "{round}");
        }
        assert_eq!(taken, WARM_UP + 3 * 2);
    }

    #[test]
    fn a_step_that_fails_ends_it() {
        let fails = |_| Err(Refusal::NoImage { data: "any".to_string() }.into());
        let ended = serve(0.0, json!({}), &b""[..], fails, |_| panic!("nothing to say"));
        assert_eq!(
            ended.unwrap_err().to_string(),
            Refusal::NoImage { data: "any".to_string() }.to_string()
        );
    }
}
