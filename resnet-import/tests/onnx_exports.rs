//! ONNX files that frameworks have exported, against the outputs that ONNX Runtime computes.
//!
//! `RESNET_ONNX` names a folder with `NAME.onnx`, an input `NAME.x.npy` and outputs `NAME.y0.npy`, `NAME.y1.npy`, ..; without it
//! nothing is tested.

use std::collections::HashMap;
use std::path::Path;

use resnet_dsl::evaluate::evaluate;
use resnet_import::{Bytes, Error, Model, Tensor, onnx};

#[test]
fn exports_compute_what_they_computed() {
    let Some(folder) = std::env::var_os("RESNET_ONNX") else {
        return eprintln!("skipped: RESNET_ONNX names no folder");
    };
    let only = std::env::var("RESNET_ONNX_ONLY").unwrap_or_default();
    let mut failed = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "onnx")) {
        let name = file.file_stem().unwrap().to_string_lossy();
        if !name.contains(&only) {
            continue;
        }
        match difference(file) {
            Ok(difference) if difference <= 1e-5 => eprintln!("{name}: {difference:.1e}"),
            Ok(difference) => failed.push(format!("{name}: {difference:.1e}")),
            Err(message) => failed.push(format!("{name}: {message}")),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The largest difference of an output, over its largest element.
fn difference(file: &Path) -> Result<f64, String> {
    let bytes = Bytes::new(std::fs::read(file).unwrap());
    let folder = file.parent().unwrap();
    let mut read = |name: &str| match std::fs::read(folder.join(name)) {
        Ok(bytes) => Ok(Bytes::new(bytes)),
        Err(source) => Err(Error::Read { file: name.into(), source }),
    };
    let array = |name: &str| npy(&file.with_extension(name));
    let (sizes, x) = array("x.npy").ok_or("there is no input")?;
    // A file whose input is left open is read at the size of the example.
    let input = [sizes[2], sizes[3], sizes[1]];
    let model = onnx::read(&bytes, Some(input), &mut read).map_err(|error| error.to_string())?;
    eprint!("{}: ", model.format);
    let channels_first = model.graph.node(model.graph.topological()[0]).op.name() == "input" && sizes[3] != 3;
    let x = if channels_first { channels_last(&sizes, &x) } else { x };
    let outputs = outputs(&model, &x)?;
    let mut worst = 0.0f64;
    for (index, output) in outputs.iter().enumerate() {
        let (sizes, expected) = array(&format!("y{index}.npy")).ok_or("there is no output")?;
        let expected = if sizes.len() == 4 { channels_last(&sizes, &expected) } else { expected };
        assert_eq!(output.len(), expected.len());
        let largest = expected.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
        let difference = output.iter().zip(&expected).fold(0.0f64, |worst, (a, b)| worst.max((a - b).abs()));
        worst = worst.max(difference / largest);
    }
    Ok(worst)
}

fn outputs(model: &Model, x: &[f64]) -> Result<Vec<Vec<f64>>, String> {
    let tensors: HashMap<&str, &Tensor> =
        model.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let values = evaluate(
        &model.graph,
        &mut |wanted| {
            let tensor = tensors.get(wanted.name).ok_or("missing")?;
            if tensor.dims == wanted.dims || wanted.dims.len() == 1 {
                Ok(tensor.to_f64())
            } else {
                Err(format!("{:?}, not {:?}", tensor.dims, wanted.dims))
            }
        },
        x,
    );
    let values = values.map_err(|error| error.to_string())?;
    let output = |output: &resnet_dsl::ir::Output| values[&model.graph.node(output.value).name].data.clone();
    Ok(model.graph.outputs().iter().map(output).collect())
}

/// Sizes and elements of an array of f32.
fn npy(file: &Path) -> Option<(Vec<usize>, Vec<f64>)> {
    let bytes = std::fs::read(file).ok()?;
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let text = String::from_utf8_lossy(&bytes[10..10 + header]).into_owned();
    assert!(text.contains("'<f4'") && text.contains("False"), "{text}");
    let shape = text.split_once('(')?.1.split_once(')')?.0;
    let sizes = shape.split(',').filter_map(|size| size.trim().parse().ok()).collect();
    let numbers =
        bytes[10 + header..].as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes)));
    Some((sizes, numbers.collect()))
}

fn channels_last(sizes: &[usize], x: &[f64]) -> Vec<f64> {
    let [batch, channels, height, width] = sizes[..] else { return x.to_vec() };
    let pixels = height * width;
    let index = |index: usize| {
        (index / channels / pixels * channels + index % channels) * pixels + index / channels % pixels
    };
    (0..batch * channels * pixels).map(|to| x[index(to)]).collect()
}
