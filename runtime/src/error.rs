//! What can go wrong, and what to do about it.

/// An error of loading or running a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A slice that does not have a tensor's number of elements.
    #[error("a {}x{}x{}x{} tensor has {expected} elements, the slice has {found}", .dims[0], .dims[1], .dims[2], .dims[3])]
    Length {
        /// The tensor: batch, height, width, channels.
        dims: [usize; 4],
        /// Its number of elements.
        expected: usize,
        /// The slice's.
        found: usize,
    },
}
