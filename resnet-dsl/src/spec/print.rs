//! `Display` of a network: one line a layer. A report, not read back; the graph's text form is.

use std::fmt;

use crate::spec::network::{Layer, LayerKind, Network, Operand, Padding, Pool, Sides};

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [n, h, w, c] = self.input;
        writeln!(f, "network {}: {n}x{h}x{w}x{c}", self.name)?;
        for layer in &self.layers {
            write!(f, "{}: {} = {}", layer.block, layer.name, layer.kind)?;
            for operand in &layer.inputs {
                let name = match operand {
                    Operand::Input => "input",
                    Operand::Layer(index) => self.layers.get(*index).map_or("?", |layer: &Layer| &layer.name),
                };
                write!(f, " {name}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for LayerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayerKind::ZeroPad(sides) => write!(f, "zero_pad {sides}"),
            LayerKind::Conv {
                filters,
                kernel: [h, w],
                stride: [down, right],
                padding,
                weights,
                winograd,
            } => {
                let bias = if weights.bias.is_some() { ", bias" } else { "" };
                let winograd = if *winograd { "" } else { ", winograd off" };
                write!(f, "conv {h}x{w}/{down}x{right}, {padding}, {filters} filters{bias}{winograd}")
            }
            LayerKind::BatchNorm { epsilon, .. } => write!(f, "batch_norm {epsilon:e}"),
            LayerKind::Relu => f.write_str("relu"),
            LayerKind::Add => f.write_str("add"),
            LayerKind::MaxPool(pool) => write!(f, "max_pool {pool}"),
            LayerKind::AveragePool { pool, count_padding } => {
                let counting = if *count_padding { ", counting padding" } else { "" };
                write!(f, "average_pool {pool}{counting}")
            }
            LayerKind::GlobalAveragePool => f.write_str("average_pool global"),
            LayerKind::Subsample { stride: [down, right], front, back } => {
                write!(f, "subsample /{down}x{right}, {front} zero channels in front, {back} behind")
            }
            LayerKind::Flatten => f.write_str("flatten"),
            LayerKind::Dense { units, weights } => {
                let bias = if weights.bias.is_some() { ", bias" } else { "" };
                write!(f, "dense {units}{bias}")
            }
            LayerKind::Softmax => f.write_str("softmax"),
        }
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pool { window: [h, w], stride: [down, right], padding, ceil } = self;
        write!(f, "{h}x{w}/{down}x{right}, {padding}{}", if *ceil { ", ceil" } else { "" })
    }
}

impl fmt::Display for Padding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Padding::Valid => f.write_str("valid"),
            Padding::Same => f.write_str("same"),
            Padding::Sides(sides) => write!(f, "padding {sides}"),
        }
    }
}

impl fmt::Display for Sides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{},{}", self.top, self.bottom, self.left, self.right)
    }
}
