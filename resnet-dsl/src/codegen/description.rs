//! The constants of a network: what the runtime and the command line know of it.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use crate::ir::Element;
use crate::ir::param::{BiasParam, KernelParam, Layout, Norm};
use crate::ops::Algorithm;
use crate::plan::{Layer, Plan};
use crate::spec::metadata::{ChannelOrder, Metadata, Precision, Preprocessing, Scheme};

/// One line for the type's documentation.
pub(super) fn summary(plan: &Plan) -> String {
    let ([n, h, w, c], [_, oh, ow, oc]) = (plan.input, plan.output.dims);
    format!(
        " `{}`: {n} x {h}x{w}x{c} in, {n} x {oh}x{ow}x{oc} out, {:.2} million parameters, {:.2} billion multiply-adds.",
        plan.name,
        plan.parameters() as f64 / 1e6,
        plan.macs as f64 / 1e9
    )
}

/// `runtime::Description { .. }`
pub(super) fn description(plan: &Plan, metadata: &Metadata) -> TokenStream {
    let Metadata { scheme, ignored, preprocessing, labels } = metadata;
    let name = &plan.name;
    let layers = plan.layers.iter().map(layer);
    let scheme = match scheme {
        Scheme::Document => quote!(Document),
        Scheme::Torchvision => quote!(Torchvision),
        Scheme::Custom => quote!(Custom),
    };
    let (precision, calibrated) = match &plan.precision {
        Precision::F32 => (quote!(F32), None),
        Precision::Bf16 => (quote!(Bf16), None),
        Precision::Int8(table) => (quote!(Int8), Some(table.weights)),
    };
    let calibrated = optional(calibrated.map(|weights| quote!(#weights)));
    let preprocessing = self::preprocessing(preprocessing);
    let probabilities = plan.probabilities;
    quote! {
        runtime::Description {
            name: #name,
            precision: runtime::Precision::#precision,
            calibrated: #calibrated,
            layers: &[#(#layers),*],
            ignored: &[#(#ignored),*],
            scheme: runtime::Scheme::#scheme,
            peak_bytes: Self::PEAK_BYTES,
            scratch_bytes: Self::SCRATCH_BYTES,
            parameters: Self::PARAMETERS,
            macs: Self::MACS,
            weight_bytes: Self::WEIGHT_BYTES,
            probabilities: #probabilities,
            preprocessing: #preprocessing,
            labels: &[#(#labels),*],
        }
    }
}

fn layer(layer: &Layer) -> TokenStream {
    let Layer { name, shape: [height, width, inputs, outputs], algorithm, elements, kernel, bias } = layer;
    let algorithm = self::algorithm(*algorithm);
    let tensor = kernel.tensor();
    let (dims, layout) = match tensor.layout {
        Layout::Hwio => (vec![*height, *width, *inputs, *outputs], quote!(Hwio)),
        Layout::Oihw => (vec![*outputs, *inputs, *height, *width], quote!(Oihw)),
        Layout::Io => (vec![height * width * inputs, *outputs], quote!(Hwio)),
        Layout::Oi => (vec![*outputs, height * width * inputs], quote!(Oihw)),
    };
    let dims = dims.into_iter().map(Literal::usize_unsuffixed);
    let shape = layer.shape.map(Literal::usize_unsuffixed);
    let kernel_name = &tensor.name;
    let bias_name = optional(match bias {
        Some(BiasParam::Load(name) | BiasParam::Folded(Some(name), _)) => Some(quote!(#name)),
        Some(BiasParam::Folded(None, _)) | None => None,
    });
    let scales = optional(elements[0].is_quantized().then(|| {
        let [input, output] = elements.map(Element::scale);
        let signed = matches!(elements[0], Element::I8(_));
        quote!(runtime::Scales { input: #input, signed: #signed, output: #output })
    }));
    let batch_norm = optional(match kernel {
        KernelParam::Folded(_, norm) => Some(batch_norm(norm)),
        KernelParam::Load(_) => None,
    });
    quote! {
        runtime::LayerWeights {
            name: #name,
            shape: [#(#shape),*],
            algorithm: #algorithm,
            kernel: runtime::Kernel {
                name: #kernel_name,
                dims: &[#(#dims),*],
                layout: runtime::KernelLayout::#layout,
            },
            scales: #scales,
            bias: #bias_name,
            batch_norm: #batch_norm,
        }
    }
}

/// `runtime::Algorithm::Direct`
pub(super) fn algorithm(algorithm: Algorithm) -> TokenStream {
    match algorithm {
        Algorithm::Direct => quote!(runtime::Algorithm::Direct),
        Algorithm::Winograd { output, block, depth, fused } => {
            let [output, block, depth] = [output, block, depth].map(Literal::usize_unsuffixed);
            quote!(runtime::Algorithm::Winograd {
                output: #output, block: #block, depth: #depth, fused: #fused
            })
        }
        Algorithm::WinogradRows { block } => {
            let block = Literal::usize_unsuffixed(block);
            quote!(runtime::Algorithm::WinogradRows { block: #block })
        }
        Algorithm::Strassen { block } => {
            let block = Literal::usize_unsuffixed(block);
            quote!(runtime::Algorithm::Strassen { block: #block })
        }
    }
}

fn batch_norm(norm: &Norm) -> TokenStream {
    let Norm { gamma, beta, mean, variance, epsilon } = norm;
    quote! {
        runtime::BatchNorm {
            gamma: #gamma, beta: #beta, mean: #mean, variance: #variance, epsilon: #epsilon,
        }
    }
}

fn preprocessing(preprocessing: &Preprocessing) -> TokenStream {
    let Preprocessing { resize, crop, channels, scale, mean, std } = preprocessing;
    let resize = optional(resize.map(|size| {
        let size = Literal::usize_unsuffixed(size);
        quote!(#size)
    }));
    let channels = match channels {
        ChannelOrder::Rgb => quote!(Rgb),
        ChannelOrder::Bgr => quote!(Bgr),
        ChannelOrder::Gray => quote!(Gray),
    };
    quote! {
        runtime::Preprocessing {
            resize: #resize,
            crop: #crop,
            channels: runtime::ChannelOrder::#channels,
            scale: #scale,
            mean: &[#(#mean),*],
            std: &[#(#std),*],
        }
    }
}

fn optional(value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}
