//! How uncertainty is found: which predictions are compared (folds, mirrors, passes with dropout, and their
//! combinations), and by what measure.
//!
//! A bundle declares its own way, so this is known here; the sums themselves are the pipeline's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::plans::Plan;

/// What varies from sample to sample; what does not vary stays at the first fold, unflipped, without dropout.
///
/// As text `folds+mirrors`, `mirrors`, `dropout:8`, `folds+dropout:8` and so on; `single` where nothing varies. In
/// `bundle.json` a list of the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Samples {
    /// The ensemble: every fold.
    pub folds: bool,
    /// Test-time augmentation: every combination of flips, turned back.
    pub mirrors: bool,
    /// Monte-Carlo dropout: passes with dropout on, of every fold and mirror that is sampled; 0 is none, and dropout
    /// off.
    pub dropout: u32,
}

impl Default for Samples {
    /// All passes that the labels need anyway.
    fn default() -> Self {
        Self { folds: true, mirrors: true, dropout: 0 }
    }
}

/// More passes than this are a mistake.
const MOST_DROPOUT_PASSES: u32 = 1000;

/// One walk of a network over the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Which fold, from 0.
    pub fold: usize,
    /// Which mirror, in the order of [`crate::inference::sliding_window::mirrors`]; 0 is unflipped.
    pub mirror: usize,
    /// Which pass with dropout, from 0; none without dropout.
    pub dropout: Option<u32>,
}

impl Samples {
    /// Whether a pass is one of the samples.
    pub fn takes(self, pass: Pass) -> bool {
        let drops = pass.dropout.map_or(self.dropout == 0, |number| number < self.dropout);
        drops && (self.folds || pass.fold == 0) && (self.mirrors || pass.mirror == 0)
    }

    /// How many samples a network yields.
    pub fn count(self, plan: &Plan) -> usize {
        let folds = if self.folds { plan.manifest.folds.len() } else { 1 };
        let mirrors = if self.mirrors { plan.mirrors() } else { 1 };
        folds * mirrors * self.dropout.max(1) as usize
    }

    fn parts(self) -> Vec<String> {
        let named = [(self.folds, "folds"), (self.mirrors, "mirrors")]
            .into_iter()
            .filter(|(on, _)| *on)
            .map(|(_, name)| name.to_owned());
        named.chain((self.dropout > 0).then(|| format!("dropout:{}", self.dropout))).collect()
    }

    fn of_parts<'a>(parts: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut samples = Self { folds: false, mirrors: false, dropout: 0 };
        for part in parts {
            let before = samples;
            match (part, part.strip_prefix("dropout:")) {
                ("folds", _) => samples.folds = true,
                ("mirrors", _) => samples.mirrors = true,
                (_, Some(passes)) if samples.dropout == 0 => {
                    samples.dropout =
                        passes.parse().ok().filter(|passes| (1..=MOST_DROPOUT_PASSES).contains(passes))?;
                }
                _ => return None,
            }
            if samples == before {
                return None;
            }
        }
        Some(samples)
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts();
        f.write_str(if parts.is_empty() { "single" } else { "" })?;
        f.write_str(&parts.join("+"))
    }
}

impl FromStr for Samples {
    type Err = MethodError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let samples =
            if text == "single" { Self::of_parts(std::iter::empty()) } else { Self::of_parts(text.split('+')) };
        samples.ok_or_else(|| MethodError::UnknownSamples(text.to_owned()))
    }
}

impl From<Samples> for Vec<String> {
    fn from(samples: Samples) -> Self {
        samples.parts()
    }
}

impl TryFrom<Vec<String>> for Samples {
    type Error = MethodError;

    fn try_from(parts: Vec<String>) -> Result<Self, Self::Error> {
        Self::of_parts(parts.iter().map(String::as_str)).ok_or_else(|| MethodError::UnknownSamples(parts.join("+")))
    }
}

/// What is said about a voxel; all lie in 0 (sure) to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Variance between samples, as a share of the largest possible (0.25).
    Variance,
    /// Entropy of the mean prediction: doubt of every kind.
    #[default]
    Entropy,
    /// Entropy of the mean less the mean entropy: only what the samples disagree about.
    MutualInformation,
    /// 1 − Bhattacharyya coefficient of the samples: disagreement, however confident.
    Bhattacharyya,
    /// 1 − the largest mean probability.
    Confidence,
}

impl Measure {
    /// All measures.
    pub const ALL: [Measure; 5] =
        [Measure::Variance, Measure::Entropy, Measure::MutualInformation, Measure::Bhattacharyya, Measure::Confidence];

    /// Name as in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Variance => "variance",
            Measure::Entropy => "entropy",
            Measure::MutualInformation => "mutual-information",
            Measure::Bhattacharyya => "bhattacharyya",
            Measure::Confidence => "confidence",
        }
    }

    /// Whether a single sample says anything; the others need two that can differ.
    pub fn works_on_one_sample(self) -> bool {
        matches!(self, Measure::Entropy | Measure::Confidence)
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Measure {
    type Err = MethodError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Measure::ALL
            .into_iter()
            .find(|measure| measure.name() == text)
            .ok_or_else(|| MethodError::UnknownMeasure(text.to_owned()))
    }
}

/// How uncertainty is found: samples, and what is made of them. As text `SAMPLES/MEASURE`, such as
/// `folds+mirrors/entropy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Method {
    /// Where samples come from.
    #[serde(default)]
    pub samples: Samples,
    /// What is said about a voxel.
    #[serde(default)]
    pub measure: Measure,
}

impl Method {
    /// Refuses what a network cannot do.
    ///
    /// # Errors
    /// [`MethodError::NoDropout`], or [`MethodError::OneSample`] for measures of disagreement.
    pub fn check(self, plan: &Plan) -> Result<Self, MethodError> {
        if self.samples.dropout > 0 && !plan.manifest.dropout {
            return Err(MethodError::NoDropout(self));
        }
        if self.samples.count(plan) < 2 && !self.measure.works_on_one_sample() {
            return Err(MethodError::OneSample(self));
        }
        Ok(self)
    }

    /// As it is where the network can do it. A network with one sample to offer gets entropy, which needs no second
    /// one.
    pub fn or_entropy(self, plan: &Plan) -> Self {
        let measure =
            if matches!(self.check(plan), Err(MethodError::OneSample(_))) { Measure::Entropy } else { self.measure };
        Self { measure, ..self }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.samples, self.measure)
    }
}

/// A method as the user names it: `SAMPLES/MEASURE`, or a measure alone, which leaves the samples to the bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodText {
    /// Where samples come from, unless the bundle says.
    pub samples: Option<Samples>,
    /// What is said about a voxel.
    pub measure: Measure,
}

impl MethodText {
    /// The method, with the bundle's samples where none were named.
    pub fn or(self, default: Samples) -> Method {
        Method { samples: self.samples.unwrap_or(default), measure: self.measure }
    }
}

impl FromStr for MethodText {
    type Err = MethodError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((samples, measure)) => Ok(Self { samples: Some(samples.parse()?), measure: measure.parse()? }),
            None => Ok(Self { samples: None, measure: text.parse()? }),
        }
    }
}

/// What is no method, or not one for this network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MethodError {
    /// Not samples.
    #[error(
        "'{0}' does not say where samples come from; use folds, mirrors, dropout:N (1 to 1000 passes), these joined by \
         +, such as folds+mirrors, or single"
    )]
    UnknownSamples(String),
    /// Not a measure.
    #[error(
        "'{0}' is not an uncertainty measure; use variance, entropy, mutual-information, bhattacharyya or confidence"
    )]
    UnknownMeasure(String),
    /// Dropout that is not there.
    #[error(
        "{0} needs dropout, and the network was trained without; `i3deep bundle inspect` lists what the bundle can \
         sample"
    )]
    NoDropout(Method),
    /// Nothing to disagree with.
    #[error("{0} compares samples, and this bundle has only one of these; use entropy or confidence, or other samples")]
    OneSample(Method),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::sliding_window;

    fn plan(folds: usize, mirror_axes: Option<Vec<usize>>, dropout: bool) -> Plan {
        let mut plan = Plan::for_tests([1.0; 3]);
        plan.manifest.folds = (0..folds).map(|fold| fold.to_string()).collect();
        plan.manifest.mirror_axes = mirror_axes;
        plan.manifest.dropout = dropout;
        plan
    }

    #[test]
    fn samples_are_read_and_written() {
        fn check(text: &str, expected: Option<(bool, bool, u32, &str)>) {
            let got = text.parse::<Samples>().ok();
            assert_eq!(got.map(|s| (s.folds, s.mirrors, s.dropout)), expected.map(|(f, m, d, _)| (f, m, d)), "{text}");
            assert_eq!(got.map(|s| s.to_string()).as_deref(), expected.map(|e| e.3), "{text}");
            if let Some(samples) = got {
                assert_eq!(samples.to_string().parse(), Ok(samples));
                let json = serde_json::to_string(&samples).unwrap();
                assert_eq!(serde_json::from_str::<Samples>(&json).unwrap(), samples, "{json}");
            }
        }
        check("folds+mirrors", Some((true, true, 0, "folds+mirrors")));
        check("mirrors+folds", Some((true, true, 0, "folds+mirrors")));
        check("mirrors", Some((false, true, 0, "mirrors")));
        check("dropout:8", Some((false, false, 8, "dropout:8")));
        check("folds+dropout:8", Some((true, false, 8, "folds+dropout:8")));
        check("dropout:2+mirrors+folds", Some((true, true, 2, "folds+mirrors+dropout:2")));
        check("single", Some((false, false, 0, "single")));
        for nonsense in [
            "",
            "fold",
            "dropout",
            "dropout:0",
            "dropout:1001",
            "dropout:-1",
            "folds+folds",
            "dropout:2+dropout:2",
            "folds+",
            "single+folds",
        ] {
            check(nonsense, None);
        }
    }

    #[test]
    fn methods_are_read() {
        fn check(text: &str, expected: Result<&str, &str>) {
            let got = text
                .parse::<MethodText>()
                .map(|method| method.or(Samples::default()).to_string())
                .map_err(|error| error.to_string());
            match expected {
                Ok(method) => assert_eq!(got.as_deref(), Ok(method)),
                Err(words) => assert!(got.as_ref().is_err_and(|error| error.contains(words)), "{got:?}"),
            }
        }
        check("entropy", Ok("folds+mirrors/entropy"));
        check("dropout:4/mutual-information", Ok("dropout:4/mutual-information"));
        check("mirrors", Err("'mirrors' is not an uncertainty measure"));
        check("mirrors/doubt", Err("'doubt' is not an uncertainty measure"));
        check("rotations/entropy", Err("'rotations' does not say where samples come from"));
    }

    #[test]
    fn samples_are_counted() {
        fn check(samples: &str, plan: &Plan, expected: usize) {
            let samples: Samples = samples.parse().unwrap();
            assert_eq!(samples.count(plan), expected, "{samples}");
            let passes = (0..plan.manifest.folds.len()).flat_map(|fold| {
                let mirrors = 0..sliding_window::mirrors(plan.mirror_axes().as_deref()).len();
                mirrors.flat_map(move |mirror| {
                    (0..10).map(Some).chain([None]).map(move |dropout| Pass { fold, mirror, dropout })
                })
            });
            assert_eq!(passes.filter(|pass| samples.takes(*pass)).count(), expected, "{samples}");
        }
        let whole = plan(5, Some(vec![0, 1, 2]), true);
        check("folds+mirrors", &whole, 40);
        check("folds", &whole, 5);
        check("mirrors", &whole, 8);
        check("single", &whole, 1);
        check("dropout:3", &whole, 3);
        check("folds+mirrors+dropout:2", &whole, 80);
        check("folds+mirrors", &plan(1, None, false), 1);
    }

    #[test]
    fn what_a_network_cannot_do_is_refused() {
        fn check(text: &str, plan: &Plan, expected: Result<(), &str>) {
            let method = text.parse::<MethodText>().unwrap().or(Samples::default());
            match (method.check(plan), expected) {
                (Ok(same), Ok(())) => assert_eq!(same, method),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
        let least = plan(1, None, false);
        check("entropy", &least, Ok(()));
        check("confidence", &least, Ok(()));
        check("variance", &least, Err("folds+mirrors/variance compares samples, and this bundle has only one"));
        check("dropout:8/entropy", &least, Err("dropout:8/entropy needs dropout, and the network was trained without"));
        check("dropout:8/variance", &plan(1, None, true), Ok(()));
        check("folds/variance", &plan(1, Some(vec![0]), true), Err("only one"));
        assert_eq!(
            Method { measure: Measure::Variance, ..Method::default() }.or_entropy(&least).measure,
            Measure::Entropy
        );
        assert_eq!(
            Method { measure: Measure::Variance, ..Method::default() }.or_entropy(&plan(2, None, false)).measure,
            Measure::Variance
        );
    }
}
