//! The weights of a network: read from a file or made up, batch norms folded, packed for one instruction set.

mod advice;
mod claims;
mod file;
pub mod fill;
mod fingerprint;
mod fold;
mod foreign;
mod known;
mod list;
mod mapping;
mod packed;

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use resnet_plan::{Description, LayerWeights, ListWeights, Precision, WeightTensor};

use crate::arena::{ALIGNMENT, Arena};
use crate::error::Error;
use crate::isa::Isa;
use crate::kernels::{Kernels, PackedConv};
use crate::threads;

use file::Fault;
use fill::Filler;
use fingerprint::Fingerprint;
use mapping::{Mapping, Unchanged};

pub use file::File;

/// Packed weights, in the order of use, in one piece of memory. Cloning shares them.
#[derive(Clone)]
pub struct Weights {
    packed: Arc<Packed>,
}

struct Packed {
    isa: Isa,
    kernels: &'static Kernels,
    memory: Memory,
    places: Vec<Place>,
    lists: Vec<Range<usize>>,
    /// What they were packed for: [`packed::hash`].
    network: u64,
}

/// Where packed elements lie.
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

impl Weights {
    /// Reads a safetensors file, for the best instruction set or the one that `RESNET_ISA` names.
    ///
    /// # Errors
    /// - [`Error::Read`] if the file cannot be read, [`Error::Memory`] if there is too little memory.
    /// - [`Error::Format`] if it is no safetensors file: the message says what it is, and how to convert it.
    /// - [`Error::Weights`] if it does not hold exactly the network's tensors, finite and in f32, f64, f16 or bf16, also with batch norms
    ///   folded in: all faults at once.
    /// - [`Error::Calibration`] if the network's scales were calibrated with other weights.
    /// - [`Error::Isa`] if `RESNET_ISA` names what the machine does not have.
    pub fn load(network: &Description, path: &Path) -> Result<Self, Error> {
        Self::load_for(Isa::from_environment()?, network, path)
    }

    /// [`Weights::load`], for one instruction set.
    ///
    /// # Errors
    /// As [`Weights::load`]; if the machine does not have it.
    pub fn load_for(isa: Isa, network: &Description, path: &Path) -> Result<Self, Error> {
        Self::of_file(isa, network, &File::open(path)?, None)
    }

    /// Writes a file of packed weights, which loads and maps without work, on machines that have this instruction set. What was
    /// there stays until the new file is complete: see [`replace`](crate::files::replace).
    ///
    /// # Errors
    /// If it cannot be written. [`Error::OtherWeights`] if they were packed for another network.
    pub fn save(&self, network: &Description, path: &Path) -> Result<(), Error> {
        if !self.fit(network) {
            return Err(Error::OtherWeights { network: network.name.to_string() });
        }
        packed::write(self.isa(), network, self.packed.memory.as_slice(), path)
    }

    /// [`Weights::load`], for weights that the network's scales were not calibrated with, as those of a training that went on:
    /// accuracy may suffer. The same for networks that have no scales.
    ///
    /// # Errors
    /// As [`Weights::load`].
    pub fn load_despite_calibration(network: &Description, path: &Path) -> Result<Self, Error> {
        Self::load(&Description { calibrated: None, ..network.clone() }, path)
    }

    /// What a calibration table names the weights of a file by.
    ///
    /// # Errors
    /// As [`Weights::load`].
    pub fn fingerprint(network: &Description, path: &Path) -> Result<u64, Error> {
        let file = File::open(path)?;
        file.plain().map_err(|fault| file.error(network, vec![fault]))?;
        Self::hash(network, |tensor, to| file.read(tensor, to))?.map_err(|faults| file.unfit(network, faults))
    }

    /// [`Weights::fingerprint`], of the weights of the reference.
    ///
    /// # Panics
    /// If the system does not give the memory of the largest tensor.
    pub fn formula_fingerprint(network: &Description) -> u64 {
        Self::made_up(network, Filler::Formula)
    }

    /// [`Weights::fingerprint`], of the weights that [`Weights::init`] makes of a seed.
    ///
    /// # Panics
    /// As [`Weights::formula_fingerprint`].
    pub fn init_fingerprint(network: &Description, seed: u64) -> u64 {
        Self::made_up(network, Filler::Glorot { seed })
    }

    fn made_up(network: &Description, by: Filler) -> u64 {
        let found = Self::hash(network, filler(by)).unwrap_or_else(|error| panic!("{error}"));
        found.expect("made-up weights have no faults")
    }

    fn hash(
        network: &Description,
        read: impl Fn(&WeightTensor<'_>, &mut Vec<[u8; 4]>) -> Result<(), Fault>,
    ) -> Result<Result<u64, Vec<String>>, Error> {
        let fingerprint = Fingerprint::default();
        let mut faults = Vec::new();
        let mut numbers = Vec::new();
        for tensor in network.tensors() {
            match read(&tensor, &mut numbers) {
                Ok(()) => fingerprint.add(tensor.name, &numbers),
                Err(fault) => faults.push(fault),
            }
        }
        let faults = file::unfit(faults)?;
        Ok(if faults.is_empty() { Ok(fingerprint.finish()) } else { Err(faults) })
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
    /// As [`Weights::load_for`].
    pub fn from_bytes_for(isa: Isa, network: &Description, bytes: &[u8]) -> Result<Self, Error> {
        Self::of_file(isa, network, &File::of_bytes(bytes)?, None)
    }

    /// Kernels uniform in `+-sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio 2010, "Understanding the difficulty of
    /// training deep feedforward neural networks", eq. 16) from a seed, batch norms that change nothing, no biases.
    ///
    /// # Panics
    /// If the system does not give the memory, or a layer cannot be packed: see [`LayerWeights::check`]. If `RESNET_ISA` names an
    /// instruction set that the machine does not have, which [`Weights::load`] gives as an error.
    pub fn init(network: &Description, seed: u64) -> Self {
        let isa = Isa::from_environment().unwrap_or_else(|error| panic!("RESNET_ISA: {error}"));
        Self::init_for(isa, network, seed)
    }

    /// [`Weights::init`], for one instruction set.
    ///
    /// # Panics
    /// As [`Weights::init`], or if the machine lacks the instruction set.
    pub fn init_for(isa: Isa, network: &Description, seed: u64) -> Self {
        Self::try_init_for(isa, network, seed).unwrap_or_else(|error| panic!("{error}"))
    }

    /// [`Weights::init_for`], with an error where that panics.
    ///
    /// # Errors
    /// [`Error::Weights`] if a layer is none that can be packed; [`Error::Isa`]; [`Error::Memory`].
    pub fn try_init_for(isa: Isa, network: &Description, seed: u64) -> Result<Self, Error> {
        Ok(Self::filled(isa, network, Filler::Glorot { seed })?.0)
    }

    /// The weights of the reference, a formula of each tensor's name and role: networks can be compared without a weight file.
    ///
    /// # Errors
    /// [`Error::Calibration`] if the network's scales were calibrated with other weights; [`Error::Weights`] if a layer is none
    /// that can be packed; [`Error::Isa`] if the machine lacks the instruction set; [`Error::Memory`].
    pub fn formula_for(isa: Isa, network: &Description) -> Result<Self, Error> {
        let (weights, found) = Self::filled(isa, network, Filler::Formula)?;
        calibrated(network, "the formula", found)?;
        Ok(weights)
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

    /// The weights of a step that is no convolution: see [`resnet_plan::list`].
    ///
    /// # Panics
    /// If there is no such list.
    pub fn list(&self, index: usize) -> &[f32] {
        &self.packed.memory.as_slice()[self.packed.lists[index].clone()]
    }

    /// The instruction set that they are packed for.
    pub fn isa(&self) -> Isa {
        self.packed.isa
    }

    /// The kernels that they are packed for.
    pub fn kernels(&self) -> &'static Kernels {
        self.packed.kernels
    }

    /// The memory that they take.
    pub fn bytes(&self) -> usize {
        size_of_val(self.packed.memory.as_slice())
    }

    /// Whether they were packed for this network.
    pub(crate) fn fit(&self, network: &Description) -> bool {
        self.packed.network == packed::hash(self.isa(), network)
    }

    fn of_file(
        isa: Isa,
        network: &Description,
        file: &File<'_>,
        map: Option<Unchanged>,
    ) -> Result<Self, Error> {
        let kernels = kernels_for(isa, network, file.origin())?;
        if let Some(labels) = file.packed() {
            packed::check(isa, network, &labels).map_err(|faults| file.error(network, faults))?;
            let Places { places, lists, count } = Places::of(kernels, network);
            let memory = file.packed_weights(count, map).map_err(|fault| match fault {
                Fault::Unfit(what) => file.error(network, vec![what]),
                Fault::Failed(error) => error,
            })?;
            let network = packed::hash(isa, network);
            return Ok(Weights { packed: Arc::new(Packed { isa, kernels, memory, places, lists, network }) });
        }
        let extra = file.extra(network);
        match Self::folded(isa, kernels, network, |tensor, to| file.read(tensor, to))? {
            Ok((weights, found)) if extra.is_empty() => {
                calibrated(network, file.origin(), found)?;
                Ok(weights)
            }
            Ok(_) => Err(file.unfit(network, extra)),
            Err(faults) => Err(file.unfit(network, faults.into_iter().chain(extra).collect())),
        }
    }

    fn filled(isa: Isa, network: &Description, filler: Filler) -> Result<(Self, u64), Error> {
        let origin = match filler {
            Filler::Formula => "the formula",
            Filler::Glorot { .. } => "the random weights",
        };
        let kernels = kernels_for(isa, network, origin)?;
        Self::folded(isa, kernels, network, self::filler(filler))?
            .map_err(|faults| error(network, origin, faults))
    }

    /// Lays layers and lists out; folds and packs each, on all cores. Also gives the fingerprint of what was read, if it matters.
    fn folded(
        isa: Isa,
        kernels: &'static Kernels,
        network: &Description,
        read: impl Fn(&WeightTensor<'_>, &mut Vec<[u8; 4]>) -> Result<(), Fault> + Sync,
    ) -> Result<Result<(Self, u64), Vec<String>>, Error> {
        let Places { places, lists, count } = Places::of(kernels, network);
        let fingerprint = Fingerprint::default();
        let read = |tensor: &WeightTensor<'_>, to: &mut Vec<[u8; 4]>| {
            read(tensor, to)?;
            if network.calibrated.is_some() {
                fingerprint.add(tensor.name, to);
            }
            Ok(())
        };
        let mut memory = Arena::zeroed(count.saturating_mul(size_of::<f32>()))?;
        let mut rest = memory.as_mut_slice();
        let mut taken = 0;
        let mut take = |range: &Range<usize>| {
            let (part, behind) = std::mem::take(&mut rest)[range.start - taken..].split_at_mut(range.len());
            (rest, taken) = (behind, range.end);
            part
        };
        let mut jobs = Vec::new();
        for (layer, place) in network.layers.iter().zip(&places) {
            jobs.push(Job::Layer(layer, take(&place.panels), take(&place.bias)));
        }
        for (list, place) in network.lists.iter().zip(&lists) {
            jobs.push(Job::List(list, take(place)));
        }
        let threads = threads::cores().get().min(jobs.len());
        let faults = Mutex::new(jobs.iter().map(|_| Vec::new()).collect::<Vec<_>>());
        let jobs = Mutex::new(jobs.into_iter().enumerate());
        let work = || {
            let mut kernel = Vec::new();
            loop {
                let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((index, job)) = job else { return };
                let done = match job {
                    Job::Layer(layer, panels, bias) => {
                        fold::fold(kernels, network.precision, layer, &read, panels, bias, &mut kernel)
                    }
                    Job::List(list, packed) => list::fold(list, &read, packed),
                };
                if let Err(found) = done {
                    faults.lock().unwrap_or_else(PoisonError::into_inner)[index] = found;
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..threads {
                // Without it, the others do its part.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        let faults = faults.into_inner().unwrap_or_else(PoisonError::into_inner);
        let faults = file::unfit(faults.into_iter().flatten())?;
        if !faults.is_empty() {
            return Ok(Err(faults));
        }
        let network = packed::hash(isa, network);
        let packed = Packed { isa, kernels, memory: Memory::Arena(memory), places, lists, network };
        Ok(Ok((Weights { packed: Arc::new(packed) }, fingerprint.finish())))
    }
}

/// Reads made-up weights.
fn filler(filler: Filler) -> impl Fn(&WeightTensor<'_>, &mut Vec<[u8; 4]>) -> Result<(), Fault> + Sync {
    move |tensor, to| {
        to.clear();
        file::reserve(to, tensor.len())?;
        to.extend(filler.elements(tensor).map(f32::to_le_bytes));
        Ok(())
    }
}

/// The kernels that weights of this network are packed for on this machine.
///
/// # Errors
/// If the machine lacks the instruction set, or a layer cannot be packed.
fn kernels_for(isa: Isa, network: &Description, origin: &str) -> Result<&'static Kernels, Error> {
    let kernels = Isa::choose(isa.name())?.kernels();
    let faults = network.faults();
    if faults.is_empty() { Ok(kernels) } else { Err(error(network, origin, faults)) }
}

/// The error of weights with these faults.
fn error(network: &Description, origin: &str, faults: Vec<String>) -> Error {
    Error::Weights { origin: origin.to_owned(), network: network.name.to_string(), faults }
}

/// Whether the network's scales were made with the weights of this fingerprint.
///
/// # Errors
/// If they were not.
fn calibrated(network: &Description, origin: &str, found: u64) -> Result<(), Error> {
    match network.calibrated {
        Some(expected) if expected != found => Err(Error::Calibration {
            network: network.name.to_string(),
            origin: origin.to_owned(),
            expected,
            found,
        }),
        _ => Ok(()),
    }
}

/// Weights to be folded and packed, and where to.
enum Job<'a> {
    Layer(&'a LayerWeights, &'a mut [f32], &'a mut [f32]),
    List(&'a ListWeights, &'a mut [f32]),
}

/// Where the weights of layers and lists lie, in the order of use, and how many elements there are in all.
struct Places {
    places: Vec<Place>,
    lists: Vec<Range<usize>>,
    count: usize,
}

impl Places {
    fn of(kernels: &Kernels, network: &Description) -> Self {
        let precision = network.precision;
        let sums = if precision == Precision::Int8 { 3 } else { 1 };
        let mut end = 0usize;
        let mut place = |length: usize| {
            let start = end;
            // What does not fit any memory stays so, and is refused when memory is asked for.
            let stop = start.saturating_add(length);
            end = stop.checked_next_multiple_of(ALIGNMENT / size_of::<f32>()).unwrap_or(usize::MAX);
            start..stop
        };
        let mut layer = |layer: &LayerWeights| {
            let [depth, _] = layer.packed_shape();
            let rows = sums + usize::from(layer.slope.is_some());
            let [panels, list] = fold::cut(kernels, precision, layer).map(|panels| panels.padded());
            let panels = place(depth.saturating_mul(panels));
            Place { panels, bias: place(list.saturating_mul(rows)) }
        };
        let places = network.layers.iter().map(&mut layer).collect();
        let lists = network.lists.iter().map(|list| place(list.packed_len())).collect();
        Places { places, lists, count: end }
    }
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Packed { isa, places, .. } = &*self.packed;
        write!(f, "Weights({} layers, {} bytes, packed for {isa})", places.len(), self.bytes())
    }
}
