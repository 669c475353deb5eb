//! The report inside its page: JSON, compressed as browsers unpack it (zlib), in base64.

use crate::report::Report;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The report in characters that mean nothing in HTML.
pub(super) fn embed(report: &Report) -> String {
    // Maps have text keys and floats are numbers or null, so it is always JSON.
    let json = serde_json::to_vec(report).unwrap_or_default();
    base64(&miniz_oxide::deflate::compress_to_vec_zlib(&json, 9))
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { digit.into() } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn the_examples_of_rfc_4648() {
        let all = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
        let encoded = all.map(|text| base64(text.as_bytes()));
        assert_eq!(encoded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }
}
