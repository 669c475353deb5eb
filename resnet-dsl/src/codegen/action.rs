//! What a step does, written as Rust.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use resnet_plan::{Action, Activation, Conv, Pool, Residual};

use super::{description, pair};

/// `plan::Action::..`, whose weights are counted from the layer and the list `first` on.
pub(super) fn action(action: Action, [first_layer, _]: [usize; 2]) -> TokenStream {
    let action = match action {
        Action::Conv { layer, conv } => {
            let (layer, conv) = (Literal::usize_unsuffixed(layer - first_layer), self::conv(conv));
            quote!(Conv { layer: #layer, conv: #conv })
        }
        Action::Pool(pool) => {
            let Pool { kind, window, stride, padding } = pool;
            let (kind, window, stride) = (format_ident!("{kind:?}"), pair(window), pair(stride));
            let padding = padding.map(Literal::usize_unsuffixed);
            quote! {
                Pool(plan::Pool {
                    kind: plan::PoolKind::#kind, window: #window, stride: #stride, padding: [#(#padding),*],
                })
            }
        }
        Action::Subsample { stride, front, channels } => {
            let stride = pair(stride);
            let [front, channels] = [front, channels].map(Literal::usize_unsuffixed);
            quote!(Subsample { stride: #stride, front: #front, channels: #channels })
        }
        Action::Add { residual, activation } => {
            let (residual, activation) = (description::element(residual), self::activation(activation));
            quote!(Add { residual: #residual, activation: #activation })
        }
        Action::Input | Action::Clear | Action::Copy | Action::Softmax => {
            let name = format_ident!("{action:?}");
            quote!(#name)
        }
    };
    quote!(plan::Action::#action)
}

fn conv(conv: Conv) -> TokenStream {
    let Conv { kernel, stride, from, residual, activation, algorithms, split } = conv;
    let (kernel, stride, from) = (pair(kernel), pair(stride), pair(from));
    let residual = match residual {
        Residual::None => quote!(None),
        Residual::Same => quote!(Same),
        Residual::Quantized { signed, scale } => quote!(Quantized { signed: #signed, scale: #scale }),
    };
    let (algorithms, split) = (description::algorithms(algorithms), format_ident!("{split:?}"));
    let activation = self::activation(activation);
    quote! {
        plan::Conv {
            kernel: #kernel, stride: #stride, from: #from, residual: plan::Residual::#residual, activation: #activation,
            algorithms: #algorithms, split: plan::Split::#split,
        }
    }
}

/// `plan::Activation::..`
fn activation(activation: Activation) -> TokenStream {
    match activation {
        Activation::LeakyRelu(slope) => quote!(plan::Activation::LeakyRelu(#slope)),
        plain => {
            let name = format_ident!("{plain:?}");
            quote!(plan::Activation::#name)
        }
    }
}
