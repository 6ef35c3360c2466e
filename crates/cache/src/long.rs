//! Entries as bytes: the text, a NUL, and the signature. A text is JSON, and so without a NUL; a signature is base64.

use base::Sha512;
use entry::Entry;
use futures_util::TryStreamExt as _;
use store::blobs;

use crate::service::Cache;

/// The longest entry: what is taken in is shorter.
const ENTRY_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Why an entry could not be read from its blob.
#[derive(Debug)]
pub(crate) enum LongError {
    /// It is gone or has rotted, for this reason. Sending it again repairs that.
    Damaged(&'static str),
    /// It could not be read for now.
    Blobs(blobs::Error),
}

impl From<blobs::Error> for LongError {
    fn from(error: blobs::Error) -> Self {
        match error {
            blobs::Error::Damaged { .. } => Self::Damaged("its blob has become shorter"),
            blobs::Error::Gone => Self::Damaged("its blob is not there"),
            error => Self::Blobs(error),
        }
    }
}

impl Cache {
    /// The text and the signature in a blob.
    pub(crate) async fn long_entry(&self, digest: Sha512) -> Result<(String, String), LongError> {
        let blob = self.ground.blobs.open(digest).await?;
        let blob = blob.ok_or(LongError::Damaged("its blob is not there"))?;
        if blob.size() > ENTRY_BYTES_MAX {
            return Err(LongError::Damaged("its blob is too large"));
        }
        let mut bytes = Vec::new();
        let mut chunks = blob.read(0..blob.size());
        while let Some(chunk) = chunks.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        if Sha512::of(&bytes) != digest {
            return Err(LongError::Damaged("its blob has other bytes"));
        }
        from_bytes(bytes).ok_or(LongError::Damaged("its blob is no entry"))
    }
}

/// These bytes.
pub(crate) fn to_bytes(entry: &Entry) -> Vec<u8> {
    [entry.text().as_bytes(), b"\0", entry.signature().as_bytes()].concat()
}

/// The text and the signature.
pub(crate) fn from_bytes(bytes: Vec<u8>) -> Option<(String, String)> {
    let mut text = String::from_utf8(bytes).ok()?;
    let (end, _) = text.char_indices().rfind(|(_, character)| *character == '\0')?;
    let signature = text.split_off(end + 1);
    text.truncate(end);
    Some((text, signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let text = format!("{{\"sha512\": \"{}\", \"n\": \"\\u0000é\"}}", base::Sha512::of(b""));
        for signature in ["", "YQ=="] {
            let entry = Entry::new(text.clone(), signature.to_owned()).unwrap();
            assert_eq!(from_bytes(to_bytes(&entry)), Some((text.clone(), signature.to_owned())));
        }
        assert_eq!(from_bytes(b"{}".to_vec()), None);
        assert_eq!(from_bytes(b"\xff\0".to_vec()), None);
    }
}
