//! Messages that are seen while another page or program is in front: the system's own, and the page's title. They say
//! nothing of whose scan it is.

use js_sys::{Array, Function, Object, Promise, Reflect};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// What the tab is called when nothing is said.
const TITLE: &str = "i3Deep";

/// Asks whether messages may be shown; where they may not, there is still the title.
pub(crate) async fn ask() {
    let Some(constructor) = constructor() else { return };
    let ask = Reflect::get(&constructor, &"requestPermission".into()).and_then(JsCast::dyn_into::<Function>);
    let asked = ask.and_then(|ask| ask.call0(&constructor)).and_then(JsCast::dyn_into::<Promise>);
    if let Ok(asked) = asked {
        // Whatever is answered is asked for again when there is something to say.
        let _ = JsFuture::from(asked).await;
    }
}

/// Says something, until somebody looks at the page.
pub(crate) fn say(text: &str) {
    let Some(document) = web_sys::window().and_then(|window| window.document()) else { return };
    if super::is_visible() && document.has_focus().unwrap_or(true) {
        return;
    }
    document.set_title(&format!("● {text} · {TITLE}"));
    let looked = Closure::once_into_js(move || document.set_title(TITLE));
    let once = Object::new();
    let _ = Reflect::set(&once, &"once".into(), &JsValue::TRUE);
    // A page that cannot listen keeps the title, which is true.
    let _ = listen("focus", &looked, &once);
    if let Some(constructor) = constructor().filter(is_granted) {
        let _ = Reflect::construct(&constructor, &Array::of1(&text.into()));
    }
}

fn listen(event: &str, listener: &JsValue, options: &Object) -> Result<JsValue, JsValue> {
    let global = js_sys::global();
    let listen: Function = Reflect::get(&global, &"addEventListener".into())?.dyn_into()?;
    listen.call3(&global, &event.into(), listener, options)
}

/// Missing outside a secure context.
fn constructor() -> Option<Function> {
    Reflect::get(&js_sys::global(), &"Notification".into()).ok()?.dyn_into().ok()
}

fn is_granted(constructor: &Function) -> bool {
    let permission = Reflect::get(constructor, &"permission".into()).ok();
    permission.and_then(|permission| permission.as_string()).as_deref() == Some("granted")
}
