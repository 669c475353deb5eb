//! What `resnet verify` found, as tables and as JSON.

use std::collections::HashMap;
use std::path::Path;

use anyhow::bail;
use resnet::runtime::{Isa, Plan, Precision};
use resnet_report::{Verified, VerifiedIsa, VerifiedLayer};
use serde_json::{Value, json};

use super::bounds::Bound;
use super::distance::{Distance, largest};
use super::{Classes, Subject};
use crate::print::{Unwritable, say};

/// What was found.
pub(crate) struct Report<'a> {
    pub(crate) model: &'a str,
    pub(crate) precision: Precision,
    /// What was compared with.
    pub(crate) reference: &'static str,
    pub(crate) images: usize,
    pub(crate) isas: Vec<OfIsa>,
    pub(crate) against: Option<Against<'a>>,
}

/// What was found of an instruction set.
pub(crate) struct OfIsa {
    pub(crate) isa: Isa,
    /// In the order of the plan.
    pub(crate) layers: Vec<Layer>,
    pub(crate) classes: Classes,
}

/// A value of the network.
pub(crate) struct Layer {
    pub(crate) name: String,
    pub(crate) algorithm: String,
    pub(crate) distance: Distance,
    /// None against f32.
    pub(crate) bound: Option<Bound>,
}

/// The outputs beside those of another framework.
pub(crate) struct Against<'a> {
    file: &'a Path,
    outputs: Vec<(Isa, Layer)>,
}

/// Compares outputs with those of another framework, which may be as far from the truth as ours: twice the bound.
pub(crate) fn against<'a>(
    file: &'a Path,
    expected: &[f64],
    subjects: &[Subject],
    plan: &Plan,
    bounds: &HashMap<String, Bound>,
) -> Against<'a> {
    let buffer = plan.outputs.last().map(|output| output.view.buffer);
    let step = plan.steps.iter().rfind(|step| Some(step.write.buffer) == buffer);
    let bound = step.and_then(|step| bounds.get(&step.name)).map(|bound| bound.twice());
    let outputs = subjects.iter().map(|subject| {
        let mut distance = Distance::default();
        distance.add(expected, &subject.outputs, largest(expected));
        (subject.isa, Layer { name: "outputs".to_owned(), algorithm: String::new(), distance, bound })
    });
    Against { file, outputs: outputs.collect() }
}

impl Report<'_> {
    /// An object:
    ///
    /// ```text
    /// version: 1, model, precision, reference ("float64", "f32"), inputs (images)
    /// isas: for each instruction set, the first as the machine lists them:
    ///     isa
    ///     layers: for each value, in the order of the plan:
    ///         name, algorithm ("direct", "winograd4", ..; of other steps, what they do)
    ///         max_ulp, max_error, relative_error, cosine, snr_db
    ///         bound: relative_error (at most), snr_db (at least); null against f32
    ///         within: whether both hold; null without a bound
    ///     same_class, same_class_among_five: of so many images
    /// against: null, or file and isas: isa and a layer's numbers, of the outputs
    /// first_beyond: null, or isa and layer
    /// ```
    /// A number that is infinite is null: an `snr_db` where nothing is wrong, an error where something is not finite.
    pub(crate) fn json(&self) -> Value {
        let isas = self.isas.iter().map(|OfIsa { isa, layers, classes }| {
            json!({
                "isa": isa.name(),
                "layers": layers.iter().map(Layer::json).collect::<Vec<_>>(),
                "same_class": classes.first,
                "same_class_among_five": classes.among_five,
            })
        });
        let against = self.against.as_ref().map(|Against { file, outputs }| {
            let of_isa = |(isa, layer): &(Isa, Layer)| {
                let mut object = layer.json();
                object["isa"] = isa.name().into();
                object
            };
            json!({
                "file": file.display().to_string(),
                "isas": outputs.iter().map(of_isa).collect::<Vec<_>>(),
            })
        });
        json!({
            "version": 1,
            "model": self.model,
            "precision": self.precision.to_string(),
            "reference": self.reference,
            "inputs": self.images,
            "isas": isas.collect::<Vec<_>>(),
            "against": against,
            "first_beyond": self.first_beyond().map(|(isa, layer)| json!({"isa": isa.name(), "layer": layer.name})),
        })
    }

    /// For the page of the network. (JSON has no infinity.)
    pub(crate) fn verified(&self) -> Verified {
        let layer = |layer: &Layer| VerifiedLayer {
            name: layer.name.clone(),
            max_ulp: layer.distance.ulp.min(f64::MAX),
            max_error: layer.distance.error.min(f64::MAX),
            relative_error: layer.distance.relative_error().min(f64::MAX),
            cosine: layer.distance.cosine(),
            bound: layer.bound.map_or(f64::MAX, |bound| bound.relative_error),
            within: !layer.is_beyond(),
        };
        let isas = self.isas.iter().map(|OfIsa { isa, layers, .. }| VerifiedIsa {
            isa: isa.name().to_owned(),
            first_beyond: layers.iter().find(|layer| layer.is_beyond()).map(|layer| layer.name.clone()),
            layers: layers.iter().map(layer).collect(),
        });
        Verified { reference: self.reference.to_owned(), inputs: self.images, isas: isas.collect() }
    }

    pub(crate) fn print(&self) -> Result<(), Unwritable> {
        let Report { model, precision, reference, images, .. } = self;
        for OfIsa { isa, layers, classes } in &self.isas {
            say!("{model} in {precision} on {isa} against {reference}, {images} image(s)")?;
            head()?;
            layers.iter().try_for_each(Layer::print)?;
            let noisiest =
                layers.iter().min_by(|a, b| a.distance.decibels().total_cmp(&b.distance.decibels()));
            if let Some(Layer { name, distance, .. }) = noisiest {
                say!("worst: {name}, {:.1} dB", distance.decibels())?;
            }
            let Classes { first, among_five, .. } = classes;
            say!(
                "the best class is the same for {first} of {images}, and among the best five for {among_five} of {images}\n"
            )?;
        }
        let Some(Against { file, outputs }) = &self.against else { return Ok(()) };
        for (isa, layer) in outputs {
            say!("{model} in {precision} on {isa} against {}, {images} image(s)", file.display())?;
            head()?;
            layer.print()?;
        }
        Ok(())
    }

    /// An error if something is beyond its bound.
    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        let far =
            self.against.iter().flat_map(|against| &against.outputs).find(|(_, layer)| layer.is_beyond());
        match (self.first_beyond(), far, &self.against) {
            (Some((isa, Layer { name, .. })), ..) => {
                bail!("on {isa}, {name} is the first value that is beyond its bound")
            }
            (None, Some((isa, _)), Some(Against { file, .. })) => {
                bail!(
                    "on {isa}, the outputs are further from those of {} than both may be wrong",
                    file.display()
                )
            }
            _ => Ok(()),
        }
    }

    fn first_beyond(&self) -> Option<(Isa, &Layer)> {
        let first = |of: &'_ OfIsa| of.layers.iter().position(Layer::is_beyond);
        let found = self.isas.iter().find_map(|of| Some((of, first(of)?)));
        found.map(|(of, index)| (of.isa, &of.layers[index]))
    }
}

impl Layer {
    fn is_beyond(&self) -> bool {
        self.bound.is_some_and(|bound| !bound.holds(&self.distance))
    }

    fn json(&self) -> Value {
        let Layer { name, algorithm, distance, bound } = self;
        json!({
            "name": name,
            "algorithm": algorithm,
            "max_ulp": distance.ulp,
            "max_error": distance.error,
            "relative_error": distance.relative_error(),
            "cosine": distance.cosine(),
            "snr_db": distance.decibels(),
            "bound": bound.map(|bound| json!({"relative_error": bound.relative_error, "snr_db": bound.decibels})),
            "within": bound.map(|bound| bound.holds(distance)),
        })
    }

    fn print(&self) -> Result<(), Unwritable> {
        let Layer { name, algorithm, distance, bound } = self;
        let (most, least) = match bound {
            Some(bound) => (format!("{:.1e}", bound.relative_error), format!("{:.1}", bound.decibels)),
            None => Default::default(),
        };
        let what = if algorithm.is_empty() { name } else { &format!("{name}  {algorithm}") };
        say!(
            "{:>9.1e} {:>9.2e} {:>9.2e} {most:>8} {:>7.1} {least:>6} {:>9.6}  {what}{}",
            distance.ulp,
            distance.error,
            distance.relative_error(),
            distance.decibels(),
            distance.cosine(),
            if self.is_beyond() { "  BEYOND ITS BOUND" } else { "" },
        )
    }
}

fn head() -> Result<(), Unwritable> {
    say!(
        "{:>9} {:>9} {:>9} {:>8} {:>7} {:>6} {:>9}  value",
        "max ULP",
        "max error",
        "relative",
        "at most",
        "SNR, dB",
        "least",
        "cosine"
    )
}
