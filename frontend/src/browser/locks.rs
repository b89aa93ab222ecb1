//! Locks between tabs of one browser (<https://w3c.github.io/web-locks/>): who tells the others what the server says,
//! who works on a case, who lives. A lock ends with its page, however that ends. There are none outside a secure
//! context.

use std::cell::Cell;
use std::rc::Rc;

use js_sys::{Array, Function, Object, Promise, Reflect};
use leptos::task::spawn_local;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::{navigator, property};

/// The browser's locks.
#[derive(Clone)]
pub(crate) struct Locks(JsValue);

/// How a lock is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    /// Until it is free.
    Patiently,
    /// Only if it is free now.
    IfFree,
    /// From whoever holds it.
    ByForce,
}

/// A lock held until this is dropped, or until somebody takes it by force.
pub(crate) struct Held {
    release: Function,
}

/// What asking for a lock comes to.
pub(crate) enum Grant {
    /// It is held.
    Held(Held),
    /// Another page holds it.
    Taken,
    /// This browser lends no locks here: none outside a secure context, none where its storage is blocked.
    Denied,
}

impl Grant {
    /// The lock, if it was granted.
    pub(crate) fn held(self) -> Option<Held> {
        if let Grant::Held(held) = self { Some(held) } else { None }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A function that settles a promise does not fail.
        let _ = self.release.call0(&JsValue::UNDEFINED);
    }
}

impl Locks {
    /// The browser's locks, where it has some.
    pub(crate) fn of_browser() -> Option<Self> {
        property(&navigator()?, "locks").map(Self)
    }

    /// Names of the locks that are held, by any tab.
    pub(crate) async fn held(&self) -> Option<Vec<String>> {
        let ask: Function = Reflect::get(&self.0, &"query".into()).ok()?.dyn_into().ok()?;
        let asked: Promise = ask.call0(&self.0).ok()?.dyn_into().ok()?;
        let held = Reflect::get(&JsFuture::from(asked).await.ok()?, &"held".into()).ok()?;
        let name = |lock: JsValue| Reflect::get(&lock, &"name".into()).ok()?.as_string();
        Some(Array::from(&held).iter().filter_map(name).collect())
    }

    /// Asks for a lock. `on_loss` is called if it is taken away later.
    pub(crate) async fn hold(&self, name: &str, asking: Asking, on_loss: impl FnOnce() + 'static) -> Grant {
        self.try_hold(name, asking, on_loss).await.unwrap_or(Grant::Denied)
    }

    async fn try_hold(&self, name: &str, asking: Asking, on_loss: impl FnOnce() + 'static) -> Option<Grant> {
        let mut release = None;
        let kept = Promise::new(&mut |resolve, _| release = Some(resolve));
        let mut tell = None;
        let granted = Promise::new(&mut |resolve, _| tell = Some(resolve));
        let (release, tell) = (release?, tell?);
        let answer = tell.clone();
        let was_granted = Rc::new(Cell::new(false));
        let learned = was_granted.clone();
        let on_grant = Closure::once_into_js(move |lock: JsValue| -> JsValue {
            let is_granted = lock.is_object();
            learned.set(is_granted);
            // A function that settles a promise does not fail; neither does the one below.
            let _ = answer.call1(&JsValue::UNDEFINED, &is_granted.into());
            if is_granted { kept.into() } else { JsValue::UNDEFINED }
        });
        let end = self.request(name, asking, &on_grant)?;
        spawn_local(async move {
            if JsFuture::from(end).await.is_err() {
                let _ = tell.call1(&JsValue::UNDEFINED, &JsValue::NULL);
                if was_granted.get() {
                    on_loss();
                }
            }
        });
        let is_granted = JsFuture::from(granted).await.ok()?.as_bool()?;
        Some(if is_granted { Grant::Held(Held { release }) } else { Grant::Taken })
    }

    fn request(&self, name: &str, asking: Asking, on_grant: &JsValue) -> Option<Promise> {
        let request: Function = Reflect::get(&self.0, &"request".into()).ok()?.dyn_into().ok()?;
        let options = Object::new();
        let option = match asking {
            Asking::Patiently => None,
            Asking::IfFree => Some("ifAvailable"),
            Asking::ByForce => Some("steal"),
        };
        option
            .into_iter()
            .try_for_each(|option| Reflect::set(&options, &option.into(), &JsValue::TRUE).map(drop))
            .ok()?;
        request.call3(&self.0, &name.into(), &options, on_grant).ok()?.dyn_into().ok()
    }
}
