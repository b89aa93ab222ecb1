//! Whether and how long a network adapts to a case.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::bundle::{Bundle, Refinement};
use crate::pipeline::adapt::AdaptationParams;

/// Seconds that a bundle which refines by adaptation takes unless it says otherwise.
const SECONDS: f64 = 120.0;

/// What the user says of adaptation: `off`, `auto` or a number of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adapt {
    /// The networks stay as they are.
    Off,
    /// As the bundle says; one without a refinement network adapts.
    #[default]
    Auto,
    /// Adapts for so long at most.
    Seconds(f64),
}

impl Adapt {
    /// How the network of a bundle adapts; none if it does not.
    pub fn params(self, bundle: &Bundle) -> Option<AdaptationParams> {
        let alone = (bundle.manifest.refinement == Refinement::Adaptation).then_some(SECONDS);
        let seconds = match self {
            Self::Off => None,
            Self::Auto => bundle.manifest.adapt_seconds.or(alone).filter(|seconds| *seconds > 0.0),
            Self::Seconds(seconds) => Some(seconds),
        };
        seconds.map(|seconds| AdaptationParams { seconds: Some(seconds), ..AdaptationParams::default() })
    }
}

impl fmt::Display for Adapt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Auto => f.write_str("auto"),
            Self::Seconds(seconds) => write!(f, "{seconds}"),
        }
    }
}

impl FromStr for Adapt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            "auto" => Ok(Self::Auto),
            _ => match text.parse::<f64>() {
                Ok(seconds) if seconds.is_finite() && seconds > 0.0 => Ok(Self::Seconds(seconds)),
                _ => Err(format!("'{text}' is neither off, auto nor a number of seconds above 0")),
            },
        }
    }
}

/// One setting of adaptation that is tried in the place of the product's: `steps`, `rate`, `anchor` or `decoder`, as
/// NAME=VALUE.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AdaptSetting {
    /// See [`AdaptationParams::steps`].
    Steps(u32),
    /// See [`AdaptationParams::rate`].
    Rate(f64),
    /// See [`AdaptationParams::anchor_weight`].
    Anchor(f64),
    /// See [`AdaptationParams::decoder_only`].
    Decoder(bool),
}

impl AdaptSetting {
    /// The parameters with this setting.
    #[must_use]
    pub fn applied(self, params: AdaptationParams) -> AdaptationParams {
        match self {
            Self::Steps(steps) => AdaptationParams { steps, ..params },
            Self::Rate(rate) => AdaptationParams { rate, ..params },
            Self::Anchor(anchor_weight) => AdaptationParams { anchor_weight, ..params },
            Self::Decoder(decoder_only) => AdaptationParams { decoder_only, ..params },
        }
    }
}

impl fmt::Display for AdaptSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps(value) => write!(f, "steps={value}"),
            Self::Rate(value) => write!(f, "rate={value}"),
            Self::Anchor(value) => write!(f, "anchor={value}"),
            Self::Decoder(value) => write!(f, "decoder={value}"),
        }
    }
}

impl FromStr for AdaptSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            || format!("'{text}' is no setting of adaptation; use steps=N, rate=X, anchor=X or decoder=true|false");
        let (name, value) = text.split_once('=').ok_or_else(wrong)?;
        let number = || value.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0).ok_or_else(wrong);
        match name {
            "steps" => value.parse().map(Self::Steps).map_err(|_| wrong()),
            "rate" => number().map(Self::Rate),
            "anchor" => number().map(Self::Anchor),
            "decoder" => value.parse().map(Self::Decoder).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_seconds_are_read_and_written_alike() {
        let check = |text: &str, expected: Result<Adapt, &str>| {
            let got = text.parse::<Adapt>();
            assert_eq!(got.as_ref().map_err(String::as_str), expected.as_ref().map_err(|words| *words));
            if let Ok(adapt) = got {
                assert_eq!(adapt.to_string().parse(), Ok(adapt));
            }
        };
        check("off", Ok(Adapt::Off));
        check("auto", Ok(Adapt::Auto));
        check("30", Ok(Adapt::Seconds(30.0)));
        check("2.5", Ok(Adapt::Seconds(2.5)));
        check("0", Err("'0' is neither off, auto nor a number of seconds above 0"));
        check("on", Err("'on' is neither off, auto nor a number of seconds above 0"));
        check("inf", Err("'inf' is neither off, auto nor a number of seconds above 0"));
    }
}
