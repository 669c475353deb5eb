//! `resnet bench --compare`: whether times differ by more than noise.
//!
//! ```text
//! samples of a file and a network:  the medians of its rounds; or of its measurements, where there are enough of them
//! ratio = exp(median of all log(new) - log(old))
//! interval = the log differences that are as far from the middle as the test of Mann and Whitney allows, with 95 % confidence;
//!            of few measurements, wider by what two runs of the program may differ
//! ```
//! (J. L. Hodges and E. L. Lehmann, Estimates of Location Based on Rank Tests, 1963; M. Hollander, D. A. Wolfe and E. Chicken,
//! Nonparametric Statistical Methods, 2014, section 4.3.)

use std::fmt;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use serde_json::{Value, json};

use super::median;
use crate::print::say;

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
struct Key {
    model: String,
    precision: String,
    isa: String,
    threads: u64,
    batch: u64,
}

/// The times of a file for a key.
#[derive(Debug)]
struct Times {
    key: Key,
    /// The rounds of each measurement, in milliseconds.
    measurements: Vec<Vec<f64>>,
}

/// New times over old ones.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ratio {
    middle: f64,
    /// With 95 % confidence.
    interval: [f64; 2],
}

/// The verdict where the times may be equal.
const SAME: &str = "no difference that can be told from noise";
/// The least samples of a side that an interval can be made of.
const LEAST: usize = 4;
/// So many measurements of one network are samples themselves: what differs between two runs of the program is noise as well.
const MEASUREMENTS: usize = 5;
/// Of fewer, that noise is taken to be this much of a time: where memory lies makes as much of a difference.
const BETWEEN_RUNS: f64 = 0.02;

pub(crate) fn run(old: &Path, new: &Path, fail_above: Option<f64>, as_json: bool) -> anyhow::Result<()> {
    let (before, after) = (read(old)?, read(new)?);
    let pairs = pairs(&before, &after)
        .map_err(|fault| anyhow!("{} and {} cannot be compared: {fault}", old.display(), new.display()))?;
    let widest = pairs.iter().map(|(_, new)| new.key.to_string().len()).max().unwrap_or(0);
    if !as_json {
        say!("{:widest$} {:>9} {:>9} {:>7}  95 % interval", "", "old, ms", "new, ms", "ratio")?;
    }
    let mut slower = 0;
    for (old_times, new_times) in &pairs {
        let (a, b) = (old_times.samples(old)?, new_times.samples(new)?);
        let mut ratio = Ratio::of(&a, &b);
        if [old_times, new_times].iter().any(|times| times.measurements.len() < MEASUREMENTS) {
            let [low, high] = ratio.interval;
            ratio.interval = [low * (1.0 - BETWEEN_RUNS), high * (1.0 + BETWEEN_RUNS)];
        }
        let is_beyond = fail_above.is_some_and(|most| ratio.interval[0] > 1.0 + most);
        slower += usize::from(is_beyond);
        let ([old_ms, new_ms], Ratio { middle, interval: [low, high] }) = ([median(&a), median(&b)], ratio);
        let Key { model, precision, isa, threads, batch } = &new_times.key;
        if as_json {
            let object = json!({
                "model": model, "precision": precision, "isa": isa, "threads": threads, "batch": batch,
                "old_ms": old_ms, "new_ms": new_ms, "ratio": middle, "interval": [low, high],
                "verdict": ratio.verdict(), "fails": is_beyond,
            });
            say!("{object}")?;
            continue;
        }
        say!(
            "{:widest$} {old_ms:>9.3} {new_ms:>9.3} {middle:>7.3}  {low:.3} to {high:.3}  {}",
            new_times.key.to_string(),
            ratio.verdict()
        )?;
        if let Some(difference) = new_times.key.difference(&old_times.key) {
            say!("  (not the same: {difference})")?;
        }
    }
    let alone = |times: &Times, others: &[Times]| {
        !pairs.iter().any(|(old, new)| std::ptr::eq(*old, times) || std::ptr::eq(*new, times))
            && !others.iter().any(|other| other.key == times.key)
    };
    if !as_json {
        for (file, times, others) in [(old, &before, &after), (new, &after, &before)] {
            for times in times.iter().filter(|times| alone(times, others)) {
                say!("only in {}: {}", file.display(), times.key)?;
            }
        }
    }
    let Some(most) = fail_above else { return Ok(()) };
    if slower > 0 {
        bail!("{slower} of {} times are longer by more than {} %, noise apart", pairs.len(), 100.0 * most);
    }
    match before.iter().find(|times| alone(times, &after)) {
        Some(lost) => {
            bail!("{} is not in {}, so that nobody knows whether it takes longer", lost.key, new.display())
        }
        None => Ok(()),
    }
}

/// The times of a file, by key.
fn read(path: &Path) -> anyhow::Result<Vec<Times>> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    let mut all: Vec<Times> = Vec::new();
    for object in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
        let object =
            object.with_context(|| format!("{name} does not hold what `resnet bench --json` prints"))?;
        let (key, rounds) = measurement(&object).map_err(|fault| anyhow!("{name}: {fault}"))?;
        match all.iter_mut().find(|times| times.key == key) {
            Some(times) => times.measurements.push(rounds),
            None => all.push(Times { key, measurements: vec![rounds] }),
        }
    }
    if all.is_empty() { Err(anyhow!("{name} is empty")) } else { Ok(all) }
}

/// An object of `bench --json`.
fn measurement(object: &Value) -> Result<(Key, Vec<f64>), String> {
    let missing = |key: &str| {
        format!("an object has no `{key}`: `resnet bench SPEC --json` writes it, without --layers")
    };
    let text = |key: &str| object[key].as_str().map(str::to_owned).ok_or_else(|| missing(key));
    let number = |key: &str| object[key].as_u64().ok_or_else(|| missing(key));
    let rounds = object["rounds_ms"].as_array().ok_or_else(|| missing("rounds_ms"))?;
    let rounds: Option<Vec<f64>> =
        rounds.iter().map(|round| round.as_f64().filter(|time| *time > 0.0 && time.is_finite())).collect();
    let key = Key {
        model: text("model")?,
        precision: text("precision")?,
        isa: text("isa")?,
        threads: number("threads")?,
        batch: number("batch")?,
    };
    Ok((key, rounds.ok_or("`rounds_ms` holds something else than times")?))
}

/// The times that have the same key; those of two files that have one network each, and measured it in two ways.
fn pairs<'a>(old: &'a [Times], new: &'a [Times]) -> Result<Vec<(&'a Times, &'a Times)>, String> {
    let pair = |new: &'a Times| Some((old.iter().find(|old| old.key == new.key)?, new));
    let pairs: Vec<_> = new.iter().filter_map(pair).collect();
    match (old, new) {
        _ if !pairs.is_empty() => Ok(pairs),
        ([old], [new]) if old.key.model == new.key.model => Ok(vec![(old, new)]),
        _ => {
            let names = |times: &[Times]| {
                let keys: Vec<String> = times.iter().map(|times| times.key.to_string()).collect();
                keys.join("; ")
            };
            Err(format!("one has times of {}, the other of {}", names(old), names(new)))
        }
    }
}

impl Times {
    /// Those that are compared.
    fn samples(&self, file: &Path) -> anyhow::Result<Vec<f64>> {
        let samples: Vec<f64> = match self.measurements.len() {
            MEASUREMENTS.. => self.measurements.iter().map(|rounds| median(rounds)).collect(),
            _ => self.measurements.concat(),
        };
        if samples.len() < LEAST {
            bail!(
                "{} has {} round(s) of {}, and noise is known from {LEAST} on: measure longer (--seconds)",
                file.display(),
                samples.len(),
                self.key
            );
        }
        Ok(samples)
    }
}

impl Ratio {
    /// Of new times to old ones, all above zero, at least [`LEAST`] of each.
    fn of(old: &[f64], new: &[f64]) -> Self {
        let mut differences: Vec<f64> =
            new.iter().flat_map(|new| old.iter().map(move |old| (new / old).ln())).collect();
        differences.sort_by(f64::total_cmp);
        let [m, n] = [old.len(), new.len()].map(|count| count as f64);
        let spread = 1.96 * (m * n * (m + n + 1.0) / 12.0).sqrt();
        let outside = ((m * n / 2.0 - spread) as usize).max(1);
        let interval = [differences[outside - 1], differences[differences.len() - outside]];
        Ratio { middle: median(&differences).exp(), interval: interval.map(f64::exp) }
    }

    fn verdict(&self) -> &'static str {
        match self.interval {
            [low, _] if low > 1.0 => "slower",
            [_, high] if high < 1.0 => "faster",
            _ => SAME,
        }
    }
}

impl Key {
    /// What differs from another one, of the same model.
    fn difference(&self, old: &Key) -> Option<String> {
        let fields = |key: &Key| {
            let [threads, batch] = [key.threads, key.batch].map(|number| number.to_string());
            [
                ("precision", key.precision.clone()),
                ("isa", key.isa.clone()),
                ("threads", threads),
                ("batch", batch),
            ]
        };
        let differing = fields(old).into_iter().zip(fields(self)).filter(|(old, new)| old != new);
        let texts: Vec<String> =
            differing.map(|((name, old), (_, new))| format!("{name} {old}, then {new}")).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Key { model, precision, isa, threads, batch } = self;
        write!(f, "{model} {precision} on {isa}, {threads} thread(s), batch {batch}")
    }
}

#[cfg(test)]
mod tests {
    use resnet::runtime::weights::fill;

    use super::*;

    #[test]
    fn the_interval_is_that_of_the_books() {
        // The third from either end for 5 and 5 samples, whose confidence is 96.8 %.
        let old = [1.0, 1.01, 1.02, 1.03, 1.04];
        let new = old.map(|time| 2.0 * time);
        let ratio = Ratio::of(&old, &new);
        assert!((ratio.middle - 2.0).abs() < 1e-12, "{ratio:?}");
        let mut all: Vec<f64> = new.iter().flat_map(|new| old.map(|old| new / old)).collect();
        all.sort_by(f64::total_cmp);
        for (found, expected) in ratio.interval.iter().zip([all[2], all[22]]) {
            assert!((found - expected).abs() < 1e-12, "{ratio:?}, {all:?}");
        }
        assert_eq!(ratio.verdict(), "slower");
    }

    #[test]
    fn noise_is_no_difference() {
        let old = [1.0, 1.1, 0.9, 1.05, 0.95, 1.02];
        let new = [1.01, 0.96, 1.12, 0.91, 1.04, 1.03];
        assert_eq!(Ratio::of(&old, &new).verdict(), SAME);
        assert_eq!(Ratio::of(&new.map(|time| 1.5 * time), &old).verdict(), "faster");
    }

    /// With 95 % confidence, one of twenty pairs of equal times is told apart.
    #[test]
    fn the_confidence_is_what_it_says() {
        const TRIALS: usize = 1000;
        let noise: Vec<f64> =
            fill::uniform("noise").take(TRIALS * 20).map(|u| 1.0 + 0.1 * f64::from(u)).collect();
        let differ = |times: &&[f64]| Ratio::of(&times[..10], &times[10..]).verdict() != SAME;
        let wrong = noise.chunks_exact(20).filter(differ).count();
        assert!((TRIALS / 50..TRIALS * 3 / 50).contains(&wrong), "{wrong}");
    }

    #[test]
    fn many_measurements_are_samples_themselves() {
        let key =
            Key { model: "m".into(), precision: "f32".into(), isa: "avx2".into(), threads: 1, batch: 1 };
        let times = |count| Times { key: key.clone(), measurements: vec![vec![1.0, 2.0, 9.0]; count] };
        assert_eq!(times(2).samples(Path::new("a")).unwrap().len(), 6);
        assert_eq!(times(5).samples(Path::new("a")).unwrap(), [2.0; 5]);
        assert!(times(1).samples(Path::new("a")).unwrap_err().to_string().contains("measure longer"));
    }
}
