//! What a weight file is said to hold, beside its tensors.

use std::io::Read;
use std::path::Path;

use resnet_plan::Description;

use crate::weights::File;
use crate::weights::known::same_tensors;

impl File<'_> {
    /// Why this may be another network's file though its tensors fit: it is called as one that has the same tensors and computes
    /// something else. Names are looked for in the file's metadata, in a `config.json` beside it (as timm writes it), and in its
    /// own name. Empty for most files.
    ///
    /// Loading does not look at this: a name is no proof.
    pub fn doubts(&self, network: &Description) -> Vec<String> {
        let known = network.name.to_lowercase();
        let mut doubts = Vec::new();
        for (place, claim) in self.claims() {
            let words = claim.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
            let other = words
                .filter_map(|word| Some((same_tensors(&word)?, word)))
                .find(|(_, word)| !known.contains(word));
            if let Some((how, name)) = other {
                let origin = self.origin();
                doubts.push(format!(
                    "{origin} may be of another network than `{}`: {place} says {name}, which {how}",
                    network.name
                ));
            }
        }
        doubts.dedup();
        doubts
    }

    /// Where an architecture may be named, and the text there.
    fn claims(&self) -> Vec<(&'static str, String)> {
        let labels = self.labels().into_iter().flat_map(|labels| labels.into_values().map(str::to_owned));
        let mut claims: Vec<_> = labels.map(|label| ("its metadata", label)).collect();
        if let Some(path) = self.path() {
            claims.extend(architecture(path).map(|name| ("config.json beside it", name)));
            claims.extend(path.file_name().map(|name| ("its name", name.to_string_lossy().into_owned())));
        }
        claims
    }
}

/// The architecture that a `config.json` beside a file names.
fn architecture(path: &Path) -> Option<String> {
    /// More than any such file has.
    const MOST: u64 = 1 << 20;
    let path = path.with_file_name("config.json");
    // (What is no file, as a pipe, might never end.)
    let file = path.is_file().then(|| std::fs::File::open(&path).ok())??;
    let mut text = String::new();
    file.take(MOST).read_to_string(&mut text).ok()?;
    let config: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(config.get("architecture")?.as_str()?.to_owned())
}
