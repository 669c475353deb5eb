//! What ships with the compiler: every spec, calibration table, definition of a block and naming scheme under `specs/` (YAML), and
//! every list of labels (text), found when the crate is built.

use resnet_plan::nearest;

include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// The text of a spec, by its path under `specs/` without the ending: `torchvision/resnet50`.
pub fn get(name: &str) -> Option<&'static str> {
    SPECS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The text of the calibration table that ships with a spec: `specs/NAME.calibration.yaml`.
pub fn calibration(name: &str) -> Option<&'static str> {
    CALIBRATIONS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The text of a list of labels, by the name that a spec's `labels` gives: one a line.
pub fn labels(name: &str) -> Option<&'static str> {
    LABELS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The text of a definition of a block, by the name that a spec's `block` gives.
pub(crate) fn block(name: &str) -> Option<&'static str> {
    BLOCKS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names of the definitions of blocks, sorted.
pub(crate) fn blocks() -> impl Iterator<Item = &'static str> {
    BLOCKS.iter().map(|(name, _)| *name)
}

/// The text of a naming scheme, by the name that a spec's `names` gives.
pub(crate) fn scheme(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names of the naming schemes, sorted.
pub(crate) fn schemes() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name)
}

/// The names of the lists of labels, sorted.
pub fn label_lists() -> impl Iterator<Item = &'static str> {
    LABELS.iter().map(|(name, _)| *name)
}

/// The names of all specs, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    SPECS.iter().map(|(name, _)| *name)
}

/// What to say of a name that no spec has: which one was probably meant, or else which there are.
pub fn unknown(name: &str) -> String {
    format!("no spec `{name}` ships; {}", likely(name))
}

/// The most specs that are suggested because they begin with a name.
const MOST: usize = 4;

/// Which spec was probably meant by a name that none has, or else which there are.
pub(crate) fn likely(name: &str) -> String {
    let known: Vec<&str> = names().collect();
    // The name without its folder is what people remember.
    let last = |path: &str| path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let mut same: Vec<&str> = known.iter().copied().filter(|known| last(known) == last(name)).collect();
    if same.is_empty() {
        // Beginnings, too, but for those that many have.
        let begins = |known: &&str| !last(name).is_empty() && last(known).starts_with(&last(name));
        same = known.iter().copied().filter(begins).collect();
        if same.len() > MOST {
            same.clear();
        }
    }
    let folder = name.rsplit_once('/').map(|(folder, _)| folder.to_lowercase());
    let near = |known: &&&str| {
        let found = known.rsplit_once('/').map(|(folder, _)| folder);
        folder.is_some() && nearest(folder.as_deref().unwrap_or_default(), found.as_slice()).is_some()
    };
    let in_folder: Vec<&str> = same.iter().filter(near).copied().collect();
    let likely = match (in_folder.is_empty(), same.is_empty()) {
        (false, _) => in_folder,
        (_, false) => same,
        _ => nearest(name, &known).into_iter().collect(),
    };
    if likely.is_empty() {
        return format!("there are {}", known.join(", "));
    }
    let likely: Vec<String> = likely.iter().map(|known| format!("`{known}`")).collect();
    format!("did you mean {}?", likely.join(" or "))
}

#[test]
fn an_unknown_name_has_a_nearest_one() {
    for (name, likely) in [
        ("torchvison/resnet50", "`torchvision/resnet50`"),
        ("resnet5", "`resnet50`"),
        ("resnet18", "`timm/resnet18` or `torchvision/resnet18`"),
        ("tensorflow/resnet34", "`timm/resnet34` or `torchvision/resnet34` or `wespeaker/resnet34`"),
        ("torchvision/ResNet50", "`torchvision/resnet50`"),
        ("digitz", "`digits`"),
        ("resnext50", "`timm/resnext50_32x4d` or `torchvision/resnext50_32x4d`"),
        ("torchvision/resnext50", "`torchvision/resnext50_32x4d`"),
        ("timm/resnext", "`timm/resnext101_32x8d` or `timm/resnext50_32x4d`"),
    ] {
        assert_eq!(unknown(name), format!("no spec `{name}` ships; did you mean {likely}?"));
    }
    assert!(unknown("efficientnet").contains("torchvision/resnet34, torchvision/resnet50"));
}
