//! Names in text forms: as they are where nothing else can be meant, else in double quotes with JSON's escapes, which YAML has too.

use resnet_plan::text::is_name;

/// A network's name: in quotes, unless it is made of a name's letters and no `//`, which begins a comment.
pub(crate) fn network(name: &str) -> String {
    if is_name(name) && !name.contains("//") { name.to_owned() } else { quoted(name) }
}

/// The text, in quotes.
pub(crate) fn quoted(text: &str) -> String {
    let mut result = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => result.extend(['\\', letter]),
            '\n' => result += "\\n",
            // What YAML does not take as it is, or takes for the end of a line, and what turns the direction of text.
            '\0'..' '
            | '\x7F'..='\u{9F}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2066}'..='\u{2069}'
            | '\u{FEFF}'
            | '\u{FFFE}'
            | '\u{FFFF}' => {
                result += &format!("\\u{:04x}", u32::from(letter));
            }
            _ => result.push(letter),
        }
    }
    result + "\""
}

/// The text between quotes, and what stands behind them; `None` if it is not [`quoted`].
pub(crate) fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?.chars();
    let mut result = String::new();
    loop {
        match rest.next()? {
            '"' => return Some((result, rest.as_str())),
            '\\' => match rest.next()? {
                letter @ ('"' | '\\') => result.push(letter),
                'n' => result.push('\n'),
                'u' => {
                    let (digits, behind) = rest.as_str().split_at_checked(4)?;
                    result.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                    rest = behind.chars();
                }
                _ => return None,
            },
            letter => result.push(letter),
        }
    }
}

/// The text as a key or value of YAML that is read back as this text by every reader: quoted, unless it is a word that no version
/// of YAML takes for a truth value or nothing, of letters, digits and `_ . / -`.
pub(crate) fn yaml(text: &str) -> String {
    const VALUES: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let starts = |text: &str| text.starts_with(|letter: char| letter.is_alphabetic() || letter == '_');
    let plain = starts(text) && is_name(text) && !VALUES.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_read_back() {
        for text in ["", "plain", "a \"b\" \\ c", "line\nline\r\t\0", "\u{85}\u{feff}\u{2028}", "\u{1F600} é"]
        {
            assert_eq!(unquoted(&(quoted(text) + " rest")), Some((text.to_owned(), " rest")));
        }
        for text in ["plain", "\"open", "\"\\", "\"\\q\"", "\"\\u12\"", "\"\\uD800\""] {
            assert_eq!(unquoted(text), None, "{text}");
        }
    }
}
