//! Arithmetic in values: `f3 / reduction`, `2 * (f1 + 8)`.
//!
//! ```text
//! sum     = product (("+" | "-") product)*
//! product = factor (("*" | "/") factor)*
//! factor  = number | word | "(" sum ")"
//! ```
//! All numbers are whole, and so are the results: a division that leaves a rest is a mistake.

/// The deepest parentheses.
const DEEPEST: usize = 32;

/// What a word of an expression stands for.
pub(super) enum Word {
    /// A whole number.
    Number(i64),
    /// A number that is not known yet.
    Unknown,
}

/// Whether a text is an expression, and no word.
pub(super) fn is_expression(text: &str) -> bool {
    text.contains(['+', '-', '*', '/', '(', ')'])
}

/// The value of an expression; `None` if a word is not known yet.
///
/// # Errors
/// What is wrong, in words: with the syntax, with a word (as `word` says it) or with a number.
pub(super) fn value(
    text: &str,
    word: &mut dyn FnMut(&str) -> Result<Word, String>,
) -> Result<Option<i64>, String> {
    let mut parser = Parser { rest: text.trim_start(), word, depth: 0 };
    let value = parser.sum()?;
    match parser.rest.chars().next() {
        None => Ok(value),
        Some(other) => Err(format!("`{other}` does not belong in an expression of whole numbers")),
    }
}

struct Parser<'a> {
    rest: &'a str,
    word: &'a mut dyn FnMut(&str) -> Result<Word, String>,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn sum(&mut self) -> Result<Option<i64>, String> {
        let mut value = self.product()?;
        while let Some(operator) = self.operator(['+', '-']) {
            value = apply(value, operator, self.product()?)?;
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<Option<i64>, String> {
        let mut value = self.factor()?;
        while let Some(operator) = self.operator(['*', '/']) {
            value = apply(value, operator, self.factor()?)?;
        }
        Ok(value)
    }

    fn factor(&mut self) -> Result<Option<i64>, String> {
        if self.operator(['(']).is_some() {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(format!("parentheses are nested more than {DEEPEST} deep"));
            }
            let value = self.sum()?;
            self.depth -= 1;
            return match self.operator([')']) {
                Some(_) => Ok(value),
                None => Err("a `)` is missing".to_owned()),
            };
        }
        let name = self.take(|letter| letter.is_alphanumeric() || letter == '_');
        if name.starts_with(|first: char| first.is_ascii_digit()) {
            let number = name.parse().map_err(|_| format!("`{name}` is not a whole number"))?;
            return Ok(Some(number));
        }
        match (name, self.rest.chars().next()) {
            ("", None) => Err("a number or a word is missing at the end".to_owned()),
            ("", Some(other)) => Err(format!("expected a number or a word, found `{other}`")),
            _ => match (self.word)(name)? {
                Word::Number(number) => Ok(Some(number)),
                Word::Unknown => Ok(None),
            },
        }
    }

    /// Takes one of some characters.
    fn operator<const N: usize>(&mut self, operators: [char; N]) -> Option<char> {
        let operator = self.rest.chars().next().filter(|next| operators.contains(next))?;
        self.rest = self.rest[operator.len_utf8()..].trim_start();
        Some(operator)
    }

    /// Takes all letters of a kind, and the blanks behind them.
    fn take(&mut self, kind: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|letter| !kind(letter)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        taken
    }
}

fn apply(left: Option<i64>, operator: char, right: Option<i64>) -> Result<Option<i64>, String> {
    let (Some(left), Some(right)) = (left, right) else { return Ok(None) };
    let value = match operator {
        '+' => left.checked_add(right),
        '-' => left.checked_sub(right),
        '*' => left.checked_mul(right),
        _ if right == 0 => return Err(format!("{left} / 0 has no value")),
        _ if left.checked_rem(right).is_some_and(|rest| rest != 0) => {
            return Err(format!("{left} / {right} is not a whole number"));
        }
        _ => left.checked_div(right),
    };
    value.map(Some).ok_or_else(|| format!("{left} {operator} {right} is too large"))
}

#[test]
fn expressions() {
    let mut word = |name: &str| match name {
        "f3" => Ok(Word::Number(256)),
        "later" => Ok(Word::Unknown),
        _ => Err(format!("no {name}")),
    };
    for (text, expected) in [
        ("f3 / 16", Ok(Some(16))),
        ("2*(f3+8) - 1", Ok(Some(527))),
        ("8 - 2 - 1", Ok(Some(5))),
        ("f3 / later", Ok(None)),
        ("f3 / 3", Err("256 / 3 is not a whole number")),
        ("f3 / (4 - 4)", Err("256 / 0 has no value")),
        ("9223372036854775807 + 1", Err("9223372036854775807 + 1 is too large")),
        ("(0 - 9223372036854775807 - 1) / (0 - 1)", Err("-9223372036854775808 / -1 is too large")),
        ("99999999999999999999 * 1", Err("`99999999999999999999` is not a whole number")),
        ("(f3", Err("a `)` is missing")),
        ("f3 *", Err("a number or a word is missing at the end")),
        ("* f3", Err("expected a number or a word, found `*`")),
        ("f3) + 1", Err("`)` does not belong in an expression of whole numbers")),
        ("x + 1", Err("no x")),
    ] {
        assert_eq!(value(text, &mut word), expected.map_err(str::to_owned), "{text}");
    }
    let deep = "(".repeat(1_000_000);
    assert_eq!(value(&deep, &mut word), Err("parentheses are nested more than 32 deep".to_owned()));
}
