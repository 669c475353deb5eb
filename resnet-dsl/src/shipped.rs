//! What ships with the compiler: every spec and calibration table under `specs/` (YAML), and every list of labels (text), found
//! when the crate is built.

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

/// The names of the lists of labels, sorted.
pub fn label_lists() -> impl Iterator<Item = &'static str> {
    LABELS.iter().map(|(name, _)| *name)
}

/// The names of all specs, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    SPECS.iter().map(|(name, _)| *name)
}
