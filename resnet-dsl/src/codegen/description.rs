//! The constants of a network: what the runtime and the command line know of it.

use proc_macro2::{Literal, TokenStream};
use quote::quote;
use resnet_plan::{
    Algorithm, Algorithms, BatchNorm, ChannelOrder, Description, Element, Ending, Interpolation,
    KernelLayout, LayerWeights, ListKind, ListWeights, Plan, Precision, Preprocessing, Resize, Slope,
};

/// One line for the type's documentation.
pub(super) fn summary(plan: &Plan) -> String {
    let ([n, h, w, c], [_, oh, ow, oc]) = (plan.input, plan.output());
    let Description { name, parameters, macs, .. } = &plan.description;
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
    let (layers, lists) = (layers.iter().map(layer), lists.iter().map(list));
    let precision = match precision {
        Precision::F32 => quote!(F32),
        Precision::Bf16 => quote!(Bf16),
        Precision::Int8 => quote!(Int8),
    };
    let ending = match ending {
        Ending::Features => quote!(Features),
        Ending::Logits => quote!(Logits),
        Ending::Probabilities => quote!(Probabilities),
    };
    let calibrated = optional(calibrated.map(|weights| quote!(#weights)));
    let name = text(name);
    let ignored = ignored.iter().map(|ending| text(ending));
    let labels = labels.iter().map(|label| text(label));
    let constants = quote! {
        const LAYERS: &[plan::LayerWeights] = &[#(#layers),*];
        const LISTS: &[plan::ListWeights] = &[#(#lists),*];
        const IGNORED: &[plan::Text] = &[#(#ignored),*];
        const LABELS: &[plan::Text] = &[#(#labels),*];
    };
    let description = quote! {
        plan::Description {
            name: #name,
            precision: plan::Precision::#precision,
            calibrated: #calibrated,
            layers: plan::Cow::Borrowed(LAYERS),
            lists: plan::Cow::Borrowed(LISTS),
            ignored: plan::Cow::Borrowed(IGNORED),
            peak_bytes: Self::PEAK_BYTES,
            scratch_bytes: Self::SCRATCH_BYTES,
            parameters: Self::PARAMETERS,
            macs: Self::MACS,
            weight_bytes: Self::WEIGHT_BYTES,
            ending: plan::Ending::#ending,
            preprocessing: Self::PREPROCESSING,
            labels: plan::Cow::Borrowed(LABELS),
        }
    };
    (constants, description)
}

fn layer(layer: &LayerWeights) -> TokenStream {
    let LayerWeights {
        name,
        shape,
        groups,
        blocks,
        algorithm,
        elements,
        input_norm,
        kernel,
        standardized,
        bias,
        batch_norm,
        slope,
    } = layer;
    let (name, kernel_name) = (text(name), text(&kernel.name));
    let shape = shape.map(Literal::usize_unsuffixed);
    let algorithm = self::algorithm(*algorithm);
    let elements = elements.map(element);
    let layout = match kernel.layout {
        KernelLayout::Hwio => quote!(Hwio),
        KernelLayout::Oihw => quote!(Oihw),
        KernelLayout::Io => quote!(Io),
        KernelLayout::Ohwi => quote!(Ohwi),
        KernelLayout::Oi => quote!(Oi),
        KernelLayout::OiHwc => quote!(OiHwc),
    };
    let [groups, blocks] = [*groups, *blocks].map(Literal::usize_unsuffixed);
    let standardized = optional(standardized.map(|epsilon| quote!(#epsilon)));
    let bias = optional(bias.as_ref().map(|name| text(name)));
    let [input_norm, batch_norm] =
        [input_norm, batch_norm].map(|norm| optional(norm.as_ref().map(self::batch_norm)));
    let slope = optional(slope.as_ref().map(self::slope));
    quote! {
        plan::LayerWeights {
            name: #name,
            shape: [#(#shape),*],
            groups: #groups,
            blocks: #blocks,
            algorithm: #algorithm,
            elements: [#(#elements),*],
            input_norm: #input_norm,
            kernel: plan::Kernel { name: #kernel_name, layout: plan::KernelLayout::#layout },
            standardized: #standardized,
            bias: #bias,
            batch_norm: #batch_norm,
            slope: #slope,
        }
    }
}

fn list(list: &ListWeights) -> TokenStream {
    let ListWeights { name, channels, kind, slope } = list;
    let (name, channels) = (text(name), Literal::usize_unsuffixed(*channels));
    let kind = match kind {
        ListKind::Slopes => quote!(Slopes),
        ListKind::BatchNorm(norm) => {
            let norm = batch_norm(norm);
            quote!(BatchNorm(#norm))
        }
        ListKind::GroupNorm { gamma, beta, channels } => {
            let (gamma, beta, channels) = (text(gamma), text(beta), super::pair(*channels));
            quote!(GroupNorm { gamma: #gamma, beta: #beta, channels: #channels })
        }
        ListKind::Exponent(name) => {
            let name = text(name);
            quote!(Exponent(#name))
        }
        ListKind::Kernel { name, len } => {
            let (name, len) = (text(name), Literal::usize_unsuffixed(*len));
            quote!(Kernel { name: #name, len: #len })
        }
    };
    let slope = optional(slope.as_ref().map(self::slope));
    quote! {
        plan::ListWeights {
            name: #name, channels: #channels, kind: plan::ListKind::#kind, slope: #slope,
        }
    }
}

/// `plan::Algorithms::all(plan::Algorithm::Direct)`
pub(super) fn algorithms(algorithms: Algorithms) -> TokenStream {
    let [wide, dots, tiles] = algorithms.each().map(algorithm);
    if algorithms == Algorithms::all(algorithms.wide) {
        quote!(plan::Algorithms::all(#wide))
    } else {
        quote!(plan::Algorithms { wide: #wide, dots: #dots, tiles: #tiles })
    }
}

/// `plan::Algorithm::Direct`
fn algorithm(algorithm: Algorithm) -> TokenStream {
    match algorithm {
        Algorithm::Direct => quote!(plan::Algorithm::Direct),
        Algorithm::Winograd { output, block, depth, fused } => {
            let [output, block, depth] = [output, block, depth].map(Literal::usize_unsuffixed);
            quote!(plan::Algorithm::Winograd {
                output: #output, block: #block, depth: #depth, fused: #fused
            })
        }
        Algorithm::WinogradRows { block } => {
            let block = Literal::usize_unsuffixed(block);
            quote!(plan::Algorithm::WinogradRows { block: #block })
        }
        Algorithm::Strassen { block } => {
            let block = Literal::usize_unsuffixed(block);
            quote!(plan::Algorithm::Strassen { block: #block })
        }
    }
}

/// `plan::Element::U8(0.5)`
pub(super) fn element(element: Element) -> TokenStream {
    match element {
        Element::F32 => quote!(plan::Element::F32),
        Element::Bf16 => quote!(plan::Element::Bf16),
        Element::U8(scale) => quote!(plan::Element::U8(#scale)),
        Element::I8(scale) => quote!(plan::Element::I8(#scale)),
    }
}

fn batch_norm(norm: &BatchNorm) -> TokenStream {
    let BatchNorm { gamma, beta, mean, variance, epsilon, channels } = norm;
    let channels = optional(channels.map(super::pair));
    let [gamma, beta, mean, variance] = [gamma, beta, mean, variance].map(|name| text(name));
    quote! {
        plan::BatchNorm {
            gamma: #gamma, beta: #beta, mean: #mean, variance: #variance, epsilon: #epsilon, channels: #channels,
        }
    }
}

fn slope(Slope { name, single }: &Slope) -> TokenStream {
    let name = text(name);
    quote!(plan::Slope { name: #name, single: #single })
}

/// `plan::Preprocessing { .. }`
pub(super) fn preprocessing(preprocessing: &Preprocessing) -> TokenStream {
    let Preprocessing { resize, crop, interpolation, channels, background, scale, mean, std } = preprocessing;
    let resize = optional(resize.map(self::resize));
    let interpolation = match interpolation {
        Interpolation::Nearest => quote!(Nearest),
        Interpolation::Bilinear => quote!(Bilinear),
        Interpolation::Bicubic => quote!(Bicubic),
    };
    let channels = match channels {
        ChannelOrder::Rgb => quote!(Rgb),
        ChannelOrder::Bgr => quote!(Bgr),
        ChannelOrder::Gray => quote!(Gray),
    };
    quote! {
        plan::Preprocessing {
            resize: #resize,
            crop: #crop,
            interpolation: plan::Interpolation::#interpolation,
            channels: plan::ChannelOrder::#channels,
            background: [#(#background),*],
            scale: #scale,
            mean: plan::Cow::Borrowed(&[#(#mean),*]),
            std: plan::Cow::Borrowed(&[#(#std),*]),
        }
    }
}

/// `plan::Resize::Shorter(256)`
fn resize(resize: Resize) -> TokenStream {
    let sides = |sides: [usize; 2]| {
        let sides = sides.map(Literal::usize_unsuffixed);
        quote!([#(#sides),*])
    };
    match resize {
        Resize::Shorter(side) => {
            let side = Literal::usize_unsuffixed(side);
            quote!(plan::Resize::Shorter(#side))
        }
        Resize::Cover(size) => {
            let size = sides(size);
            quote!(plan::Resize::Cover(#size))
        }
        Resize::To(size) => {
            let size = sides(size);
            quote!(plan::Resize::To(#size))
        }
    }
}

/// `plan::Text`, borrowed.
fn text(text: &str) -> TokenStream {
    quote!(plan::Text::Borrowed(#text))
}

fn optional(value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_they_are() {
        let written = |resize| self::resize(resize).to_string().replace(' ', "");
        assert_eq!(written(Resize::Shorter(256)), "plan::Resize::Shorter(256)");
        assert_eq!(written(Resize::Cover([26, 44])), "plan::Resize::Cover([26,44])");
        assert_eq!(written(Resize::To([32, 36])), "plan::Resize::To([32,36])");
    }
}
