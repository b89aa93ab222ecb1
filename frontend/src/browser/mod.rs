//! The browser's own services, of which any may be forbidden by a policy, missing outside a secure context, or full:
//! storage, locks, messages between tabs and to whoever looks at something else. Knows nothing of cases.

pub(crate) mod channel;
pub(crate) mod dropped;
pub(crate) mod locks;
pub(crate) mod message;
pub(crate) mod storage;

use wasm_bindgen::{JsCast, JsValue};

/// The name of a thrown or rejected error, such as `SecurityError`.
fn error_name(error: &JsValue) -> String {
    let name = js_sys::Reflect::get(error, &"name".into()).ok().and_then(|name| name.as_string());
    name.unwrap_or_else(|| "unknown error".into())
}

/// A property that is an object.
fn property(of: &JsValue, name: &str) -> Option<JsValue> {
    js_sys::Reflect::get(of, &name.into()).ok().filter(JsValue::is_object)
}

/// A word that no other page has.
pub(crate) fn random_word() -> String {
    let half = || format!("{:08x}", (js_sys::Math::random() * f64::from(u32::MAX)) as u32);
    format!("{}{}", half(), half())
}

/// Whether the page can be seen.
pub(crate) fn is_visible() -> bool {
    let document = web_sys::window().and_then(|window| window.document());
    let state = document.and_then(|document| js_sys::Reflect::get(&document, &"visibilityState".into()).ok());
    state.and_then(|state| state.as_string()).as_deref() == Some("visible")
}

fn navigator() -> Option<JsValue> {
    web_sys::window().map(|window| window.navigator().unchecked_into())
}
