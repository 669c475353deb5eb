//! A spec as people read it: a table of its layers by block, with shapes, parameters and multiply-adds.
//!
//! ```text
//! layer                    kind                             output  parameters  multiply-adds
//!
//! layer1.0                                                28x28x16       4,672      3,612,672
//!   layer1.0.conv1         conv 3x3, padding 1            28x28x16       2,304      1,806,336
//!   layer1.0.bn1           batch norm, epsilon 1e-5       28x28x16          32
//! ```
//! A block's own line has its output and its sums; the last line, those of the network. All numbers are those of one image.

mod kind;

pub use kind::kind;

use std::fmt;

use resnet_plan::{Dims, Interpolation, Preprocessing, Resize};

use crate::diag::Diagnostics;
use crate::ir::{Op, Value};
use crate::pass;
use crate::quoted;
use crate::spec::Parsed;
use crate::spec::metadata::Metadata;

/// The layers of a spec and what they cost. `Display` is the table.
#[derive(Clone, Debug)]
pub struct Summary<'a> {
    /// The spec.
    pub parsed: &'a Parsed,
    /// All layers, in the order of the text.
    pub layers: Vec<Layer<'a>>,
}

/// A layer and what it costs for one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer<'a> {
    /// Its name.
    pub name: &'a str,
    /// The residual block, or `stem`, or `head`, that it is part of.
    pub block: &'a str,
    /// What it is: `conv 3x3, stride 2, padding 1`.
    pub kind: String,
    /// Shape of its output.
    pub output: Dims,
    /// Learned parameters.
    pub parameters: u64,
    /// Multiply-adds.
    pub macs: u64,
}

impl<'a> Summary<'a> {
    /// Infers the shapes of a spec and counts.
    ///
    /// # Errors
    /// If shapes do not fit; those of a spec that was parsed without mistakes do.
    pub fn new(parsed: &'a Parsed) -> Result<Self, Diagnostics> {
        let mut typed = parsed.graph.clone();
        typed.set_batch(1);
        pass::infer_shapes(&mut typed)?;
        let dims = |value| typed.node(value).ty.map_or([0; 4], |ty| ty.dims);
        let layer = |value| {
            let node = parsed.graph.node(value);
            let inputs: Vec<Dims> = typed.operands(value).into_iter().map(dims).collect();
            let output = dims(value);
            Layer {
                name: &node.name,
                block: &node.block,
                kind: kind(&node.op),
                output,
                parameters: node.op.parameters(&inputs),
                macs: node.op.macs(&inputs, output),
            }
        };
        let is_layer = |value: &Value| !matches!(parsed.graph.node(*value).op, Op::Input(_));
        let layers = parsed.graph.topological().into_iter().filter(is_layer).map(layer).collect();
        Ok(Summary { parsed, layers })
    }

    /// Learned parameters of all layers.
    pub fn parameters(&self) -> u64 {
        sum(&self.layers, |layer| layer.parameters)
    }

    /// Multiply-adds of all layers, for one image.
    pub fn macs(&self) -> u64 {
        sum(&self.layers, |layer| layer.macs)
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![["layer", "kind", "output", "parameters", "multiply-adds"].map(str::to_owned)];
        for block in self.layers.chunk_by(|a, b| a.block == b.block) {
            let Some(Layer { block: name, output, .. }) = block.last() else { continue };
            rows.push(Default::default());
            rows.push(row((*name).to_owned(), "", image(*output), block));
            rows.extend(block.iter().map(|layer| {
                row(
                    format!("  {}", layer.name),
                    &layer.kind,
                    image(layer.output),
                    std::slice::from_ref(layer),
                )
            }));
        }
        let layers = format!("{} layers", thousands(self.layers.len() as u64));
        rows.push(Default::default());
        rows.push(row(quoted::network(&self.parsed.graph.name), &layers, String::new(), &self.layers));
        table(f, &rows)?;

        let Parsed { graph, input, metadata: Metadata { preprocessing, labels, .. }, .. } = self.parsed;
        let images = match input[0] {
            1 => "1 image a run".to_owned(),
            images => format!("{images} images a run; the table is for one"),
        };
        writeln!(f)?;
        writeln!(f, "input          {}, {images}", image(*input))?;
        if let outputs @ [_, _, ..] = graph.outputs() {
            let names: Vec<&str> = outputs.iter().map(|output| graph.output_name(output)).collect();
            writeln!(f, "outputs        {}", names.join(", "))?;
        }
        writeln!(f, "precision      {}", graph.precision.kind())?;
        writeln!(f, "preprocessing  {}", resizing(preprocessing, *input))?;
        writeln!(f, "               {}", values(preprocessing))?;
        writeln!(f, "labels         {}", first_few(labels))
    }
}

/// What is in a line of the table, with the sums of some layers.
fn row(name: String, kind: &str, output: String, layers: &[Layer<'_>]) -> [String; 5] {
    let sum = |of: fn(&Layer<'_>) -> u64| count(sum(layers, of));
    [name, kind.to_owned(), output, sum(|layer| layer.parameters), sum(|layer| layer.macs)]
}

/// Rows of two columns of text and three of numbers.
fn table(f: &mut fmt::Formatter<'_>, rows: &[[String; 5]]) -> fmt::Result {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(width);
    for [name, kind, output, parameters, macs] in rows {
        let line = format!("{name:a$}  {kind:b$}  {output:>c$}  {parameters:>d$}  {macs:>e$}");
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

/// How an image gets the size of the input.
fn resizing(preprocessing: &Preprocessing, [_, height, width, _]: Dims) -> String {
    let Preprocessing { resize, crop, interpolation, .. } = preprocessing;
    let first = resize.map(|resize| match resize {
        Resize::Shorter(side) => format!("shorter side to {side}, "),
        Resize::Cover([height, width]) => format!("resize to cover {height}x{width}, "),
        Resize::To([height, width]) => format!("resize to {height}x{width}, "),
    });
    let last = match (&first, crop) {
        (_, true) => "center crop to",
        (Some(_), false) => "then to",
        (None, false) => "resize to",
    };
    let filter = match interpolation {
        Interpolation::Bilinear => String::new(),
        other => format!(", {}", other.name()),
    };
    format!("{}{last} {height}x{width}{filter}", first.unwrap_or_default())
}

/// How the bytes of an image become values.
fn values(preprocessing: &Preprocessing) -> String {
    let Preprocessing { channels, background, scale, mean, std, .. } = preprocessing;
    let mut text = channels.to_string();
    match background {
        [255, 255, 255] => {}
        [0, 0, 0] => text += " on black",
        [red, green, blue] => text += &format!(" on {red} {green} {blue}"),
    }
    text += &if *scale == 1.0 / 255.0 { ", scale 1/255".to_owned() } else { format!(", scale {scale}") };
    for (name, values, neutral) in [("mean", mean, 0.0), ("std", std, 1.0)] {
        if values.iter().any(|value| *value != neutral) {
            let values: Vec<String> = values.iter().map(f32::to_string).collect();
            text += &format!(", {name} {}", values.join(" "));
        }
    }
    text
}

/// How many there are, and the first few.
fn first_few(labels: &[String]) -> String {
    const SHOWN: usize = 6;
    match labels {
        [] => "none".to_owned(),
        _ => {
            let more = if labels.len() > SHOWN { ", ..." } else { "" };
            let first = &labels[..labels.len().min(SHOWN)];
            format!("{}: {}{more}", thousands(labels.len() as u64), first.join(", "))
        }
    }
}

fn sum(layers: &[Layer<'_>], of: impl Fn(&Layer<'_>) -> u64) -> u64 {
    layers.iter().map(of).fold(0, u64::saturating_add)
}

fn image([_, height, width, channels]: Dims) -> String {
    format!("{height}x{width}x{channels}")
}

/// Nothing for zero: most layers have no parameters.
fn count(number: u64) -> String {
    if number == 0 { String::new() } else { thousands(number) }
}

/// `4,089,184,256`
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
