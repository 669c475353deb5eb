//! What a run gives: a reference to the output, or, of several, a struct with a reference to each.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote};
use resnet_plan::{Dims, Element, Plan};

use super::{Item, identifier, tensor};

/// How a network gives its outputs.
pub(super) struct Outputs {
    /// The struct, if there are several.
    pub(super) definition: TokenStream,
    /// The trait that the network implements.
    pub(super) network: TokenStream,
    /// Its associated type.
    pub(super) associated: TokenStream,
    /// What `forward` returns.
    pub(super) returned: TokenStream,
    /// The expression that does.
    pub(super) result: TokenStream,
}

/// Names and sizes of a plan's outputs.
pub fn outputs(plan: &Plan) -> Vec<(String, Dims)> {
    plan.outputs.iter().map(|output| (output.name.clone(), output.view.dims)).collect()
}

/// How a plan's network gives them.
pub(super) fn given(plan: &Plan, item: &Item<'_>) -> Outputs {
    let offsets =
        plan.outputs.iter().map(|output| Literal::usize_unsuffixed(plan.buffers[output.view.buffer].offset));
    match several(&outputs(plan), item) {
        None => {
            let output = tensor(Element::F32, plan.output());
            Outputs {
                definition: quote!(),
                network: quote!(runtime::Network),
                associated: quote!(type Output = #output;),
                returned: quote!(&'a Self::Output),
                result: quote! {
                    const OUTPUT: runtime::Views<(#output,)> = runtime::Views::at(&[#(#offsets),*]);
                    arena.views(&OUTPUT).0
                },
            }
        }
        Some(Several { name, fields, definition }) => Outputs {
            definition,
            network: quote!(runtime::Runs),
            associated: quote!(type Outputs<'a> = #name<'a>;),
            returned: quote!(#name<'a>),
            result: quote!(#name { #(#fields: arena.tensor(#offsets),)* }),
        },
    }
}

/// The struct of several outputs.
pub(super) struct Several {
    pub(super) name: Ident,
    fields: Vec<Ident>,
    pub(super) definition: TokenStream,
}

/// `None` if there is one output.
pub(super) fn several(outputs: &[(String, Dims)], item: &Item<'_>) -> Option<Several> {
    if outputs.len() < 2 {
        return None;
    }
    let Item { visibility, name: network, library, .. } = item;
    let conditions = item.conditions();
    let name = format_ident!("{network}Outputs");
    let mut fields = Vec::new();
    for (output, _) in outputs {
        let field = identifier(output, fields.iter());
        fields.push(field);
    }
    let docs = outputs.iter().map(|(output, [n, h, w, c])| format!(" `{output}`: {n} x {h}x{w}x{c}"));
    let tensors = outputs.iter().map(|(_, dims)| {
        let dims = dims.map(Literal::usize_unsuffixed);
        quote!(#library::runtime::Tensor<f32, #(#dims),*>)
    });
    let doc = format!(" The outputs of [`{network}`]: what `run` of a session gives.");
    let definition = quote! {
        #conditions
        #[doc = #doc]
        #[allow(dead_code)] // the user may look at none of the fields
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
        #visibility struct #name<'a> {
            #(#[doc = #docs] pub #fields: &'a #tensors,)*
        }
    };
    Some(Several { name, fields, definition })
}
