//! Passes of the compiler over a graph that is compared or written.

use resnet_dsl::ir::graph::Graph;
use resnet_dsl::ir::verify::verify;
use resnet_dsl::pass;

use crate::error::Error;

/// A graph with all types and without what no output needs, whose dense layers are convolutions as large as their input.
///
/// # Errors
/// If shapes do not fit.
pub(crate) fn typed(graph: &Graph) -> Result<Graph, Error> {
    let mut graph = graph.clone();
    run(&mut graph, &["eliminate-dead", "infer-shapes", "lower-dense"])?;
    Ok(graph)
}

/// Demands that a spec could give a graph.
///
/// # Errors
/// If none could, or shapes do not fit.
pub(crate) fn check(graph: &Graph) -> Result<(), Error> {
    let faults = verify(graph);
    if !faults.is_empty() {
        return Err(Error::Unsupported(format!(
            "the graph does not fit the language: {}",
            faults.join("; ")
        )));
    }
    run(&mut graph.clone(), &["infer-shapes"])
}

/// Runs passes of the compiler, by their names.
///
/// # Errors
/// What a pass finds wrong with the graph; or if the compiler has no such pass.
pub(crate) fn run(graph: &mut Graph, names: &[&str]) -> Result<(), Error> {
    for name in names {
        let pass = pass::PIPELINE.iter().find(|pass| pass.name == *name);
        let pass = pass.ok_or_else(|| Error::Unsupported(format!("the compiler has no pass `{name}`")))?;
        (pass.run)(graph).map_err(|errors| {
            let all: Vec<String> = errors
                .iter()
                .map(|error| {
                    let place = error.labels.first().map_or("", |(_, note)| note);
                    format!("{} {place}", error.message).trim_end().to_owned()
                })
                .collect();
            Error::Malformed(format!("the network's shapes do not fit: {}", all.join("; ")))
        })?;
    }
    Ok(())
}

#[test]
fn passes_have_these_names() {
    let error = run(&mut Graph::new("test"), &["infer-shape"]).unwrap_err().to_string();
    assert!(error.contains("no pass `infer-shape`"), "{error}");
}
