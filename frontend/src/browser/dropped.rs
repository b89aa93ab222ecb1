//! Files that are dropped or picked, folders and all that is in them too, with their paths.

use js_sys::{Array, Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    DataTransfer, File, FileList, FileSystemDirectoryEntry, FileSystemDirectoryReader, FileSystemEntry,
    FileSystemFileEntry,
};

/// A file with its path from what was dropped or picked.
pub(crate) type Found = (String, File);

/// Files that were picked.
pub(crate) fn picked(list: Option<FileList>) -> Vec<Found> {
    let files = list.into_iter().flat_map(|list| (0..list.length()).filter_map(move |at| list.get(at)));
    files.map(|file| (path(&file), file)).collect()
}

/// A file of a folder that was picked has a path; any other is known by its name alone.
fn path(file: &File) -> String {
    let path = Reflect::get(file, &"webkitRelativePath".into()).ok().and_then(|path| path.as_string());
    path.filter(|path| !path.is_empty()).unwrap_or_else(|| file.name())
}

/// What was dropped: to be called before the event is over, after which the browser forgets it.
pub(crate) struct Dropped {
    files: Vec<Found>,
    folders: Vec<FileSystemEntry>,
}

impl Dropped {
    /// Takes it from the event.
    pub(crate) fn of(data: Option<DataTransfer>) -> Self {
        let Some(data) = data else { return Self { files: Vec::new(), folders: Vec::new() } };
        let items = data.items();
        let entries = (0..items.length()).filter_map(|at| items.get(at)?.webkit_get_as_entry().ok().flatten());
        let folders: Vec<FileSystemEntry> = entries.filter(FileSystemEntry::is_directory).collect();
        // A folder stands among the files as one that cannot be read.
        let is_folder = |name: &str| folders.iter().any(|folder| folder.name() == name);
        let files = picked(data.files()).into_iter().filter(|(name, _)| !is_folder(name)).collect();
        Self { files, folders }
    }

    /// All files, those of folders too. What cannot be read is left out.
    pub(crate) async fn files(self) -> Vec<Found> {
        let (mut files, mut waiting) = (self.files, self.folders);
        while let Some(entry) = waiting.pop() {
            if entry.is_directory() {
                waiting.extend(entries_of(entry.unchecked_into::<FileSystemDirectoryEntry>().create_reader()).await);
            } else if let Some(file) = file_of(entry.unchecked_ref()).await {
                files.push((entry.full_path().trim_start_matches('/').to_owned(), file));
            }
        }
        files
    }
}

/// A browser tells of a hundred entries at a time, and of none at the end.
async fn entries_of(reader: FileSystemDirectoryReader) -> Vec<FileSystemEntry> {
    let mut all = Vec::new();
    loop {
        let asked = |resolve: Function, reject: Function| {
            if reader.read_entries_with_callback_and_callback(&resolve, &reject).is_err() {
                // Whoever waits learns that there is nothing.
                let _ = reject.call0(&JsValue::NULL);
            }
        };
        let answer = JsFuture::from(Promise::new(&mut { asked })).await;
        let entries: Array = answer.map(JsCast::unchecked_into).unwrap_or_default();
        if entries.length() == 0 {
            return all;
        }
        all.extend(entries.iter().map(JsCast::unchecked_into::<FileSystemEntry>));
    }
}

async fn file_of(entry: &FileSystemFileEntry) -> Option<File> {
    let asked = |resolve: Function, reject: Function| {
        entry.file_with_callback_and_callback(&resolve, &reject);
    };
    JsFuture::from(Promise::new(&mut { asked })).await.ok().map(JsCast::unchecked_into)
}
