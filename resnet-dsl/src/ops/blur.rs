//! A low-pass filter before pixels are left out (Zhang 2019, "Making Convolutional Networks Shift-Invariant Again", section
//! 3.2): binomial weights, images continued by reflection.

use resnet_plan::{Action, Pool, PoolKind};

use crate::evaluate::Array;
use crate::ops::{Attributes, Dims, ShapeError, Text};

/// A filter of `size` by `size` pixels, of each channel by itself. Around the image lie its own pixels, mirrored at the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blur {
    /// Height and width of the window.
    pub size: usize,
    /// Stride.
    pub stride: [usize; 2],
}

impl Blur {
    /// The largest window: its weights are exact in f32.
    pub const LARGEST: usize = 9;

    /// Shape of the result.
    ///
    /// # Errors
    /// If the window is empty or too large, or the image too small to be mirrored.
    pub fn infer(&self, [n, height, width, channels]: Dims) -> Result<Dims, ShapeError> {
        if self.size == 0 || self.size > Self::LARGEST || self.stride.contains(&0) {
            let message = format!("a blur has a size from 1 to {} and strides of at least 1", Self::LARGEST);
            return Err(ShapeError::new(message));
        }
        let [rows, columns] = self.padding();
        let padded = [height + 2 * rows, width + 2 * columns];
        if rows >= height || columns >= width || padded.iter().any(|side| *side < self.size) {
            let message =
                format!("an image of {height}x{width} is too small for a blur of size {}", self.size);
            return Err(ShapeError::new(message).help("use a smaller size, or fewer strides before it"));
        }
        let side = |axis: usize| (padded[axis] - self.size) / self.stride[axis] + 1;
        Ok([n, side(0), side(1), channels])
    }

    /// Mirrored rows and columns on each side.
    pub fn padding(&self) -> [usize; 2] {
        self.stride.map(|stride| (stride + self.size).saturating_sub(2) / 2)
    }

    /// The weights of a row or column: binomial coefficients over their sum.
    pub fn weights(&self) -> Vec<f64> {
        let mut row = vec![1.0];
        for _ in 1..self.size {
            let zeros = [vec![0.0], row.clone(), vec![0.0]].concat();
            row = zeros.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect();
        }
        row
    }

    /// Binomial weights over each window, of each channel; around the image lie its pixels, mirrored at the edge.
    pub(crate) fn evaluate(&self, x: &Array) -> Result<Array, ShapeError> {
        let [_, rows, columns, channels] = x.dims;
        let dims = self.infer(x.dims)?;
        let (weights, padding) = (self.weights(), self.padding());
        let mirrored = |axis: usize, output: usize, k: usize, size: usize| {
            let place = (output * self.stride[axis] + k).abs_diff(padding[axis]);
            if place < size { place } else { 2 * (size - 1) - place }
        };
        let mut y = Array { dims, data: vec![0.0; dims.iter().product()] };
        for (index, y) in y.data.chunks_exact_mut(channels).enumerate() {
            let [_, height, width, _] = dims;
            let (n, row, column) = (index / width / height, index / width % height, index % width);
            for (i, down) in weights.iter().enumerate() {
                for (j, right) in weights.iter().enumerate() {
                    let pixel = x.pixel(n, mirrored(0, row, i, rows), mirrored(1, column, j, columns));
                    y.iter_mut().zip(pixel).for_each(|(y, x)| *y += x * (down * right));
                }
            }
        }
        Ok(y)
    }

    pub(crate) fn action(&self) -> Action {
        let [rows, columns] = self.padding();
        Action::Pool(Pool {
            kind: PoolKind::Blur,
            window: [self.size; 2],
            stride: self.stride,
            padding: [rows, rows, columns, columns],
        })
    }

    pub(crate) fn print(&self, to: &mut Attributes) {
        to.put("size", self.size);
        to.put("s", Text(self.stride));
    }

    pub(crate) fn read(from: &mut Attributes) -> Result<Self, String> {
        Ok(Blur { size: from.take_size("size")?, stride: from.take::<Text<_>>("s")?.0 })
    }
}
