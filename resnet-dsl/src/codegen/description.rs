//! The constants of a network: what the runtime and the command line know of it.

use proc_macro2::TokenStream;
use quote::quote;
use resnet_plan::{Description, Plan};

use super::constant;
use crate::quoted;

/// One line for the type's documentation.
pub(super) fn summary(plan: &Plan) -> String {
    let ([n, h, w, c], [_, oh, ow, oc]) = (plan.input, plan.output());
    let Description { name, parameters, macs, .. } = &plan.description;
    let name = quoted::network(name);
    format!(
        " `{name}`: {n} x {h}x{w}x{c} in, {n} x {oh}x{ow}x{oc} out, {:.2} million parameters, {:.2} billion multiply-adds.",
        *parameters as f64 / 1e6,
        *macs as f64 / 1e9
    )
}

/// The layers as a constant, and `plan::Description { .. }`, which borrows it.
pub(super) fn description(description: &Description) -> (TokenStream, TokenStream) {
    let Description { name, precision, calibrated, layers, lists, ignored, .. } = description;
    let Description { ending, labels, .. } = description;
    let (name, precision, calibrated) = (constant(name), constant(precision), constant(calibrated));
    let (layers, lists) = (constant(&**layers), constant(&**lists));
    let (ignored, labels, ending) = (constant(&**ignored), constant(&**labels), constant(ending));
    let constants = quote! {
        const LAYERS: &[plan::LayerWeights] = &#layers;
        const LISTS: &[plan::ListWeights] = &#lists;
        const IGNORED: &[plan::Text] = &#ignored;
        const LABELS: &[plan::Text] = &#labels;
    };
    let description = quote! {
        plan::Description {
            name: #name,
            precision: #precision,
            calibrated: #calibrated,
            layers: plan::Cow::Borrowed(LAYERS),
            lists: plan::Cow::Borrowed(LISTS),
            ignored: plan::Cow::Borrowed(IGNORED),
            peak_bytes: Self::PEAK_BYTES,
            scratch_bytes: Self::SCRATCH_BYTES,
            parameters: Self::PARAMETERS,
            macs: Self::MACS,
            weight_bytes: Self::WEIGHT_BYTES,
            ending: #ending,
            preprocessing: Self::PREPROCESSING,
            labels: plan::Cow::Borrowed(LABELS),
        }
    };
    (constants, description)
}

/// It stands in a comment, which other text must not end, and terminals show.
#[test]
fn a_name_is_one_line() {
    let text = "name: \"a\\nb\\e[31m\"\ninput: 1x1x1\nstem: [relu]\n";
    let overrides = crate::spec::Overrides::default();
    let spec = crate::Spec { name: "spec", text, overrides: &overrides };
    let plan = spec.compile(&mut |_| Err(String::new())).unwrap().plan;
    let summary = summary(&plan);
    assert!(summary.starts_with(" `\"a\\nb\\u001b[31m\"`: 1 x 1x1x1 in"), "{summary}");
}
