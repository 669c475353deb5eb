//! What is known of networks that this one may be taken for, read from `known.txt`.

/// The table; its head says what a line is.
const TABLE: &str = include_str!("known.txt");

/// What tensors are a sign of, each with the first of them that is such a sign.
pub(super) fn signs<'a>(
    tensors: impl Iterator<Item = (&'a str, &'a [usize])> + Clone,
) -> impl Iterator<Item = (&'a str, &'static str)> {
    lines("sign ").filter_map(move |(pattern, what)| {
        let (name, shape) =
            pattern.split_once(' ').map_or((pattern, None), |(name, shape)| (name, Some(shape)));
        let shape: Option<Vec<&str>> =
            shape.map(|shape| shape.trim_matches(['[', ']']).split(", ").collect());
        let is_size = |(size, dim): (&&str, &usize)| *size == "*" || *size == dim.to_string();
        let is_shape = |dims: &[usize]| {
            let same = |shape: &Vec<&str>| shape.len() == dims.len() && shape.iter().zip(dims).all(is_size);
            shape.as_ref().is_none_or(same)
        };
        let is_sign = |&(found, dims): &(&str, &[usize])| {
            is_shape(dims) && endings(found).any(|ending| matches(name, ending))
        };
        tensors.clone().find(is_sign).map(|(found, _)| (found, what))
    })
}

/// How an architecture of this name differs from the one that has the same tensors; `None` if there is no such.
pub(super) fn same_tensors(architecture: &str) -> Option<&'static str> {
    lines("same ").find(|(name, _)| *name == architecture).map(|(_, how)| how)
}

/// A name, and what is left of it behind each of its prefixes.
pub(super) fn endings(name: &str) -> impl Iterator<Item = &str> {
    let behind =
        name.char_indices().filter(|(_, c)| matches!(c, '.' | '/')).map(|(place, _)| &name[place + 1..]);
    std::iter::once(name).chain(behind)
}

fn lines(kind: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.lines().filter_map(move |line| line.strip_prefix(kind)?.split_once(": "))
}

/// Whether a text is as a pattern says, whose `*` is any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(start) else { return false };
    match rest {
        "" => true,
        rest => (0..=text.len()).filter_map(|place| text.get(place..)).any(|text| matches(rest, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_can_be_read() {
        let is_comment = |line: &&str| line.is_empty() || line.starts_with('#');
        let count = TABLE.lines().filter(|line| !is_comment(line)).count();
        assert_eq!(lines("sign ").count() + lines("same ").count(), count);
    }

    #[test]
    fn tensors_are_signs() {
        let is_sign = |name: &str, shape: &[usize], expected: &str| {
            let found: Vec<_> = signs([(name, shape)].into_iter()).collect();
            match expected {
                "" => assert_eq!(found, [], "{name} {shape:?}"),
                _ => assert!(matches!(&*found, [(_, what)] if what.contains(expected)), "{name}: {found:?}"),
            }
        };
        is_sign("conv1.0.weight", &[32, 3, 3, 3], "resnet*d");
        is_sign("module.conv1.0.weight", &[32, 3, 3, 3], "resnet*d");
        is_sign("conv1.0.weight", &[32, 3, 3], "");
        is_sign("conv1.0.weight", &[32, 3, 3, 3, 1], "");
        is_sign("myconv1.0.weight", &[32, 3, 3, 3], "");
        is_sign("layer4.0.downsample.1.weight", &[2048, 1024, 1, 1], "resnet*t");
        is_sign("layer4.0.downsample.1.weight", &[2048], "");
        is_sign("layer1.0.conv2.weight", &[256, 8, 3, 3], "resnext101_32x8d");
        is_sign("resnet.embedder.embedder.convolution.weight", &[64, 3, 7, 7], "Hugging Face");
        is_sign("conv1_conv/kernel:0", &[7, 7, 3, 64], "keras.applications");
        is_sign("layer1.0.conv1.weight", &[16, 16, 3, 3], "");
        assert!(same_tensors("resnetblur50").is_some() && same_tensors("resnet50").is_none());
    }
}
