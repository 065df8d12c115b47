//! Durations in words.

/// Seconds as `1:05 min` or `1:01:05 h`.
pub(crate) fn clock(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02} min"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02} h"),
    }
}

/// The seconds of a text such as `30m`, `1h30m`, `90s` or `90` (seconds).
pub(crate) fn parse(text: &str) -> Result<f64, String> {
    let refused = || format!("'{text}' is no duration; give one such as 30m, 1h30m or 90s");
    let (mut seconds, mut number, mut ended) = (0.0, String::new(), false);
    for letter in text.trim().chars() {
        let unit = match letter {
            '0'..='9' | '.' if !ended => {
                number.push(letter);
                continue;
            }
            's' => 1.0,
            'm' => 60.0,
            'h' => 3600.0,
            'd' => 86400.0,
            _ => return Err(refused()),
        };
        seconds += unit * number.parse::<f64>().map_err(|_| refused())?;
        number.clear();
        ended = letter == 's';
    }
    if !number.is_empty() {
        if seconds > 0.0 {
            return Err(refused());
        }
        seconds = number.parse().map_err(|_| refused())?;
    }
    if seconds > 0.0 && seconds < 1e9 { Ok(seconds) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, seconds) in
            [("30m", 1800.0), ("1h30m", 5400.0), ("90s", 90.0), ("90", 90.0), ("1.5h", 5400.0)]
        {
            assert_eq!(parse(text), Ok(seconds), "{text}");
        }
        for text in ["", "0", "m", "-3m", "1h30", "3 weeks", "1..5h", "NaN", "inf"] {
            assert!(parse(text).unwrap_err().contains("is no duration"), "{text}");
        }
    }

    #[test]
    fn seconds_are_rounded_and_carried() {
        assert_eq!(clock(59.6), "1:00 min");
        assert_eq!(clock(3661.0), "1:01:01 h");
    }
}
