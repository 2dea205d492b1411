//! Amounts with units as written by hand: `3 GiB`, `90 s`, `90%`.

use std::time::Duration;

/// Bytes: a whole number, or a number with `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024) or `kB`, `MB`, `GB`, `TB` (of 1000).
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    // 2^53 bytes are 8 PiB, so a float loses nothing that matters; the cast saturates.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        reason = "see above"
    )]
    let bytes = (number * factor as f64).round() as u64;
    Some(bytes)
}

/// Bytes with a readable unit: `3 GiB`, `512 MiB`, `17 B`.
pub fn show_bytes(bytes: u64) -> String {
    for (factor, unit) in [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= factor {
            let (whole, tenth) = (bytes / factor, bytes % factor * 10 / factor);
            return if tenth == 0 { format!("{whole} {unit}") } else { format!("{whole}.{tenth} {unit}") };
        }
    }
    format!("{bytes} B")
}

/// A time: a number with `ms`, `s`, `min`, `h` or `d`; a bare number is seconds.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "min" | "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * seconds).ok().filter(|duration| !duration.is_zero())
}

/// A share: `90%`, `90 %` or `0.9`; from 0 to 1.
pub fn share(text: &str) -> Option<f64> {
    let (number, unit) = split(text)?;
    let share = match unit {
        "" => number,
        "%" => number / 100.0,
        _ => return None,
    };
    (0.0..=1.0).contains(&share).then_some(share)
}

/// A non-negative finite number and what follows it.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let number = text[..end].parse::<f64>().ok().filter(|number| number.is_finite())?;
    Some((number, text[end..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_and_show() {
        assert_eq!(bytes("3 GiB"), Some(3 << 30));
        assert_eq!(bytes("1.5MiB"), Some(3 << 19));
        assert_eq!(bytes("3 gigs"), None);
        assert_eq!(bytes("-1"), None);
        assert_eq!(show_bytes(3 << 30), "3 GiB");
        assert_eq!(show_bytes(3 << 29), "1.5 GiB");
        assert_eq!(duration("30 min"), Some(Duration::from_secs(1800)));
        assert_eq!(duration("0"), None);
        assert_eq!(share("90%"), Some(0.9));
        assert_eq!(share("1.2"), None);
    }
}
