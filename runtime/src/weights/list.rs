//! Reads and packs the weights of steps that are no convolutions: see [`resnet_plan::list`] for the order of what is packed.
//!
//! A batch norm becomes `scale = gamma / sqrt(variance + epsilon)` and `shift = beta - mean * scale`, in double precision,
//! rounded once. Channels that it leaves as they are have a scale of 1 and a shift of 0.

use resnet_plan::list::WIDTH;
use resnet_plan::{ListKind, ListWeights, WeightTensor};

use crate::weights::file::Fault;

/// Reads a list's tensors and packs them.
///
/// # Errors
/// What `read` finds wrong with each of the tensors; or that a batch norm folds to what f32 cannot hold.
pub(super) fn fold(
    list: &ListWeights,
    read: &impl Fn(&WeightTensor<'_>, &mut Vec<[u8; 4]>) -> Result<(), Fault>,
    packed: &mut [f32],
) -> Result<(), Vec<Fault>> {
    let (mut tensors, mut faults, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
    for tensor in list.tensors() {
        match read(&tensor, &mut buffer) {
            Ok(()) => {
                tensors.push(buffer.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect())
            }
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut rows = rows(list, tensors);
    let mut rest = &mut *packed;
    for row in &mut rows {
        let (to, behind) = rest.split_at_mut(row.len().next_multiple_of(WIDTH).min(rest.len()));
        to.iter_mut().zip(&*row).for_each(|(to, number)| *to = *number as f32);
        rest = behind;
    }
    if packed.iter().all(|number| number.is_finite()) {
        return Ok(());
    }
    Err(vec![Fault::Unfit(format!(
        "not finite: the weights of {} are not, as f32: look for large elements, and for small ones of a variance",
        list.name
    ))])
}

/// The rows of a list, of its tensors' elements.
fn rows(list: &ListWeights, tensors: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let channels = list.channels;
    let spread = |part: &[f64], first: usize, fill: f64| {
        let mut row = vec![fill; channels];
        row.iter_mut().skip(first).zip(part).for_each(|(to, number)| *to = *number);
        row
    };
    let mut rows = Vec::new();
    let mut rest = &tensors[..];
    match (&list.kind, &*tensors) {
        (ListKind::BatchNorm(norm), [gamma, beta, mean, variance, behind @ ..]) => {
            let first = norm.channels.map_or(0, |[first, _]| first);
            let scale: Vec<f64> =
                gamma.iter().zip(variance).map(|(gamma, v)| gamma / (v + norm.epsilon).sqrt()).collect();
            let shift: Vec<f64> =
                beta.iter().zip(mean).zip(&scale).map(|((beta, mean), scale)| beta - mean * scale).collect();
            rows.extend([spread(&scale, first, 1.0), spread(&shift, first, 0.0)]);
            rest = behind;
        }
        (ListKind::GroupNorm { channels: [first, _], .. }, [gamma, beta, behind @ ..]) => {
            rows.extend([spread(gamma, *first, 1.0), spread(beta, *first, 0.0)]);
            rest = behind;
        }
        (ListKind::Tensor { .. }, [own, behind @ ..]) => {
            rows.push(own.clone());
            rest = behind;
        }
        _ => {}
    }
    if let (Some(slope), [slopes, ..]) = (&list.slope, rest) {
        rows.push(if slope.single { vec![slopes[0]; channels] } else { slopes.clone() });
    }
    rows
}
