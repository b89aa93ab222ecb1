//! What nnU-Net's `postprocessing.json` asks for: of some labels together, only the largest component is kept.

use serde_json::Value;
use shared::geometry::Dims;
use shared::label::{BACKGROUND, Label};
use shared::volume::Volume;
use thiserror::Error;

use super::components::components;

/// Why postprocessing cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PostprocessError {
    /// Not what nnU-Net writes.
    #[error("it is not a postprocessing.json: {0}")]
    Invalid(&'static str),
    /// A function of somebody's own.
    #[error("the postprocessing function '{0}' is not supported; supported: {KEEP_LARGEST}")]
    Unsupported(String),
}

const KEEP_LARGEST: &str = "remove_all_but_largest_component_from_segmentation";

/// Sets of labels, in order: each set's union keeps its largest component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postprocessing(pub Vec<Vec<Label>>);

impl Postprocessing {
    /// Reads the content of `postprocessing.json`.
    ///
    /// # Errors
    /// [`PostprocessError`].
    pub fn parse(content: &Value) -> Result<Self, PostprocessError> {
        let list = |key: &str| content.get(key).and_then(Value::as_array);
        let functions = list("postprocessing_fns").ok_or(PostprocessError::Invalid("it has no postprocessing_fns"))?;
        let arguments =
            list("postprocessing_kwargs").ok_or(PostprocessError::Invalid("it has no postprocessing_kwargs"))?;
        if functions.len() != arguments.len() {
            return Err(PostprocessError::Invalid("it has not as many postprocessing_kwargs as postprocessing_fns"));
        }
        functions
            .iter()
            .zip(arguments)
            .map(|(function, kwargs)| labels_of(function, kwargs))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Applies every step to a segmentation.
    pub fn apply(&self, segmentation: &mut Volume<Label>) {
        for labels in &self.0 {
            let lost = all_but_largest(segmentation.voxels(), segmentation.geometry().dims, labels);
            for (label, lost) in segmentation.voxels_mut().iter_mut().zip(&lost) {
                *label = if *lost { BACKGROUND } else { *label };
            }
        }
    }
}

fn labels_of(function: &Value, kwargs: &Value) -> Result<Vec<Label>, PostprocessError> {
    let name = function.as_str().ok_or(PostprocessError::Invalid("a function is not a name"))?;
    if name != KEEP_LARGEST {
        return Err(PostprocessError::Unsupported(name.to_owned()));
    }
    if kwargs.get("background_label").is_some_and(|value| *value != 0) {
        return Err(PostprocessError::Unsupported(format!("{name} with another background_label")));
    }
    let mut labels = Vec::new();
    collect_labels(
        kwargs.get("labels_or_regions").ok_or(PostprocessError::Invalid("labels_or_regions is missing"))?,
        &mut labels,
    )?;
    Ok(labels)
}

/// A label, a list of labels, or a list of regions: the union is the same.
fn collect_labels(value: &Value, labels: &mut Vec<Label>) -> Result<(), PostprocessError> {
    if let Some(items) = value.as_array() {
        return items.iter().try_for_each(|item| collect_labels(item, labels));
    }
    let label = value.as_u64().and_then(|label| Label::try_from(label).ok());
    labels.push(label.ok_or(PostprocessError::Invalid("a label is not a whole number from 0 to 255"))?);
    Ok(())
}

/// Voxels of the labels' union that lie in none of its largest components; voxels touch by faces, edges and corners. Of
/// components of one size all are largest.
fn all_but_largest(segmentation: &[Label], dims: Dims, labels: &[Label]) -> Vec<bool> {
    let mut sizes: Vec<usize> = vec![0];
    let belongs = |at: usize| labels.contains(&segmentation[at]);
    let component_of = components(dims, belongs, |number, _| {
        sizes.resize(number as usize + 1, 0);
        sizes[number as usize] += 1;
    });
    let largest = sizes.iter().copied().max().unwrap_or(0);
    component_of.into_iter().map(|number| number > 0 && sizes[number as usize] < largest).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::geometry::Geometry;

    use super::*;
    use crate::reference;

    fn check(kwargs: Value, before: &[Label], after: &[Label]) {
        let content = json!({"postprocessing_fns": [KEEP_LARGEST], "postprocessing_kwargs": [kwargs]});
        let mut volume =
            Volume::new(Geometry::axis_aligned([before.len(), 1, 1], [1.0; 3]).unwrap(), before.to_vec()).unwrap();
        Postprocessing::parse(&content).unwrap().apply(&mut volume);
        assert_eq!(volume.voxels(), after);
    }

    #[test]
    fn only_the_largest_component_stays() {
        check(json!({"labels_or_regions": 1}), &[1, 1, 0, 1, 0, 2], &[1, 1, 0, 0, 0, 2]);
        check(json!({"labels_or_regions": [[1, 2]]}), &[1, 2, 0, 1, 0, 2], &[1, 2, 0, 0, 0, 0]);
        check(json!({"labels_or_regions": [1, 2]}), &[1, 0, 2, 1, 0, 3], &[0, 0, 2, 1, 0, 3]);
    }

    #[test]
    fn components_of_one_size_all_stay() {
        check(json!({"labels_or_regions": [1]}), &[1, 0, 1, 0, 0, 2], &[1, 0, 1, 0, 0, 2]);
    }

    #[test]
    fn other_functions_are_refused_by_name() {
        let content = json!({"postprocessing_fns": ["smooth"], "postprocessing_kwargs": [{}]});
        assert_eq!(Postprocessing::parse(&content), Err(PostprocessError::Unsupported("smooth".into())));
        assert!(matches!(Postprocessing::parse(&json!({})), Err(PostprocessError::Invalid(_))));
    }

    #[test]
    #[cfg_attr(not(material), ignore = "../shared is not there")]
    fn nnunets_results_are_reproduced() {
        let index = reference::nnunet_index();
        let vector = index["vectors"].as_array().unwrap().iter().find(|v| v["name"] == "keep_largest").unwrap().clone();
        let array = |name: &str| reference::nnunet_array3(vector[name].as_str().unwrap()).mapv(|v| v as Label);
        let before = array("seg");
        let foreground: Vec<Label> = (1..=*before.iter().max().unwrap()).collect();
        for (name, labels) in [("all_fg", foreground), ("only2", vec![2])] {
            let (z, y, x) = before.dim();
            let voxels: Vec<Label> = before.iter().copied().collect();
            let lost = all_but_largest(&voxels, [x, y, z], &labels);
            let after: Vec<Label> =
                voxels.iter().zip(&lost).map(|(label, lost)| if *lost { 0 } else { *label }).collect();
            assert_eq!(after, array(name).iter().copied().collect::<Vec<_>>(), "{name}");
        }
    }
}
