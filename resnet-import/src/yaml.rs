//! Words and numbers of YAML.

/// A word of YAML, in quotes where it needs them.
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts && text.chars().all(plain) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

/// A number of YAML: with a point, by which also older readers know it; as short as f32 allows, if it is one.
pub(crate) fn number(number: f64) -> String {
    let single = number as f32;
    let text = if f64::from(single) == number { format!("{single:?}") } else { format!("{number:?}") };
    match text.split_once('e') {
        Some((digits, power)) if !digits.contains('.') => format!("{digits}.0e{power}"),
        _ => text,
    }
}

#[test]
fn numbers_have_points() {
    for (value, text) in [
        (1e-5, "1.0e-5"),
        (f64::from(1e-5f32), "1.0e-5"),
        (1.001e-5, "1.001e-5"),
        (0.001, "0.001"),
        (3.0, "3.0"),
    ] {
        assert_eq!(number(value), text);
    }
}
