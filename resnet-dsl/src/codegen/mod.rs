//! A plan is written down as Rust: one type, its constants, and a forward function of safe calls into the runtime.
//!
//! ```text
//! cut the steps into functions: a block of the spec is one, as long as the buffers it touches either lie apart
//!     or begin at the same place (a function's parameters are views that lie apart)
//! write each function down, its layers as constants that the compiler of the user's crate checks against their tensors;
//!     functions of equal text become one
//! forward: for each section, pass after pass: for each function, lay its views over the arena and call it; of what lies
//!     there for all images, it gets the part of the pass
//! ```

use std::collections::HashMap;

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{format_ident, quote};

use resnet_plan::check::MAX_VIEWS;
use resnet_plan::{Action, Buffer, Constant, Dims, Element, Ending, Plan, Section, Step, View};

mod description;
mod item;
mod outputs;
mod report;

pub use item::Item;
use outputs::Outputs;
pub use outputs::outputs;
pub use report::{line, skeleton, warnings};

/// The code of a plan. It names nothing but the library and `::core` and `::std`, and is free of `unsafe`.
pub fn generate(plan: &Plan, item: &Item<'_>) -> TokenStream {
    let Item { name, library, .. } = item;
    let (conditions, tracked) = (item.conditions(), item.tracked());
    let (definition, constants, methods) =
        (item::definition(plan, item), item::constants(plan, item), item::methods(plan, item));
    let input = tensor(Element::F32, plan.input);
    let Outputs { definition: outputs, network, associated, returned, result } = outputs::given(plan, item);
    let (functions, calls) = functions(plan);
    let (layers, description) = description::description(&plan.description);
    let classes = match plan.description.ending {
        Ending::Features => quote!(),
        Ending::Logits | Ending::Probabilities => quote!(impl runtime::Classes for #name {}),
    };
    quote! {
        #definition
        #outputs

        #conditions
        #[allow(deprecated)]
        const _: () = {
            use #library::runtime::{self, plan};

            #tracked

            impl #name {
                #constants
                #methods
            }

            impl #network for #name {
                type Input = #input;
                #associated
                const DESCRIPTION: plan::Description = #description;

                fn from_weights(weights: runtime::Weights) -> Self {
                    Self { weights }
                }

                fn weights(&self) -> &runtime::Weights {
                    &self.weights
                }

                fn forward<'a>(
                    context: &runtime::Context<'_>,
                    input: &Self::Input,
                    arena: &'a mut runtime::Arena,
                ) -> #returned {
                    #(#calls)*
                    #result
                }
            }

            #classes
            #layers
            #(#functions)*
        };
    }
}

/// A place of the arena that one function sees as one parameter.
struct Slot {
    offset: usize,
    /// Of a pass.
    bytes: usize,
    /// How many passes it holds the tensors of.
    passes: usize,
    /// The tensors that lie there.
    tensors: Vec<(Element, Dims)>,
}

/// Steps of a section that become one function.
struct Segment<'a> {
    section: &'a Section,
    steps: &'a [Step],
    slots: Vec<Slot>,
}

/// The functions, each once, and the statements of `forward` that call them, a section's together.
fn functions(plan: &Plan) -> (Vec<TokenStream>, Vec<TokenStream>) {
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut functions: Vec<(Ident, Vec<&str>, TokenStream)> = Vec::new();
    let segments = segments(plan);
    let mut calls = vec![Vec::new(); plan.sections.len()];
    for (index, segment) in segments.iter().enumerate() {
        let block = &segment.steps[0].block;
        let code = function(plan, segment);
        let known = known.entry(code.to_string()).or_insert_with(|| {
            let name = identifier(block, functions.iter().map(|(name, ..)| name));
            functions.push((name, Vec::new(), code));
            functions.len() - 1
        });
        let (name, blocks, _) = &mut functions[*known];
        blocks.push(block);
        let types = segment.slots.iter().map(|slot| slot.ty(slot.passes));
        let offsets = segment.slots.iter().map(|slot| Literal::usize_unsuffixed(slot.offset));
        let views = format_ident!("VIEWS_{index}");
        let parameters: Vec<_> = (0..segment.slots.len()).map(parameter).collect();
        let arguments = segment.slots.iter().zip(&parameters).map(|(slot, name)| match slot.passes {
            1 => quote!(#name),
            _ => {
                let part = slot.ty(1);
                quote!(#name.part_mut::<#part>(pass))
            }
        });
        let input = segment.reads_input().then(|| match segment.section.passes {
            1 => quote!(input,),
            _ => {
                let part = tensor(Element::F32, segment.input(plan));
                quote!(input.part::<#part>(pass),)
            }
        });
        let first = segment.first().map(Literal::usize_unsuffixed);
        let tuple = quote!((#(#types,)*));
        let section = plan.sections.iter().position(|section| section == segment.section);
        calls[section.unwrap_or_default()].push(quote! {
            const #views: runtime::Views<#tuple> = runtime::Views::at(&[#(#offsets),*]);
            let (#(#parameters,)*) = arena.views(&#views);
            #name(context, [#(#first),*], #input #(#arguments),*);
        });
    }
    let functions = functions.into_iter().map(|(name, mut blocks, code)| {
        blocks.dedup();
        let doc = format!(" {}", blocks.join(", "));
        quote!(#[doc = #doc] #[inline(never)] fn #name #code)
    });
    let calls = plan.sections.iter().zip(calls).map(|(section, calls)| match section.passes {
        1 => quote!(#(#calls)*),
        passes => {
            let passes = Literal::usize_unsuffixed(passes);
            quote!(for pass in 0..#passes { #(#calls)* })
        }
    });
    (functions.collect(), calls.collect())
}

fn segments(plan: &Plan) -> Vec<Segment<'_>> {
    let mut segments: Vec<Segment<'_>> = Vec::new();
    for section in &plan.sections {
        let mut start = section.steps.start;
        for index in section.steps.clone() {
            let step = &plan.steps[index];
            let same_block = index > start && plan.steps[start].block == step.block;
            let joined = segments
                .last()
                .filter(|_| same_block)
                .and_then(|segment| join(plan, section, &segment.slots, step));
            match (joined, segments.last_mut()) {
                (Some(slots), Some(segment)) => {
                    *segment = Segment { section, steps: &plan.steps[start..=index], slots };
                }
                _ => {
                    start = index;
                    let slots = join(plan, section, &[], step).unwrap_or_default();
                    segments.push(Segment { section, steps: &plan.steps[index..=index], slots });
                }
            }
        }
    }
    segments
}

/// The slots of a function that also does `step`; `None` if its buffers do not go with them.
fn join(plan: &Plan, section: &Section, slots: &[Slot], step: &Step) -> Option<Vec<Slot>> {
    let mut slots: Vec<Slot> =
        slots.iter().map(|slot| Slot { tensors: slot.tensors.clone(), ..*slot }).collect();
    for view in step.views() {
        let Buffer { offset, whole, .. } = plan.buffers[view.buffer];
        let bytes = view.bytes();
        let tensor = (view.element, view.dims);
        let same = |known: &(Element, Dims)| ty(*known, 1).to_string() == ty(tensor, 1).to_string();
        match slots.iter_mut().find(|slot| slot.offset == offset) {
            Some(slot) => {
                slot.bytes = slot.bytes.max(bytes);
                if !slot.tensors.iter().any(same) {
                    slot.tensors.push(tensor);
                }
            }
            None => {
                let passes = if whole { section.passes } else { 1 };
                slots.push(Slot { offset, bytes, passes, tensors: vec![tensor] });
            }
        }
    }
    let end = |slot: &Slot| slot.offset + slot.passes * slot.bytes;
    let apart = |a: &Slot, b: &Slot| end(a) <= b.offset || end(b) <= a.offset;
    let all_apart = slots.iter().enumerate().all(|(i, a)| slots[i + 1..].iter().all(|b| apart(a, b)));
    (slots.len() <= MAX_VIEWS && all_apart).then_some(slots)
}

impl Slot {
    /// The type of what lies there for so many passes: the tensor's, or plain bytes if it holds one tensor after another.
    fn ty(&self, passes: usize) -> TokenStream {
        match self.tensors[..] {
            [tensor] => ty(tensor, passes),
            _ => ty((Element::U8(1.0), [1, 1, 1, self.bytes]), passes),
        }
    }
}

impl Segment<'_> {
    fn reads_input(&self) -> bool {
        self.steps.iter().any(|step| step.action == Action::Input)
    }

    /// Shape of what the network is given, of a pass.
    fn input(&self, plan: &Plan) -> Dims {
        let [_, height, width, channels] = plan.input;
        [plan.images(self.section), height, width, channels]
    }

    /// The lowest indices of the layers and lists that the steps use.
    fn first(&self) -> [usize; 2] {
        let first = |index: fn(Action) -> Option<usize>| {
            self.steps.iter().filter_map(|step| index(step.action)).min().unwrap_or(0)
        };
        [first(Action::layer), first(Action::list)]
    }

    /// A view as an argument.
    fn argument(&self, plan: &Plan, view: &View) -> TokenStream {
        let offset = plan.buffers[view.buffer].offset;
        let index = self.slots.iter().position(|slot| slot.offset == offset).unwrap_or_default();
        let name = parameter(index);
        if self.slots[index].tensors.len() == 1 {
            return quote!(#name);
        }
        let ty = tensor(view.element, view.dims);
        quote!(#name.prefix_mut::<#ty>())
    }
}

/// Parameters and body of a function.
fn function(plan: &Plan, segment: &Segment<'_>) -> TokenStream {
    let first = segment.first();
    let input = segment.reads_input().then(|| {
        let ty = tensor(Element::F32, segment.input(plan));
        quote!(input: &#ty,)
    });
    let names = (0..segment.slots.len()).map(parameter);
    let types = segment.slots.iter().map(|slot| slot.ty(1));
    let body = segment.steps.iter().map(|step| statement(plan, segment, step, first));
    quote! {
        (context: &runtime::Context<'_>, first: [usize; 2], #input #(#names: &mut #types),*) {
            #(#body)*
            let _ = (context, first);
        }
    }
}

fn statement(plan: &Plan, segment: &Segment<'_>, step: &Step, first: [usize; 2]) -> TokenStream {
    let y = segment.argument(plan, &step.write);
    let to = interior(&step.write);
    if step.action == Action::Clear {
        return quote!(runtime::clear_halo(context, #y, #to););
    }
    let y_type = tensor(step.write.element, step.write.dims);
    let (x, x_type, from) = match &step.read {
        Some(read) => (segment.argument(plan, read), tensor(read.element, read.dims), interior(read)),
        None => {
            let (dims, buffer) = (segment.input(plan), step.write.buffer);
            let all = View { buffer, element: Element::F32, dims, at: [0, 0], size: [dims[1], dims[2]] };
            (quote!(input), tensor(Element::F32, dims), interior(&all))
        }
    };
    let action = constant(&step.action.counted_from(first));
    if let Some(gate) = &step.gate {
        let (g, g_type, gate) =
            (segment.argument(plan, gate), tensor(gate.element, gate.dims), interior(gate));
        return quote! {{
            const LAYER: runtime::Layer<#x_type, #y_type, #g_type> =
                runtime::Layer::gated(#action, #from, #gate, #to);
            LAYER.run_gated(context, first, #x, #g, #y);
        }};
    }
    quote! {{
        const LAYER: runtime::Layer<#x_type, #y_type> = runtime::Layer::new(#action, #from, #to);
        LAYER.run(context, first, #x, #y);
    }}
}

/// The type of a tensor for as many times the images.
fn ty((element, [images, height, width, channels]): (Element, Dims), times: usize) -> TokenStream {
    tensor(element, [times * images, height, width, channels])
}

fn tensor(element: Element, dims: Dims) -> TokenStream {
    let dims = dims.map(Literal::usize_unsuffixed);
    let element = match element {
        Element::F32 => quote!(f32),
        Element::Bf16 => quote!(runtime::bf16),
        Element::U8(_) => quote!(u8),
        Element::I8(_) => quote!(i8),
    };
    quote!(runtime::Tensor<#element, #(#dims),*>)
}

/// Where a value lies in its tensor, and its quantization scale.
fn interior(view: &View) -> TokenStream {
    let (at, size) = (pair(view.at), pair(view.size));
    let scaled = view.element.is_quantized().then(|| {
        let scale = view.element.scale();
        quote!(.scaled(#scale))
    });
    quote!(runtime::Interior::new(#at, #size)#scaled)
}

/// A value of the plan as an expression.
fn constant(value: &(impl Constant + ?Sized)) -> TokenStream {
    value.constant().parse().unwrap_or_default()
}

fn pair(numbers: [usize; 2]) -> TokenStream {
    let numbers = numbers.map(Literal::usize_unsuffixed);
    quote!([#(#numbers),*])
}

fn parameter(index: usize) -> Ident {
    const NAMES: [&str; MAX_VIEWS] = ["x", "y", "z", "u", "v", "w", "s", "t"];
    Ident::new(NAMES[index], Span::call_site())
}

/// `layer1.0` as `layer1_0`, or the next one that is free.
fn identifier<'a>(block: &str, taken: impl Iterator<Item = &'a Ident> + Clone) -> Ident {
    let mut name: String = block.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name.insert_str(0, "block_");
    }
    let free = |name: &String| taken.clone().all(|taken| taken != name);
    let mut tries = (1..).map(|n| if n == 1 { format!("{name}_") } else { format!("{name}_{n}") });
    let plain = syn::parse_str::<Ident>(&name).is_ok() && free(&name);
    let name = if plain { name } else { tries.find(free).unwrap_or_default() };
    Ident::new(&name, Span::mixed_site())
}
