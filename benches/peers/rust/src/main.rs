//! `peers rten|tract MODEL.onnx INPUT.npy SECONDS OUTPUT.npy`: times an engine on one ONNX file, one thread, and prints one
//! JSON object: milliseconds of each run.

use std::error::Error;
use std::fs::File;
use std::time::{Duration, Instant};

use npyz::WriterBuilder;
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;
use serde_json::json;
use tract_onnx::prelude::*;

type Run = Box<dyn FnMut() -> Result<Vec<f32>, Box<dyn Error>>>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [engine, model, input, seconds, output] = &arguments[..] else {
        return Err("peers rten|tract MODEL.onnx INPUT.npy SECONDS OUTPUT.npy".into());
    };
    let array = npyz::NpyFile::new(File::open(input)?)?;
    let shape: Vec<usize> = array.shape().iter().map(|size| *size as usize).collect();
    let shape: [usize; 4] = shape.try_into().map_err(|_| "the input has four sizes")?;
    let input: Vec<f32> = array.into_vec()?;
    let mut run: Run = match engine.as_str() {
        "rten" => rten(model, shape, input)?,
        "tract" => tract(model, shape, input)?,
        _ => return Err("rten or tract".into()),
    };
    let scores = run()?;
    let budget = Duration::from_secs_f64(seconds.parse()?);
    measure(&mut run, budget / 5)?;
    let times = measure(&mut run, budget)?;
    let mut file = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&[scores.len() as u64])
        .writer(File::create(output)?)
        .begin_nd()?;
    file.extend(scores)?;
    file.finish()?;
    println!("{}", json!({ "times_ms": times }));
    Ok(())
}

fn measure(run: &mut Run, budget: Duration) -> Result<Vec<f64>, Box<dyn Error>> {
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 3 || start.elapsed() < budget {
        let before = Instant::now();
        run()?;
        times.push(before.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}

/// rten takes its threads from the environment: `RTEN_NUM_THREADS`.
fn rten(model: &str, shape: [usize; 4], input: Vec<f32>) -> Result<Run, Box<dyn Error>> {
    let model = rten::ModelOptions::with_all_ops().prepack_weights(true).load_file(model)?;
    let input = NdTensor::from_data(shape, input);
    Ok(Box::new(move || {
        let output = model.run_one(input.view().into(), None)?;
        let output: NdTensor<f32, 2> = output.try_into()?;
        Ok(output.to_vec())
    }))
}

fn tract(model: &str, shape: [usize; 4], input: Vec<f32>) -> Result<Run, Box<dyn Error>> {
    let model = tract_onnx::onnx()
        .model_for_path(model)?
        .with_input_fact(0, f32::fact(shape).into())?
        .into_optimized()?
        .into_runnable()?;
    let input: Tensor = tract_ndarray::Array4::from_shape_vec(shape, input)?.into();
    Ok(Box::new(move || {
        let output = model.run(tvec!(input.clone().into()))?;
        Ok(output[0].to_plain_array_view::<f32>()?.iter().copied().collect())
    }))
}
