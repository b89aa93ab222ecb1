//! A blob on its way out: read from its file a piece at a time, so that a reader who takes long takes no memory.

use bytes::Bytes;
use futures_util::{Stream, stream};
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::{Blobs, Digest, StoreError};

/// How much of a blob is in memory.
const PIECE_BYTES: usize = 64 << 10;

impl Blobs {
    /// A blob's size in bytes, and its bytes a piece at a time. The last piece comes only if they all together are what
    /// the name says, so that nobody takes a damaged blob for a whole one.
    ///
    /// # Errors
    /// [`StoreError::Files`]; the stream ends in [`StoreError::Damaged`].
    pub async fn stream(
        &self,
        digest: &Digest,
    ) -> Result<(u64, impl Stream<Item = Result<Bytes, StoreError>> + use<>), StoreError> {
        let file = File::open(self.path(digest)).await?;
        let size = file.metadata().await?.len();
        let reading = Reading { file, left: size, hasher: Sha256::new(), digest: digest.clone() };
        Ok((size, stream::try_unfold(reading, Reading::piece)))
    }
}

struct Reading {
    file: File,
    left: u64,
    hasher: Sha256,
    digest: Digest,
}

impl Reading {
    async fn piece(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut piece = vec![0; usize::try_from(self.left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES)];
        self.file.read_exact(&mut piece).await?;
        self.hasher.update(&piece);
        self.left -= piece.len() as u64;
        if self.left == 0 && hex(&self.hasher.finalize_reset()) != self.digest.as_str() {
            return Err(StoreError::Damaged(self.digest));
        }
        Ok(Some((piece.into(), self)))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
