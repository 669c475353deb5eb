//! Text and quantities as a page shows them.

pub(super) use crate::svg::text::{count, escape, several, shape};

/// `25,557,032`
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `49,403.3`
pub(super) fn decimal(number: f64) -> String {
    let tenths = (10.0 * number).round() as u64;
    format!("{}.{}", grouped(tenths / 10), tenths % 10)
}

/// A number and its unit: `25.56` and `million`.
pub(super) fn scaled(number: u64) -> (String, &'static str) {
    match number {
        0..10_000 => (grouped(number), ""),
        10_000..1_000_000 => (format!("{:.1}", number as f64 / 1e3), "thousand"),
        1_000_000..1_000_000_000 => (format!("{:.2}", number as f64 / 1e6), "million"),
        _ => (format!("{:.2}", number as f64 / 1e9), "billion"),
    }
}

/// Bytes and their unit: `5.28` and `MB`.
pub(super) fn bytes(number: usize) -> (String, &'static str) {
    match number as f64 {
        few if few < 1e3 => (few.to_string(), "bytes"),
        number if number < 1e6 => (significant(number / 1e3), "kB"),
        number if number < 1e9 => (significant(number / 1e6), "MB"),
        number => (significant(number / 1e9), "GB"),
    }
}

/// Microseconds and their unit: `29.4` and `ms`.
pub(super) fn time(us: f64) -> (String, &'static str) {
    match us {
        us if us < 1e3 => (significant(us), "µs"),
        us if us < 1e6 => (significant(us / 1e3), "ms"),
        us => (significant(us / 1e6), "s"),
    }
}

/// A number and its unit in one text.
pub(super) fn joined((number, unit): (String, &str)) -> String {
    if unit.is_empty() { number } else { format!("{number} {unit}") }
}

/// Three digits, or four where they are there.
fn significant(number: f64) -> String {
    match number {
        number if number < 10.0 => format!("{number:.2}"),
        number if number < 1000.0 => format!("{number:.1}"),
        number => format!("{number:.0}"),
    }
}

/// A share of a whole in percent, for lengths and places in diagrams.
pub(super) fn percent(part: f64, whole: f64) -> String {
    let share = if whole > 0.0 { (100.0 * part / whole).clamp(0.0, 100.0) } else { 0.0 };
    format!("{}%", (share * 1e3).round() / 1e3)
}
