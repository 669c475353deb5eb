//! What a step does, written as Rust.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use resnet_plan::{Action, Activation, Conv, Pool, Residual};

use super::{description, pair};

/// `plan::Action::..`, whose weights are counted from the layer and the list `first` on.
pub(super) fn action(action: Action, [first_layer, first_list]: [usize; 2]) -> TokenStream {
    let index = |list: usize| Literal::usize_unsuffixed(list - first_list);
    let list_if_any = |list: Option<usize>| match list {
        Some(list) => {
            let list = index(list);
            quote!(::core::option::Option::Some(#list))
        }
        None => quote!(::core::option::Option::None),
    };
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
        Action::Add { residual, activation, list } => {
            let (residual, activation) = (description::element(residual), self::activation(activation));
            let list = list_if_any(list);
            quote!(Add { residual: #residual, activation: #activation, list: #list })
        }
        Action::Multiply { held, activation, list } => {
            let (held, activation) = (description::element(held), self::activation(activation));
            let list = list_if_any(list);
            quote!(Multiply { held: #held, activation: #activation, list: #list })
        }
        Action::Affine { activation, list } => {
            let (activation, list) = (self::activation(activation), index(list));
            quote!(Affine { activation: #activation, list: #list })
        }
        Action::Activate { activation, list } => {
            let (activation, list) = (self::activation(activation), list_if_any(list));
            quote!(Activate { activation: #activation, list: #list })
        }
        Action::GroupNorm { groups, channels, epsilon, activation, affine, list } => {
            let (groups, channels) = (Literal::usize_unsuffixed(groups), pair(channels));
            let (activation, list) = (self::activation(activation), list_if_any(list));
            quote! {
                GroupNorm {
                    groups: #groups, channels: #channels, epsilon: #epsilon, activation: #activation,
                    affine: #affine, list: #list,
                }
            }
        }
        Action::Statistics { epsilon } => quote!(Statistics { epsilon: #epsilon }),
        Action::Gem { epsilon, exponent, list } => {
            let list = list_if_any(list);
            quote!(Gem { epsilon: #epsilon, exponent: #exponent, list: #list })
        }
        Action::Upsample { times } => {
            let times = pair(times);
            quote!(Upsample { times: #times })
        }
        Action::L2Normalize { epsilon } => quote!(L2Normalize { epsilon: #epsilon }),
        Action::ChannelConv { kernel, list } => {
            let (kernel, list) = (Literal::usize_unsuffixed(kernel), index(list));
            quote!(ChannelConv { kernel: #kernel, list: #list })
        }
        Action::Input | Action::Clear | Action::Copy | Action::Softmax => {
            let name = format_ident!("{action:?}");
            quote!(#name)
        }
    };
    quote!(plan::Action::#action)
}

fn conv(conv: Conv) -> TokenStream {
    let Conv { kernel, stride, dilation, blocks, from, residual, activation, algorithms, split } = conv;
    let (kernel, stride, from) = (pair(kernel), pair(stride), pair(from));
    let (dilation, blocks) = (pair(dilation), Literal::usize_unsuffixed(blocks));
    let residual = match residual {
        Residual::None => quote!(None),
        Residual::Same => quote!(Same),
        Residual::Quantized { signed, scale } => quote!(Quantized { signed: #signed, scale: #scale }),
    };
    let (algorithms, split) = (description::algorithms(algorithms), format_ident!("{split:?}"));
    let activation = self::activation(activation);
    quote! {
        plan::Conv {
            kernel: #kernel, stride: #stride, dilation: #dilation, blocks: #blocks, from: #from,
            residual: plan::Residual::#residual, activation: #activation, algorithms: #algorithms, split: plan::Split::#split,
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
