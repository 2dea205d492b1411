//! Quantities as text: durations, bytes, counts.

use std::time::Duration;

use pipe_engine::run::Counts;
use pipe_engine::sched::Estimate;

/// A number of seconds from a file, which may have been damaged.
pub fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or_default()
}

/// `0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..=9 => format!("{:.1} s", duration.as_secs_f64()),
        10..=99 => format!("{seconds} s"),
        100..=5_999 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
    }
}

/// `12 s`, `3 min 05 s`: for a duration that is still growing.
pub fn whole_seconds(growing: Duration) -> String {
    if growing.as_secs() < 10 { format!("{} s", growing.as_secs()) } else { duration(growing) }
}

/// `00:03:05`, hours first.
pub fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// `about 4 min left`; `at least 4 min left` for a lower bound, unless that says little.
pub fn time_left(estimate: &Estimate) -> Option<String> {
    match estimate.is_complete {
        true if estimate.seconds < 5.0 => Some("a few seconds left".into()),
        true => Some(format!("about {} left", rough(estimate.seconds))),
        false => (estimate.seconds >= 10.0).then(|| format!("at least {} left", rough(estimate.seconds))),
    }
}

/// `40 s`, `4 min`, `2 h 10 min`: no more digits than an estimate has.
fn rough(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round();
    match seconds {
        0.0..90.0 => format!("{} s", (seconds / 5.0).round() * 5.0),
        90.0..5_400.0 => format!("{minutes} min"),
        _ => {
            let tens = (minutes / 10.0).round() as u64;
            format!("{} h {:02} min", tens / 6, tens % 6 * 10)
        }
    }
}

/// `ran 12, hits 40`: the usual ways to end always, the others where they happened.
pub fn tally(counts: &Counts) -> String {
    let mut text = format!("ran {}, hits {}", counts.ran, counts.hit);
    for (number, word) in [(counts.absent, "absent"), (counts.failed, "failed"), (counts.skipped, "skipped")] {
        if number > 0 {
            text.push_str(&format!(", {word} {number}"));
        }
    }
    text
}

/// `512 B`, `1.5 KiB`, `3.0 GiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

/// `1 stage`, `3 stages`.
pub fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_two_places_that_matter() {
        let cases = [(0.35, "0.3 s"), (12.9, "12 s"), (125.0, "2 min 05 s"), (7_620.0, "2 h 07 min")];
        for (seconds, text) in cases {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), text);
        }
    }

    #[test]
    fn growing_durations_have_whole_seconds() {
        assert_eq!(whole_seconds(Duration::from_millis(3_999)), "3 s");
        assert_eq!(clock(Duration::from_secs(3_725)), "01:02:05");
    }

    #[test]
    fn estimates_are_rough_and_lower_bounds_are_called_so() {
        let cases = [
            (0.0, true, Some("a few seconds left")),
            (38.0, true, Some("about 40 s left")),
            (89.0, true, Some("about 90 s left")),
            (230.0, true, Some("about 4 min left")),
            (7_700.0, true, Some("about 2 h 10 min left")),
            (230.0, false, Some("at least 4 min left")),
            (9.0, false, None),
        ];
        for (seconds, is_complete, text) in cases {
            assert_eq!(time_left(&Estimate { seconds, is_complete }).as_deref(), text);
        }
    }

    #[test]
    fn the_tally_names_what_happened() {
        assert_eq!(tally(&Counts { ran: 1, skipped: 1, ..Counts::default() }), "ran 1, hits 0, skipped 1");
    }

    #[test]
    fn bytes_use_binary_units() {
        let cases = [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (3 << 30, "3.0 GiB"), (5 << 50, "5120.0 TiB")];
        for (number, text) in cases {
            assert_eq!(bytes(number), text);
        }
    }
}
