//! The format of figures in reports: one for each kind, so that figures can be compared by eye.

use crate::duration::clock;

/// The sign for a figure that was not measured.
pub(super) const NOTHING: &str = "–";

/// `81.96 %` for 0.8196; `not finite` for a value that is not.
pub(super) fn percent(part: Option<f64>) -> String {
    match part {
        None => NOTHING.to_string(),
        Some(part) if part.is_finite() => format!("{:.2} %", part * 100.0),
        Some(_) => "not finite".to_string(),
    }
}

/// Four digits after the point.
pub(super) fn decimal(value: Option<f64>) -> String {
    match value {
        None => NOTHING.to_string(),
        Some(value) if value.is_finite() => format!("{value:.4}"),
        Some(_) => "not finite".to_string(),
    }
}

/// Seconds as people say them.
pub(super) fn duration(seconds: Option<f64>) -> String {
    match seconds {
        Some(seconds) if seconds.is_finite() && seconds >= 0.0 => clock(seconds),
        _ => NOTHING.to_string(),
    }
}

/// `1,200 img/s`.
pub(super) fn throughput(images_per_second: Option<f64>) -> String {
    match images_per_second {
        Some(speed) if speed.is_finite() => format!("{} img/s", in_threes(&format!("{speed:.0}"))),
        _ => NOTHING.to_string(),
    }
}

/// The digits before the point, in threes.
pub(super) fn in_threes(number: &str) -> String {
    let (whole, rest) =
        number.split_once('.').map_or((number, ""), |(whole, _)| (whole, &number[whole.len()..]));
    let digits = whole.trim_start_matches('-');
    let mut written = whole[..whole.len() - digits.len()].to_string();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            written.push(',');
        }
        written.push(digit);
    }
    written + rest
}

/// `2026-11-24 10:33 UTC` of seconds since 1970; nothing for a time that no calendar here reaches.
pub(super) fn date(seconds: f64) -> Option<String> {
    if !(0.0..=253_402_300_799.0).contains(&seconds) {
        return None;
    }
    let seconds = seconds as u64;
    // Years from March on, so that the leap day is the last: Hinnant's civil_from_days.
    let day = seconds / 86_400 + 719_468;
    let era = day / 146_097;
    let of_era = day % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let date = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    Some(format!("{year}-{month:02}-{date:02} {hour:02}:{minute:02} UTC"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_one_way() {
        assert_eq!(percent(Some(0.8196)), "81.96 %");
        assert_eq!((percent(None).as_str(), percent(Some(f64::NAN)).as_str()), ("–", "not finite"));
        assert_eq!(decimal(Some(0.58791)), "0.5879");
        assert_eq!(duration(Some(589.0)), "9:49 min");
        assert_eq!(duration(Some(f64::NAN)), "–");
        assert_eq!(throughput(Some(1234.5)), "1,234 img/s");
        let written = ["7", "-1234", "123", "1234567.5"].map(in_threes);
        assert_eq!(written, ["7", "-1,234", "123", "1,234,567.5"]);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0.0).unwrap(), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_400.0).unwrap(), "2000-02-29 00:00 UTC");
        assert_eq!(date(1_795_516_380.9).unwrap(), "2026-11-24 10:33 UTC");
        assert_eq!(date(f64::NAN), None);
        assert_eq!(date(-1.0), None);
    }
}
