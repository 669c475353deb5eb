//! The specs that ship with the compiler: every YAML file under `specs/`, found when the crate is built.

include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// The text of a spec, by its path under `specs/` without the ending: `torchvision/resnet50`.
pub fn get(name: &str) -> Option<&'static str> {
    SPECS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The text of the calibration table that ships with a spec: `specs/NAME.calibration.yaml`.
pub fn calibration(name: &str) -> Option<&'static str> {
    CALIBRATIONS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names of all, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    SPECS.iter().map(|(name, _)| *name)
}
