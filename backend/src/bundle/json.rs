//! JSON as nnU-Net writes it.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::PlansError;
use super::text::text_of;

/// Reads a JSON file.
///
/// # Errors
/// [`PlansError::Read`] or [`PlansError::Invalid`].
pub fn read_json<T: DeserializeOwned>(file: &Path) -> Result<T, PlansError> {
    let bytes = std::fs::read(file).map_err(|source| PlansError::Read { file: file.to_owned(), source })?;
    let invalid = |reason: String| PlansError::Invalid { file: file.to_owned(), reason };
    let text = text_of(&bytes).ok_or_else(|| invalid("it is no text in UTF-8".to_owned()))?;
    serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))
}

/// A value as a type, or the reason why it is none.
pub(super) fn parse<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// A configuration with what it inherits; the child wins.
pub(super) fn resolve(configurations: &Value, name: &str, depth: usize) -> Result<Map<String, Value>, String> {
    let own = configurations
        .get(name)
        .and_then(Value::as_object)
        .ok_or_else(|| format!("there is no configuration '{name}'"))?;
    let Some(parent) = own.get("inherits_from").and_then(Value::as_str) else {
        return Ok(own.clone());
    };
    if depth > 16 {
        return Err(format!("configuration '{name}' inherits from itself"));
    }
    let mut merged = resolve(configurations, parent, depth + 1)?;
    merged.extend(own.clone());
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn configurations_inherit_and_the_child_wins() {
        let all = json!({"a": {"x": 1, "y": 2}, "b": {"inherits_from": "a", "y": 3}, "c": {"inherits_from": "c"}});
        let resolved = resolve(&all, "b", 0).unwrap();
        assert_eq!((resolved["x"].clone(), resolved["y"].clone()), (json!(1), json!(3)));
        assert!(resolve(&all, "c", 0).unwrap_err().contains("inherits from itself"));
        assert!(resolve(&all, "d", 0).unwrap_err().contains("no configuration 'd'"));
    }
}
