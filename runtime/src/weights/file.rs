//! Weights in a safetensors file: everything is checked before anything is used.

use std::collections::HashSet;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::Error;
use crate::network::Description;
use crate::weights::{Role, Tensor, tensors};

/// An open file.
pub(crate) struct File<'a> {
    tensors: SafeTensors<'a>,
    origin: &'a str,
}

impl<'a> File<'a> {
    /// Reads the header. `origin` names the file in errors.
    ///
    /// # Errors
    /// If the bytes are not a safetensors file.
    pub(crate) fn open(bytes: &'a [u8], origin: &'a str) -> Result<Self, Error> {
        match SafeTensors::deserialize(bytes) {
            Ok(tensors) => Ok(File { tensors, origin }),
            Err(error) => Err(Error::Format { origin: origin.to_owned(), reason: error.to_string() }),
        }
    }

    /// Looks whether the file holds the network's tensors, finite and of the right shapes, and no others.
    ///
    /// # Errors
    /// All that is wrong.
    pub(crate) fn check(&self, network: &Description) -> Result<(), Error> {
        let mut faults = Vec::new();
        let mut known = HashSet::new();
        for tensor in network.layers.iter().flat_map(tensors) {
            known.insert(tensor.name);
            if let Err(fault) = self.check_tensor(tensor) {
                faults.push(fault);
            }
        }
        let mut extra: Vec<&str> = self.tensors.names();
        extra.retain(|name| {
            !known.contains(name) && !network.ignored.iter().any(|ending| name.ends_with(ending))
        });
        extra.sort_unstable();
        faults.extend(extra.into_iter().map(|name| format!("extra: {name}, which the network does not use")));
        if faults.is_empty() {
            return Ok(());
        }
        if !self.tensors.names().iter().any(|name| known.contains(name)) {
            let hint = "no tensor has a name of the network's: is it another network's file, or another naming scheme?";
            faults.insert(0, hint.to_owned());
        }
        Err(Error::Weights { origin: self.origin.to_owned(), network: network.name, faults })
    }

    /// The numbers of a tensor that `check` has found right.
    pub(crate) fn read(&self, tensor: Tensor<'_>) -> Vec<f32> {
        self.tensors.tensor(tensor.name).ok().and_then(|view| numbers(&view)).unwrap_or_default()
    }

    fn check_tensor(&self, tensor: Tensor<'_>) -> Result<(), String> {
        let Tensor { name, dims, role } = tensor;
        let view = self.tensors.tensor(name).map_err(|_| format!("missing: {name} {dims:?}"))?;
        if view.shape() != dims {
            return Err(format!("misshapen: {name} is {:?}, the network has {dims:?}", view.shape()));
        }
        let Some(numbers) = numbers(&view) else {
            let dtype = view.dtype();
            return Err(format!(
                "wrong type: {name} holds {dtype:?}, which is not one of F32, F64, F16 and BF16"
            ));
        };
        if let Some(place) = numbers.iter().position(|number| !number.is_finite()) {
            return Err(format!("not finite: {name} has {} at place {place}", numbers[place]));
        }
        if let Role::Variance { epsilon } = role
            && let Some(place) = numbers.iter().position(|number| f64::from(*number) + epsilon <= 0.0)
        {
            return Err(format!("no variance: {name} has {} at place {place}", numbers[place]));
        }
        Ok(())
    }
}

/// A tensor as f32; `None` if it holds something else than floating-point numbers.
fn numbers(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let data = view.data();
    fn all<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        data.as_chunks::<N>().0.iter().map(|bytes| number(*bytes)).collect()
    }
    Some(match view.dtype() {
        Dtype::F32 => all(data, f32::from_le_bytes),
        Dtype::F64 => all(data, |bytes| f64::from_le_bytes(bytes) as f32),
        Dtype::F16 => all(data, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => all(data, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        _ => return None,
    })
}
