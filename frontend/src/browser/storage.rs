//! Where a page can keep things. The quick areas are there when the call returns and reach the disk seconds later: they
//! outlive their tab, not a killed browser. Records are on the disk when they say so (IndexedDB, `durability:
//! "strict"`, <https://w3c.github.io/IndexedDB/#transaction-durability-hint>).

use js_sys::{Array, Function, Object, Promise, Reflect};
use thiserror::Error;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{IdbDatabase, IdbRequest, IdbTransaction, Storage};

use super::{error_name, navigator, property};

/// Why something is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum StorageError {
    /// A policy, a setting or a private window.
    #[error("this browser's storage is blocked (by a policy, its settings, or a private window)")]
    Blocked,
    /// No room.
    #[error("this browser's storage is full")]
    Full,
    /// Anything else, by the name that the browser gives it.
    #[error("this browser's storage failed ({0})")]
    Failed(String),
}

impl From<JsValue> for StorageError {
    fn from(error: JsValue) -> Self {
        match error_name(&error).as_str() {
            "SecurityError" | "InvalidAccessError" | "NotAllowedError" => StorageError::Blocked,
            "QuotaExceededError" | "NS_ERROR_DOM_QUOTA_REACHED" => StorageError::Full,
            name => StorageError::Failed(name.into()),
        }
    }
}

/// A storage area whose calls return when they are done.
pub(crate) struct Area(Option<Storage>);

impl Area {
    /// What all tabs share.
    pub(crate) fn shared() -> Self {
        Self(web_sys::window().and_then(|window| window.local_storage().ok().flatten()))
    }

    /// What belongs to this tab, reloads included.
    pub(crate) fn of_tab() -> Self {
        Self(web_sys::window().and_then(|window| window.session_storage().ok().flatten()))
    }

    /// What is kept under a key.
    pub(crate) fn get(&self, key: &str) -> Option<String> {
        self.0.as_ref()?.get_item(key).ok().flatten()
    }

    /// Keeps something; whether that worked.
    pub(crate) fn set(&self, key: &str, value: &str) -> bool {
        self.0.as_ref().is_some_and(|storage| storage.set_item(key, value).is_ok())
    }

    /// Forgets something.
    pub(crate) fn remove(&self, key: &str) {
        // What cannot be removed is a copy of what is known better elsewhere.
        let _ = self.0.as_ref().map(|storage| storage.remove_item(key));
    }

    /// All that is kept under keys that begin so.
    pub(crate) fn all(&self, prefix: &str) -> Vec<(String, String)> {
        let Some(storage) = &self.0 else { return Vec::new() };
        let keys = (0..storage.length().unwrap_or(0)).filter_map(|at| storage.key(at).ok().flatten());
        let keys: Vec<String> = keys.filter(|key| key.starts_with(prefix)).collect();
        keys.into_iter().filter_map(|key| self.get(&key).map(|value| (key, value))).collect()
    }
}

/// Records that are on the disk when they say so.
#[derive(Clone)]
pub(crate) struct Records(IdbDatabase);

const DATABASE: &str = "i3deep";
const STORE: &str = "unsent";

impl Records {
    /// Opens them.
    ///
    /// # Errors
    /// [`StorageError`], also where a browser would keep them in memory only and lets one find out.
    pub(crate) async fn open() -> Result<Self, StorageError> {
        forgets_everything().await?;
        // A refusal comes as `UnknownError` in Chromium; nothing but a refusal keeps a database of this one store from
        // being opened.
        let factory =
            web_sys::window().and_then(|window| window.indexed_db().ok().flatten()).ok_or(StorageError::Blocked)?;
        let request = factory.open_with_u32(DATABASE, 1)?;
        let opened = request.clone();
        let create = Closure::once_into_js(move || {
            let database: Option<IdbDatabase> = opened.result().ok().and_then(|result| result.dyn_into().ok());
            // Without the store every write fails, and is told.
            let _ = database.map(|database| database.create_object_store(STORE));
        });
        request.set_onupgradeneeded(Some(create.unchecked_ref()));
        match answer(&request).await {
            Ok(database) => Ok(Self(database.unchecked_into())),
            Err(StorageError::Full) => Err(StorageError::Full),
            Err(_) => Err(StorageError::Blocked),
        }
    }

    /// Keeps a record, or with nothing forgets it. Asked for when the call returns; on the disk when the future is
    /// ready.
    pub(crate) fn write(
        &self,
        key: &str,
        value: Option<&str>,
    ) -> impl Future<Output = Result<(), StorageError>> + use<> {
        let transaction = self.begin("readwrite").and_then(|transaction| {
            let store = transaction.object_store(STORE)?;
            let key = JsValue::from_str(key);
            match value {
                Some(value) => store.put_with_key(&JsValue::from_str(value), &key)?,
                None => store.delete(&key)?,
            };
            Ok(transaction)
        });
        let landing = transaction.map(finished);
        async move { landing?.await }
    }

    /// All records.
    ///
    /// # Errors
    /// [`StorageError`].
    pub(crate) async fn all(&self) -> Result<Vec<(String, String)>, StorageError> {
        let store = self.begin("readonly")?.object_store(STORE)?;
        let (keys, values) = (store.get_all_keys()?, store.get_all()?);
        let (keys, values) = futures_join(answer(&keys), answer(&values)).await?;
        let text = |value: JsValue| value.as_string().unwrap_or_default();
        Ok(Array::from(&keys).iter().map(text).zip(Array::from(&values).iter().map(text)).collect())
    }

    fn begin(&self, mode: &str) -> Result<IdbTransaction, StorageError> {
        let options = Object::new();
        Reflect::set(&options, &"durability".into(), &"strict".into())?;
        let transaction: Function = Reflect::get(&self.0, &"transaction".into())?.dyn_into()?;
        Ok(transaction.call3(&self.0, &STORE.into(), &mode.into(), &options)?.unchecked_into())
    }
}

/// Firefox and Safari have no private file system in private windows, where all that is kept goes with the window;
/// Chromium does not tell.
async fn forgets_everything() -> Result<(), StorageError> {
    let Some(storage) = navigator().and_then(|navigator| property(&navigator, "storage")) else { return Ok(()) };
    let Ok(ask) = Reflect::get(&storage, &"getDirectory".into()).and_then(JsCast::dyn_into::<Function>) else {
        return Ok(());
    };
    let asked: Promise = ask.call0(&storage)?.unchecked_into();
    match JsFuture::from(asked).await {
        Err(error) if error_name(&error) == "SecurityError" => Err(StorageError::Blocked),
        _ => Ok(()),
    }
}

async fn answer(request: &IdbRequest) -> Result<JsValue, StorageError> {
    let answered = Promise::new(&mut |resolve, reject| {
        request.set_onsuccess(Some(&resolve));
        request.set_onerror(Some(&reject));
    });
    match JsFuture::from(answered).await {
        Ok(_) => Ok(request.result()?),
        Err(_) => Err(property(request, "error").map_or(StorageError::Blocked, Into::into)),
    }
}

/// Ends a transaction at once: a tab that is killed before the browser has seen the end takes the transaction with it.
fn finished(transaction: IdbTransaction) -> impl Future<Output = Result<(), StorageError>> {
    let finished = Promise::new(&mut |resolve, reject| {
        transaction.set_oncomplete(Some(&resolve));
        transaction.set_onabort(Some(&reject));
    });
    if let Ok(commit) = Reflect::get(&transaction, &"commit".into()).and_then(JsCast::dyn_into::<Function>) {
        // A browser that cannot end it early ends it when nothing is asked of it any more.
        let _ = commit.call0(&transaction);
    }
    async move {
        match JsFuture::from(finished).await {
            Ok(_) => Ok(()),
            Err(_) => Err(property(&transaction, "error").map_or(StorageError::Failed("aborted".into()), Into::into)),
        }
    }
}

/// Both answers; the requests are under way already.
async fn futures_join<A, B, E>(
    first: impl Future<Output = Result<A, E>>,
    second: impl Future<Output = Result<B, E>>,
) -> Result<(A, B), E> {
    Ok((first.await?, second.await?))
}
