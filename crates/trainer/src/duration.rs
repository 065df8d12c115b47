//! Durations in words.

/// Seconds as `1:05 min` or `1:01:05 h`.
pub(crate) fn clock(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02} min"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_and_carried() {
        assert_eq!(clock(59.6), "1:00 min");
        assert_eq!(clock(3661.0), "1:01:01 h");
    }
}
