//! Names that Keras makes of classes.

/// `conv2d` of `Conv2D`, `p_re_lu` of `PReLU`: as `keras.src.utils.naming.to_snake_case` does it, in its two steps.
pub(super) fn snake_case(class: &str) -> String {
    let letters: Vec<char> = class.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
    // An underscore before each capital with small letters behind it,
    let mut words = String::new();
    let mut at = 0;
    while let Some(first) = letters.get(at) {
        words.push(*first);
        at += 1;
        let [Some(capital), Some(small)] = [letters.get(at), letters.get(at + 1)] else { continue };
        if capital.is_ascii_uppercase() && small.is_ascii_lowercase() {
            words.extend(['_', *capital]);
            at += 1;
            while let Some(small) = letters.get(at).filter(|c| c.is_ascii_lowercase()) {
                words.push(*small);
                at += 1;
            }
        }
    }
    // and between a small letter and a capital.
    let mut name = String::new();
    let mut was_small = false;
    for letter in words.chars() {
        if was_small && letter.is_ascii_uppercase() {
            name.push('_');
        }
        was_small = letter.is_ascii_lowercase();
        name.extend(letter.to_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn names_are_those_of_keras() {
        for (class, name) in [
            ("Conv2D", "conv2d"),
            ("PReLU", "p_re_lu"),
            ("ReLU", "re_lu"),
            ("LeakyReLU", "leaky_re_lu"),
            ("BatchNormalization", "batch_normalization"),
            ("DepthwiseConv2D", "depthwise_conv2d"),
            ("GlobalAveragePooling2D", "global_average_pooling2d"),
            ("Dense", "dense"),
            ("MyNet", "my_net"),
            ("AbCdEf", "ab_cd_ef"),
        ] {
            assert_eq!(snake_case(class), name);
        }
    }
}
