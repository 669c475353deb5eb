//! The weights of a network: read from a file or made up, batch norms folded, packed for one instruction set.

mod file;
pub mod fill;
mod fingerprint;
mod fold;
mod mapping;
mod packed;

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::Error;
use crate::arena::{ALIGNMENT, Arena};
use crate::isa::Isa;
use crate::kernels::{PackedConv, pack};
use crate::network::{Description, LayerWeights, Precision, Scheme};

use file::File;
use fill::Filler;
use fingerprint::Fingerprint;
use mapping::Mapping;

/// Packed weights, in the order of use, in one piece of memory. Cloning shares them.
#[derive(Clone)]
pub struct Weights {
    packed: Arc<Packed>,
}

struct Packed {
    isa: Isa,
    memory: Memory,
    places: Vec<Place>,
}

/// Where packed numbers lie.
pub(crate) enum Memory {
    Arena(Arena),
    Mapped(Mapping),
}

impl Memory {
    fn as_slice(&self) -> &[f32] {
        match self {
            Memory::Arena(arena) => arena.as_slice(),
            Memory::Mapped(mapping) => mapping.as_slice(),
        }
    }
}

/// Where a layer's weights lie, in elements.
#[derive(Clone)]
struct Place {
    panels: Range<usize>,
    bias: Range<usize>,
}

/// A tensor of a weight file.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its sizes.
    pub dims: &'a [usize],
    /// What it is for.
    pub role: Role,
}

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// The kernel of a convolution or dense layer.
    Kernel {
        /// Numbers that go into one of the output: the window's size times the input channels.
        fan_in: usize,
        /// The window's size times the output channels.
        fan_out: usize,
    },
    /// The bias of a convolution or dense layer.
    Bias,
    /// A batch norm's scale.
    Gamma,
    /// A batch norm's offset.
    Beta,
    /// A batch norm's running mean.
    Mean,
    /// A batch norm's running variance.
    Variance {
        /// What is added to it.
        epsilon: f64,
    },
}

impl Weights {
    /// Reads a safetensors file, for the best instruction set or the one that `RESNET_ISA` names.
    ///
    /// # Errors
    /// If the file cannot be read, is no safetensors file, or does not hold exactly the network's tensors, finite and in
    /// f32, f64, f16 or bf16: all faults at once. If `RESNET_ISA` names what the machine does not have.
    pub fn load(network: &Description, path: &Path) -> Result<Self, Error> {
        Self::load_for(Isa::from_environment()?, network, path)
    }

    /// [`Weights::load`], for one instruction set.
    ///
    /// # Errors
    /// As [`Weights::load`].
    pub fn load_for(isa: Isa, network: &Description, path: &Path) -> Result<Self, Error> {
        Self::of_file(isa, network, &File::open(path)?, false)
    }

    /// [`Weights::load`]; a file of packed weights ([`Weights::save`]) is mapped, and not read: its pages come when they
    /// are used, and are shared with other programs that map it.
    ///
    /// The file must stay as it is until the last clone of these weights is dropped: a program that cuts it off meanwhile
    /// ends this one.
    ///
    /// # Errors
    /// As [`Weights::load`].
    pub fn map(network: &Description, path: &Path) -> Result<Self, Error> {
        Self::map_for(Isa::from_environment()?, network, path)
    }

    /// [`Weights::map`], for one instruction set.
    ///
    /// # Errors
    /// As [`Weights::load`].
    pub fn map_for(isa: Isa, network: &Description, path: &Path) -> Result<Self, Error> {
        Self::of_file(isa, network, &File::open(path)?, true)
    }

    /// Writes a file of packed weights, which loads and maps without work, on machines that have this instruction set.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, network: &Description, path: &Path) -> Result<(), Error> {
        packed::write(self.isa(), network, self.packed.memory.as_slice(), path)
    }

    /// [`Weights::load`], for weights that the network's scales were not calibrated with, as those of a training that went on:
    /// accuracy may suffer. The same for networks that have no scales.
    ///
    /// # Errors
    /// As [`Weights::load`].
    pub fn load_despite_calibration(network: &Description, path: &Path) -> Result<Self, Error> {
        Self::load(&Description { calibrated: None, ..*network }, path)
    }

    /// What a calibration table names the weights of a file by.
    ///
    /// # Errors
    /// As [`Weights::load`].
    pub fn fingerprint(network: &Description, path: &Path) -> Result<u64, Error> {
        let file = File::open(path)?;
        Self::hash(network, |tensor, to| file.read(tensor, to)).map_err(|faults| file.error(network, faults))
    }

    /// [`Weights::fingerprint`], of the weights of the reference.
    pub fn formula_fingerprint(network: &Description) -> u64 {
        Self::hash(network, filler(Filler::Formula)).expect("made-up weights have no faults")
    }

    fn hash(
        network: &Description,
        read: impl Fn(Tensor<'_>, &mut Vec<[u8; 4]>) -> Result<(), String>,
    ) -> Result<u64, Vec<String>> {
        let fingerprint = Fingerprint::default();
        let mut faults = Vec::new();
        let mut numbers = Vec::new();
        for tensor in network.layers.iter().flat_map(tensors) {
            match read(tensor, &mut numbers) {
                Ok(()) => fingerprint.add(tensor.name, &numbers),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(fingerprint.finish()) } else { Err(faults) }
    }

    /// [`Weights::load`], of a file in memory.
    ///
    /// # Errors
    /// As [`Weights::load`].
    pub fn from_bytes(network: &Description, bytes: &[u8]) -> Result<Self, Error> {
        Self::from_bytes_for(Isa::from_environment()?, network, bytes)
    }

    /// [`Weights::from_bytes`], for one instruction set.
    ///
    /// # Errors
    /// As [`Weights::load`].
    pub fn from_bytes_for(isa: Isa, network: &Description, bytes: &[u8]) -> Result<Self, Error> {
        Self::of_file(isa, network, &File::of_bytes(bytes)?, false)
    }

    /// Kernels uniform in `+-sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio 2010, "Understanding the difficulty of
    /// training deep feedforward neural networks", eq. 16) from a seed, batch norms that change nothing, no biases.
    ///
    /// An instruction set in `RESNET_ISA` that the machine does not have is passed over.
    pub fn init(network: &Description, seed: u64) -> Self {
        Self::init_for(Isa::from_environment().unwrap_or(Isa::best()), network, seed)
    }

    /// [`Weights::init`], for one instruction set.
    pub fn init_for(isa: Isa, network: &Description, seed: u64) -> Self {
        Self::filled(isa, network, Filler::Glorot { seed }).0
    }

    /// The weights of the reference, a formula of each tensor's name: networks can be compared without a weight file.
    ///
    /// # Errors
    /// If the network's naming scheme is not the document's or torchvision's.
    pub fn formula_for(isa: Isa, network: &Description) -> Result<Self, Error> {
        match network.scheme {
            Scheme::Custom => Err(Error::NoFormula { network: network.name }),
            Scheme::Document | Scheme::Torchvision => {
                let (weights, found) = Self::filled(isa, network, Filler::Formula);
                calibrated(network, "the formula", found)?;
                Ok(weights)
            }
        }
    }

    /// The weights of one layer.
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn layer(&self, index: usize) -> PackedConv<'_> {
        let Place { panels, bias } = self.packed.places[index].clone();
        let memory = self.packed.memory.as_slice();
        PackedConv { panels: &memory[panels], bias: &memory[bias] }
    }

    /// The instruction set that they are packed for.
    pub fn isa(&self) -> Isa {
        self.packed.isa
    }

    /// The memory that they take.
    pub fn bytes(&self) -> usize {
        size_of_val(self.packed.memory.as_slice())
    }

    fn of_file(isa: Isa, network: &Description, file: &File<'_>, map: bool) -> Result<Self, Error> {
        if let Some(labels) = file.packed() {
            packed::check(isa, network, labels).map_err(|faults| file.error(network, faults))?;
            let (places, count) = places(isa, network);
            let memory = file.packed_numbers(count, map).map_err(|fault| file.error(network, vec![fault]))?;
            return Ok(Weights { packed: Arc::new(Packed { isa, memory, places }) });
        }
        let extra = file.extra(network);
        match Self::folded(isa, network, |tensor, to| file.read(tensor, to)) {
            Ok((weights, found)) if extra.is_empty() => {
                calibrated(network, file.origin(), found)?;
                Ok(weights)
            }
            Ok(_) => Err(file.error(network, extra)),
            Err(faults) => Err(file.error(network, faults.into_iter().chain(extra).collect())),
        }
    }

    fn filled(isa: Isa, network: &Description, filler: Filler) -> (Self, u64) {
        Self::folded(isa, network, self::filler(filler)).expect("made-up weights have no faults")
    }

    /// Lays the layers out; folds and packs each, on all cores. Also gives the fingerprint of what was read, if it matters.
    fn folded(
        isa: Isa,
        network: &Description,
        read: impl Fn(Tensor<'_>, &mut Vec<[u8; 4]>) -> Result<(), String> + Sync,
    ) -> Result<(Self, u64), Vec<String>> {
        let (places, count) = places(isa, network);
        let fingerprint = Fingerprint::default();
        let read = |tensor: Tensor<'_>, to: &mut Vec<[u8; 4]>| {
            read(tensor, to)?;
            if network.calibrated.is_some() {
                fingerprint.add(tensor.name, to);
            }
            Ok(())
        };
        let mut memory = Arena::zeroed(count * size_of::<f32>());
        let mut rest = memory.as_mut_slice();
        let mut taken = 0;
        let mut take = |range: &Range<usize>| {
            let (part, behind) = std::mem::take(&mut rest)[range.start - taken..].split_at_mut(range.len());
            (rest, taken) = (behind, range.end);
            part
        };
        let jobs: Vec<_> =
            network.layers.iter().zip(&places).map(|(l, p)| (l, take(&p.panels), take(&p.bias))).collect();
        let jobs = Mutex::new(jobs.into_iter().enumerate());
        let faults = Mutex::new(Vec::new());
        let work = || {
            let mut kernel = Vec::new();
            loop {
                let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((index, (layer, panels, bias))) = job else { return };
                if let Err(found) =
                    fold::fold(isa, network.precision, layer, &read, panels, bias, &mut kernel)
                {
                    faults.lock().unwrap_or_else(PoisonError::into_inner).push((index, found));
                }
            }
        };
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        thread::scope(|scope| {
            for _ in 1..cores.min(network.layers.len()) {
                // Without it, the others do its part.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        let mut faults = faults.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !faults.is_empty() {
            faults.sort();
            return Err(faults.into_iter().flat_map(|(_, faults)| faults).collect());
        }
        let packed = Packed { isa, memory: Memory::Arena(memory), places };
        Ok((Weights { packed: Arc::new(packed) }, fingerprint.finish()))
    }
}

/// Reads made-up weights.
fn filler(filler: Filler) -> impl Fn(Tensor<'_>, &mut Vec<[u8; 4]>) -> Result<(), String> + Sync {
    move |tensor, to| {
        *to = filler.fill(tensor).into_iter().map(f32::to_le_bytes).collect();
        Ok(())
    }
}

/// Whether the network's scales were made with the weights of this fingerprint.
///
/// # Errors
/// If they were not.
fn calibrated(network: &Description, origin: &str, found: u64) -> Result<(), Error> {
    match network.calibrated {
        Some(expected) if expected != found => {
            Err(Error::Calibration { network: network.name, origin: origin.to_owned(), expected, found })
        }
        _ => Ok(()),
    }
}

/// Where each layer's weights lie, in the order of use, and how many numbers there are in all.
fn places(isa: Isa, network: &Description) -> (Vec<Place>, usize) {
    let precision = network.precision;
    let lists = if precision == Precision::Int8 { 3 } else { 1 };
    let mut end = 0;
    let mut place = |length: usize| {
        let start = end;
        end = (start + length).next_multiple_of(ALIGNMENT / size_of::<f32>());
        start..start + length
    };
    let place = |layer: &LayerWeights| {
        let (depth, channels) = fold::packed_shape(precision, layer);
        Place {
            panels: place(pack::packed_len(isa, precision, depth, channels)),
            bias: place(lists * pack::padded(isa, precision, layer.shape[3])),
        }
    };
    (network.layers.iter().map(place).collect(), end)
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Packed { isa, places, .. } = &*self.packed;
        write!(f, "Weights({} layers, {} bytes, packed for {isa})", places.len(), self.bytes())
    }
}

/// The tensors of a weight file that a layer reads.
pub fn tensors(layer: &LayerWeights) -> Vec<Tensor<'_>> {
    let [height, width, inputs, outputs] = layer.shape;
    let window = height * width;
    let kernel = Role::Kernel { fan_in: window * inputs, fan_out: window * outputs };
    let channels = &layer.shape[3..];
    let mut tensors = vec![Tensor { name: layer.kernel.name, dims: layer.kernel.dims, role: kernel }];
    let mut add = |name, role| tensors.push(Tensor { name, dims: channels, role });
    if let Some(bias) = layer.bias {
        add(bias, Role::Bias);
    }
    if let Some(norm) = &layer.batch_norm {
        add(norm.gamma, Role::Gamma);
        add(norm.beta, Role::Beta);
        add(norm.mean, Role::Mean);
        add(norm.variance, Role::Variance { epsilon: norm.epsilon });
    }
    tensors
}
