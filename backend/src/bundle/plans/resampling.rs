//! How volumes are brought to other grids.

use serde_json::{Map, Value};

use crate::bundle::error::PlansError;

/// How a volume is brought to another grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resampling {
    /// `resample_data_or_seg_to_shape`: splines in f64.
    Spline {
        /// Spline order: 3 for images, 1 for logits and labels.
        order: u8,
        /// When an axis is resampled apart from the others.
        separation: Separation,
    },
    /// `resample_torch_fornnunet`: linear in f32.
    Torch {
        /// When an axis is resampled apart from the others.
        separation: Separation,
    },
    /// `no_resampling_hack`.
    None,
}

/// When an axis with thick slices is resampled by nearest neighbour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Separation {
    /// `force_separate_z`: always, never, or (None) by the ratio of spacings.
    pub force: Option<bool>,
    /// The ratio of the largest to the smallest spacing beyond which an axis is kept apart; strictly greater.
    pub threshold: f64,
}

impl Default for Separation {
    fn default() -> Self {
        Self { force: None, threshold: 3.0 }
    }
}

/// The one that a configuration names under a key.
pub(super) fn resampling(
    configuration: &Map<String, Value>,
    key: &str,
    default_order: u64,
) -> Result<Resampling, PlansError> {
    let kwargs = configuration.get(&format!("{key}_kwargs")).and_then(Value::as_object);
    match configuration.get(key).and_then(Value::as_str).unwrap_or("resample_data_or_seg_to_shape") {
        "resample_data_or_seg_to_shape" => spline(key, kwargs, default_order),
        "resample_torch_fornnunet" => torch(kwargs),
        "no_resampling_hack" => Ok(Resampling::None),
        other => Err(PlansError::Unsupported {
            what: "the resampling function",
            name: other.to_owned(),
            supported: "resample_data_or_seg_to_shape, resample_torch_fornnunet, no_resampling_hack",
        }),
    }
}

fn spline(key: &str, kwargs: Option<&Map<String, Value>>, default_order: u64) -> Result<Resampling, PlansError> {
    let number = |name: &str, default| kwargs.and_then(|k| k.get(name)).and_then(Value::as_u64).unwrap_or(default);
    let (order, order_z) = (number("order", default_order), number("order_z", 0));
    let known = if key == "resampling_fn_seg" { matches!(order, 0 | 1) } else { matches!(order, 0 | 1 | 3) };
    if order_z != 0 || !known {
        return Err(PlansError::Unsupported {
            what: "the resampling order",
            name: format!("{order}, along z {order_z}"),
            supported: "0, 1 and, but for labels, 3, with 0 along z",
        });
    }
    // nnU-Net's function defaults to False where the keyword is left out; null means by the ratio of spacings.
    Ok(Resampling::Spline { order: order as u8, separation: separation(kwargs, Some(false)) })
}

fn torch(kwargs: Option<&Map<String, Value>>) -> Result<Resampling, PlansError> {
    for (option, only) in [("mode", Value::from("linear")), ("aniso_axis_mode", Value::from("nearest-exact"))]
        .into_iter()
        .chain([("memefficient_seg_resampling", Value::from(false))])
    {
        if let Some(other) = kwargs.and_then(|k| k.get(option)).filter(|value| **value != only) {
            return Err(PlansError::Unsupported {
                what: "the resampling mode",
                name: format!("{option} = {other}"),
                supported: "mode linear, aniso_axis_mode nearest-exact, memefficient_seg_resampling false",
            });
        }
    }
    Ok(Resampling::Torch { separation: separation(kwargs, None) })
}

fn separation(kwargs: Option<&Map<String, Value>>, left_out: Option<bool>) -> Separation {
    let Some(kwargs) = kwargs else { return Separation::default() };
    Separation {
        force: kwargs.get("force_separate_z").map_or(left_out, Value::as_bool),
        threshold: kwargs
            .get("separate_z_anisotropy_threshold")
            .and_then(Value::as_f64)
            .unwrap_or(Separation::default().threshold),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_keyword_left_out_is_not_a_null() {
        fn check(kwargs: Value, expected: Option<bool>) {
            let configuration = json!({"f": "resample_data_or_seg_to_shape", "f_kwargs": kwargs});
            let Resampling::Spline { separation, .. } = resampling(configuration.as_object().unwrap(), "f", 1).unwrap()
            else {
                panic!()
            };
            assert_eq!(separation.force, expected);
        }
        check(json!({"order": 1}), Some(false));
        check(json!({"order": 1, "force_separate_z": null}), None);
        check(json!({"order": 1, "force_separate_z": true}), Some(true));
    }
}
