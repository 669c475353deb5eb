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
    let (columns, rows) = dims.split_last().map_or((1, dims), |(columns, rows)| (*columns, rows));
    let step = strides.last().copied().unwrap_or(1);
    let mut to: Vec<[u8; N]> = Vec::with_capacity(dims.iter().product());
    each_index(rows, &mut |index| {
        let row = place(index, strides);
        to.extend((0..columns).filter_map(|column| from.get(row + column * step)));
    });
    to.into_flattened()
}

/// Copies a row-major block of an array to its place there, as far as that lies within, and counts the elements. `at` is where its first
/// one goes.
pub(crate) fn paste(
    block: &[u8],
    shape: &[usize],
    at: &[usize],
    to: &mut [u8],
    dims: &[usize],
    element: usize,
) -> usize {
    let within: Vec<usize> =
        shape.iter().zip(at).zip(dims).map(|((size, at), end)| end.saturating_sub(*at).min(*size)).collect();
    if within.contains(&0) || within.len() != dims.len() {
        return 0;
    }
    let (columns, rows) = within.split_last().map_or((1, &within[..]), |(columns, rows)| (*columns, rows));
    let (from_strides, to_strides) = (strides(shape), strides(dims));
    let start = place(at, &to_strides);
    let mut copied = 0;
    each_index(rows, &mut |index| {
        let row = |first: usize, strides: &[usize]| {
            let first = (first + place(index, strides)) * element;
            first..first + columns * element
        };
        let (from, to) = (block.get(row(0, &from_strides)), to.get_mut(row(start, &to_strides)));
        if let (Some(from), Some(to)) = (from, to) {
            to.copy_from_slice(from);
            copied += columns;
        }
    });
    copied
}

/// All indices of an array of these sizes, in row-major order.
fn each_index(dims: &[usize], visit: &mut dyn FnMut(&[usize])) {
    let mut index = vec![0; dims.len()];
    for _ in 0..dims.iter().product() {
        visit(&index);
        for (digit, size) in index.iter_mut().zip(dims).rev() {
            *digit += 1;
            if *digit < *size {
                break;
            }
            *digit = 0;
        }
    }
}

/// Where an element lies.
fn place(index: &[usize], strides: &[usize]) -> usize {
    index.iter().zip(strides).map(|(index, stride)| index * stride).sum()
}

#[test]
fn blocks_are_pasted_as_far_as_they_lie_within() {
    let mut to = [0; 6];
    assert_eq!(paste(&[1, 2, 3, 4], &[2, 2], &[0, 0], &mut to, &[2, 3], 1), 4);
    assert_eq!(paste(&[5, 6, 7, 8], &[2, 2], &[0, 2], &mut to, &[2, 3], 1), 2);
    assert_eq!(to, [1, 2, 5, 3, 4, 7]);
    assert_eq!(paste(&[9; 4], &[2, 2], &[2, 0], &mut to, &[2, 3], 1), 0);
}
