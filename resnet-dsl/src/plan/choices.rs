//! Why convolutions are computed as they are: what each way to compute them costs by the model that chose.
//!
//! ```text
//! layer1.0.relu2  3x3, 64 to 56x56x64  direct 115.61  winograd4:28x64 37.13 *  winograd4fused:98x32 51.18
//! layer4.0  1x1, 512 to 7x7x2048  direct 51.38 *  no strassen (weights would take 3.1 MB more, the limit is 1.6)
//! ```

use std::fmt;

use resnet_plan::{Algorithm, Class, Dims, Precision};

use crate::Compiled;
use crate::ir::{Node, Op};
pub use crate::ops::Refusal;
use crate::ops::cost::Layer;

/// How a convolution could be computed on a class of instruction sets. `Display` is a line: costs in millions, an asterisk behind the way
/// that was chosen, and the algorithms that were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Name of the convolution, as in the plan.
    pub name: String,
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Rows and columns from one window to the next.
    pub stride: [usize; 2],
    /// Groups of channels.
    pub groups: usize,
    /// Input channels.
    pub channels: usize,
    /// Shape of the output.
    pub output: Dims,
    /// The instruction sets. `None`: all, as for f32.
    pub class: Option<Class>,
    /// All ways to compute it, and what each costs: multiply-adds of f32 that take as long.
    pub ways: Vec<(Algorithm, usize)>,
    /// Algorithms for such windows that are refused, and why.
    pub refused: Vec<(Algorithm, Refusal)>,
    /// The one that was chosen.
    pub chosen: Algorithm,
    /// Why, if it is not the cheapest, or the first of those.
    pub because: Option<Because>,
}

/// Why a convolution is not computed in the cheapest way. `Display`: in a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// The spec says so.
    Spec,
    /// This convolution has the same weights, which are packed once.
    Weights(String),
}

/// The choices of all convolutions, in the graph's order.
pub fn choices(Compiled { graph, plan }: &Compiled) -> Vec<Choice> {
    let precision = plan.description.precision;
    let classes: &[Option<Class>] = match precision {
        Precision::F32 => &[None],
        // Tiles compute direct sums only.
        _ => &[Some(Class::Wide), Some(Class::Dots)],
    };
    let mut choices = Vec::new();
    for value in graph.topological() {
        let Node { name, op: Op::Conv2d(conv), ty: Some(y), .. } = graph.node(value) else { continue };
        let x = graph.operands(value).first().and_then(|x| graph.node(*x).ty);
        let (Some(x), Some(algorithms)) = (x, conv.algorithms) else { continue };
        let layer = Layer { conv, precision: x.element.precision(), x: x.dims, y: y.dims };
        for class in classes {
            let of = class.unwrap_or(Class::Wide);
            let chosen = algorithms.of(of);
            let mut ways = layer.candidates();
            // The same algorithm with blocks of other sizes: what was taken is always listed.
            match ways.iter_mut().find(|way| way.name() == chosen.name()) {
                Some(way) => *way = chosen,
                None => ways.push(chosen),
            }
            let ways: Vec<_> = ways.into_iter().map(|way| (way, layer.cost(way, of))).collect();
            let cheapest = ways.iter().min_by_key(|(_, cost)| *cost).map(|(way, _)| *way);
            let because = (cheapest != Some(chosen)).then(|| {
                let same = |(other, node): (_, &Node)| match &node.op {
                    Op::Conv2d(of) if other != value && of.weights == conv.weights => Some(node.name.clone()),
                    _ => None,
                };
                let mut nodes = graph.topological().into_iter().map(|other| (other, graph.node(other)));
                nodes.find_map(same).map_or(Because::Spec, Because::Weights)
            });
            choices.push(Choice {
                name: name.clone(),
                kernel: conv.kernel,
                stride: conv.stride,
                groups: conv.groups,
                channels: x.dims[3],
                output: y.dims,
                class: *class,
                ways,
                refused: layer.refused(),
                chosen,
                because,
            });
        }
    }
    choices
}

impl Choice {
    /// The name of its instruction sets' class: `widened`, `dots` or `tiles`. `None`: all.
    pub fn class_name(&self) -> Option<&'static str> {
        self.class.map(|class| match class {
            Class::Wide => "widened",
            Class::Dots => "dots",
            Class::Tiles => "tiles",
        })
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Choice { name, kernel, stride, groups, channels, output: [_, height, width, filters], .. } = self;
        write!(f, "{name}  {}x{}", kernel[0], kernel[1])?;
        if *stride != [1, 1] {
            write!(f, "/{}x{}", stride[0], stride[1])?;
        }
        write!(f, ", {channels} to {height}x{width}x{filters}")?;
        if *groups > 1 {
            write!(f, ", {groups} groups")?;
        }
        if let Some(class) = self.class_name() {
            write!(f, "  {class}:")?;
        }
        for (way, cost) in &self.ways {
            write!(f, "  {way} {:.2}", *cost as f64 / 1e6)?;
            if *way == self.chosen {
                f.write_str(" *")?;
                self.because.iter().try_for_each(|because| write!(f, " ({because})"))?;
            }
        }
        for same in self.refused.chunk_by(|a, b| a.1 == b.1) {
            let names: Vec<String> = same.iter().map(|(way, _)| way.name()).collect();
            write!(f, "  no {} ({})", names.join(", "), same[0].1)?;
        }
        Ok(())
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Because::Spec => f.write_str("as the spec says"),
            Because::Weights(other) => write!(f, "shares the weights of {other}"),
        }
    }
}
