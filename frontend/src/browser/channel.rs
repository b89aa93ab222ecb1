//! Messages to the other tabs of this browser.

use js_sys::{Array, Function, Reflect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::MessageEvent;

/// A channel that all tabs listen to
/// (<https://html.spec.whatwg.org/multipage/web-messaging.html#broadcasting-to-other-browsing-contexts>), open until
/// dropped. What one says, all others hear, and it does not.
pub(crate) struct Channel {
    channel: JsValue,
    _heard: Closure<dyn Fn(MessageEvent)>,
}

impl Channel {
    /// Opens a channel; nothing where the browser has none.
    pub(crate) fn open<T: DeserializeOwned>(name: &str, on_word: impl Fn(T) + 'static) -> Option<Self> {
        let constructor: Function =
            Reflect::get(&js_sys::global(), &"BroadcastChannel".into()).ok()?.dyn_into().ok()?;
        let channel = Reflect::construct(&constructor, &Array::of1(&name.into())).ok()?;
        let heard = Closure::<dyn Fn(MessageEvent)>::new(move |message: MessageEvent| {
            // Words of another version of this client are not for us.
            let word = message.data().as_string().and_then(|text| serde_json::from_str(&text).ok());
            word.into_iter().for_each(&on_word);
        });
        Reflect::set(&channel, &"onmessage".into(), heard.as_ref()).ok()?;
        Some(Self { channel, _heard: heard })
    }

    /// Says something to the other tabs.
    pub(crate) fn say(&self, word: &impl Serialize) {
        let text = serde_json::to_string(word).unwrap_or_default();
        self.call("postMessage", &[text.into()]);
    }

    /// A channel fails only once it is closed; the others find out by asking the server.
    fn call(&self, method: &str, arguments: &[JsValue]) {
        let method = Reflect::get(&self.channel, &method.into()).and_then(JsCast::dyn_into::<Function>);
        let _ = method.map(|method| method.apply(&self.channel, &arguments.iter().collect()));
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.call("close", &[]);
    }
}
