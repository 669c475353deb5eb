//! The outputs of a network that has several: a type with a field for each.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use resnet_plan::Plan;

use super::{Item, identifier};

/// The type, and what gives one; nothing for a network with one output.
pub(super) fn several(plan: &Plan, item: &Item<'_>) -> Option<(TokenStream, TokenStream)> {
    if plan.outputs.len() < 2 {
        return None;
    }
    let Item { visibility, name, library, .. } = item;
    let conditions = item.conditions();
    let ty = format_ident!("{name}Outputs");
    let mut fields = Vec::new();
    for output in &plan.outputs {
        let field = identifier(&output.name, fields.iter());
        fields.push(field);
    }
    let docs = plan.outputs.iter().map(|output| format!(" `{}`", output.name));
    let tensors = plan.outputs.iter().map(|output| {
        let dims = output.view.dims.map(Literal::usize_unsuffixed);
        quote!(#library::runtime::Tensor<f32, #(#dims),*>)
    });
    let offsets =
        plan.outputs.iter().map(|output| Literal::usize_unsuffixed(plan.buffers[output.view.buffer].offset));
    let doc = format!(" All outputs of [`{name}`]: what `outputs` of a session gives after a run.");
    let definition = quote! {
        #conditions
        #[doc = #doc]
        #[allow(dead_code)] // the user may look at none of the fields
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
        #visibility struct #ty<'a> {
            #(#[doc = #docs] pub #fields: &'a #tensors,)*
        }
    };
    let implementation = quote! {
        impl runtime::network::Outputs for #name {
            type Outputs<'a> = #ty<'a>;

            fn outputs(arena: &runtime::Arena) -> #ty<'_> {
                #ty { #(#fields: arena.tensor(#offsets),)* }
            }
        }
    };
    Some((definition, implementation))
}
