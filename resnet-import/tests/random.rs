//! Random networks, in any operator of the language: as flat lists of layers they compute the same.

#[allow(dead_code)] // other tests read all that is drawn
#[path = "../../tests/random/draw.rs"]
mod draw;
#[path = "../../tests/random/layers.rs"]
mod layers;
#[path = "../../tests/random/tree.rs"]
mod tree;

use std::num::NonZeroUsize;
use std::path::Path;

use resnet_dsl::Spec;
use resnet_import::{Bytes, Check, Contents, Element, Format, Model, Specs, Tensor, check, import, write};
use resnet_runtime::weights::fill::Filler;

/// How many networks are drawn.
const NETWORKS: usize = 60;

#[test]
fn lists_of_layers_compute_the_same() {
    let weights = Path::new(env!("CARGO_TARGET_TMPDIR")).join("random.safetensors");
    for index in 0..NETWORKS {
        let text = draw::network(&mut draw::Draw::new(0, index)).spec.text();
        let overrides = resnet_dsl::spec::Overrides { batch: Some(1), ..Default::default() };
        let spec = Spec { name: "random", text: &text, overrides: &overrides };
        let graph = spec.parse(&mut |_| Err("no files".to_owned())).unwrap().graph;
        let plan = spec.compile(&mut |_| Err("no files".to_owned())).unwrap().plan;
        let tensors = plan.description().tensors().map(|tensor| {
            let bytes = Filler::Formula.fill(&tensor).into_iter().flat_map(f32::to_le_bytes).collect();
            let (name, element, bytes) = (tensor.name.to_owned(), Element::F32, Bytes::new(bytes));
            Tensor { name, dims: tensor.dims, element, bytes }
        });
        let tensors = tensors.collect();
        let model =
            Model { format: "test".to_owned(), operators: graph.len(), graph, tensors, notes: Vec::new() };
        let contents = Contents::Network(model);
        let imported = import(&contents, Specs::Any(&[]), "random", Path::new("random"))
            .unwrap_or_else(|error| panic!("network {index}: {error}\n{text}"));
        let mut file = std::fs::File::create(&weights).unwrap();
        write::weights(&imported.weights, Format::F32, &mut file).unwrap();
        match check(&contents, &imported, &weights, Format::F32, NonZeroUsize::MIN) {
            Ok(Check::Agrees { size: None, .. }) => {}
            other => panic!("network {index}: {other:?}\n{text}\n{}", imported.spec),
        }
    }
}
