//! Arrays in another order than row-major.

/// The elements of an array in row-major order. Element `[i, j, ..]` is `element` bytes at `(i * strides[0] + j * strides[1] + ..) *
/// element` of `from`; one that reaches outside is left out. The array takes as much memory as its sizes say.
pub(crate) fn row_major(from: &[u8], dims: &[usize], strides: &[usize], element: usize) -> Vec<u8> {
    match element {
        1 => copy::<1>(from, dims, strides),
        2 => copy::<2>(from, dims, strides),
        4 => copy::<4>(from, dims, strides),
        _ => copy::<8>(from, dims, strides),
    }
}

/// How far apart elements of an array of these sizes are along each axis, if it is row-major.
pub(crate) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    let mut step = 1usize;
    for (stride, size) in strides.iter_mut().zip(dims).rev() {
        *stride = step;
        step = step.saturating_mul(*size);
    }
    strides
}

fn copy<const N: usize>(from: &[u8], dims: &[usize], strides: &[usize]) -> Vec<u8> {
    // The other sizes of an empty array may be anything.
    if dims.contains(&0) {
        return Vec::new();
    }
    let (from, _) = from.as_chunks::<N>();
    let rows: usize = dims.iter().rev().skip(1).product();
    let (columns, step) = dims.last().zip(strides.last()).map_or((1, 1), |(columns, step)| (*columns, *step));
    let mut to: Vec<[u8; N]> = Vec::with_capacity(rows * columns);
    // All sizes but the last one count like the digits of a number.
    let outer = dims.len().saturating_sub(1);
    let mut digits = vec![0usize; outer];
    for _ in 0..rows {
        let row: usize = digits.iter().zip(strides).map(|(digit, stride)| digit * stride).sum();
        to.extend((0..columns).filter_map(|column| from.get(row + column * step)));
        for (digit, size) in digits.iter_mut().zip(dims).rev() {
            *digit += 1;
            if *digit < *size {
                break;
            }
            *digit = 0;
        }
    }
    to.into_flattened()
}
