//! Any number of images, by a network that computes so many a run.

use crate::error::Error;

/// Runs a network for `images`, one after another, into `outputs`. `input` and `output` are the shapes of a run, of as many images
/// each. The last run is filled up with zeros, in memory that is kept in `spare`.
///
/// # Errors
/// [`Error::Images`] if the lengths are no whole number of images, or not of as many; and what `run` says.
pub(crate) fn run_each(
    input: [usize; 4],
    output: [usize; 4],
    images: &[f32],
    outputs: &mut [f32],
    spare: &mut Vec<f32>,
    mut run: impl FnMut(&[f32], &mut dyn FnMut(&[f32])) -> Result<(), Error>,
) -> Result<(), Error> {
    let image: usize = input[1..].iter().product();
    let scores: usize = output[1..].iter().product();
    let count = images.len() / image;
    if count * image != images.len() || count.checked_mul(scores) != Some(outputs.len()) {
        return Err(Error::Images { image, found: images.len(), output: scores, room: outputs.len() });
    }
    let (whole, scores) = (image * input[0], scores * input[0]);
    for (images, outputs) in images.chunks(whole).zip(outputs.chunks_mut(scores)) {
        let images = if images.len() == whole {
            images
        } else {
            spare.clear();
            spare.extend_from_slice(images);
            spare.resize(whole, 0.0);
            &*spare
        };
        run(images, &mut |scores| outputs.copy_from_slice(&scores[..outputs.len()]))?;
    }
    Ok(())
}
