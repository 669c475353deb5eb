//! From an image to the names of what is in it.

use std::borrow::Cow;
use std::num::NonZeroUsize;

use resnet_plan::{Description, Ending, Text};

use crate::error::Error;
use crate::image::Image;
use crate::network::{Classes, Network, Runs};
use crate::preprocessing::Preprocessor;
use crate::session::Session;
use crate::tensor::Shape;

/// A session of a network with the preprocessing and the labels of its spec. After the first image of a size it allocates nothing.
pub struct Classifier<N: Runs> {
    session: Session<N>,
    preprocessor: Preprocessor,
    guesser: Guesser,
    input: Vec<f32>,
    output: Vec<f32>,
}

/// Makes probabilities of the output of a network that ends in classes.
#[derive(Clone, Debug)]
pub struct Guesser {
    network: Text,
    labels: Cow<'static, [Text]>,
    ending: Ending,
    probabilities: Vec<f32>,
}

/// How probable each class is.
#[derive(Clone, Copy, Debug)]
pub struct Scores<'a> {
    probabilities: &'a [f32],
    labels: &'a [Text],
}

/// A class that an image may be of.
#[derive(Clone, Debug, PartialEq)]
pub struct Guess {
    /// Its place in the output, from 0.
    pub class: usize,
    /// Its name in the spec, or `class 7` where the spec names none.
    pub label: Text,
    /// From 0 to 1; those of all classes sum to 1.
    pub probability: f32,
}

impl<N: Network + Classes> Classifier<N> {
    /// A classifier with one thread a core.
    ///
    /// # Panics
    /// As [`Session::new`].
    pub fn new(network: &N) -> Self {
        Self::of(Session::new(network))
    }

    /// A classifier with so many threads, the caller's included.
    ///
    /// # Panics
    /// As [`Session::with_threads`].
    pub fn with_threads(network: &N, threads: NonZeroUsize) -> Self {
        Self::of(Session::with_threads(network, threads))
    }

    fn of(session: Session<N>) -> Self {
        let description = N::DESCRIPTION;
        let [batch, ..] = N::Input::DIMS;
        Classifier {
            session,
            preprocessor: Preprocessor::new(&description.preprocessing, N::Input::DIMS),
            input: vec![0.0; N::Input::LEN / batch],
            output: vec![0.0; N::Output::LEN / batch],
            guesser: Guesser::of(description),
        }
    }

    /// What is in an image. (A network that is compiled for a batch computes all of it for this one image.)
    ///
    /// # Errors
    /// [`Error::NotNumbers`] if the network's scores are NaN; as [`Session::run`].
    pub fn classify(&mut self, image: &Image<'_>) -> Result<Scores<'_>, Error> {
        self.preprocessor.apply(image, &mut self.input)?;
        self.session.run_each(&self.input, &mut self.output)?;
        self.guesser.scores(&self.output)
    }
}

impl Guesser {
    /// For the outputs of a network.
    ///
    /// # Errors
    /// [`Error::Features`] if it does not end in classes.
    pub fn new(description: &Description) -> Result<Self, Error> {
        match description.ending {
            Ending::Features => Err(Error::Features { network: description.name.to_string() }),
            Ending::Logits | Ending::Probabilities => Ok(Self::of(description.clone())),
        }
    }

    fn of(Description { name, labels, ending, .. }: Description) -> Self {
        Guesser { network: name, labels, ending, probabilities: Vec::new() }
    }

    /// The probabilities that an output (of one image) stands for: its softmax, unless the network ends in one.
    ///
    /// # Errors
    /// [`Error::NotNumbers`] if the output holds NaN.
    pub fn scores(&mut self, output: &[f32]) -> Result<Scores<'_>, Error> {
        self.probabilities.clear();
        self.probabilities.extend_from_slice(output);
        if self.ending != Ending::Probabilities {
            softmax(&mut self.probabilities);
        }
        if self.probabilities.iter().any(|probability| probability.is_nan()) {
            return Err(Error::NotNumbers { network: self.network.to_string() });
        }
        Ok(Scores { probabilities: &self.probabilities, labels: &self.labels })
    }
}

impl Scores<'_> {
    /// The probability of each class.
    pub fn probabilities(&self) -> &[f32] {
        self.probabilities
    }

    /// The `k` most probable classes, or all if there are fewer; the best first.
    pub fn top(&self, k: usize) -> Vec<Guess> {
        let mut order: Vec<usize> = (0..self.probabilities.len()).collect();
        // (A stable sort: of two that are as probable, the first.)
        order.sort_by(|a, b| self.probabilities[*b].total_cmp(&self.probabilities[*a]));
        order.truncate(k);
        order.into_iter().map(|class| self.guess(class)).collect()
    }

    fn guess(&self, class: usize) -> Guess {
        let label = self.labels.get(class).cloned();
        Guess {
            class,
            label: label.unwrap_or_else(|| format!("class {class}").into()),
            probability: self.probabilities[class],
        }
    }
}

/// Powers of the differences to the largest, which cannot overflow.
fn softmax(values: &mut [f32]) {
    let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    values.iter_mut().for_each(|value| *value = (*value - largest).exp());
    let sum: f32 = values.iter().sum();
    values.iter_mut().for_each(|value| *value /= sum);
}

/// What `classifier()` of a network that did not compile gives, so that only the mistake itself is reported.
#[doc(hidden)]
pub struct NoClassifier;

#[doc(hidden)]
impl NoClassifier {
    pub fn classify(&mut self, _: &Image<'_>) -> Result<Scores<'_>, Error> {
        Err(Error::Length { dims: [0; 4], expected: 0, found: 0 })
    }
}
