//! Secrets on their way from host to host, encrypted to the receiver's key (age, X25519).

use age::secrecy::ExposeSecret;
use age::x25519::{Identity, Recipient};

use crate::ports::LedgerStore;

/// Why a secret could not be sealed or opened. Never names the secret.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key file could not be read or made.
    #[error("cannot keep this host's sealing key")]
    Disk(#[source] std::io::Error),
    /// The key file holds something else.
    #[error("this host's sealing key is damaged: {0}")]
    Key(&'static str),
    /// The receiver's key is none.
    #[error("the receiver's sealing key is not valid: {0}")]
    Recipient(&'static str),
    /// Encryption failed.
    #[error("cannot encrypt")]
    Encrypt(#[source] age::EncryptError),
    /// It was not sealed for this host, or was changed on its way.
    #[error("cannot decrypt what was sealed for this host")]
    Decrypt(#[source] age::DecryptError),
}

/// This host's key.
pub struct SealingKey(Identity);

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealingKey({})", self.public())
    }
}

impl SealingKey {
    /// Reads the key, or makes and keeps one when there is none yet.
    pub fn open(store: &dyn LedgerStore) -> Result<Self, SealError> {
        if let Some(bytes) = store.load().map_err(SealError::Disk)? {
            let text = String::from_utf8_lossy(&bytes);
            return text.trim().parse().map(Self).map_err(SealError::Key);
        }
        let key = Identity::generate();
        store.save(key.to_string().expose_secret().as_bytes()).map_err(SealError::Disk)?;
        Ok(Self(key))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> String {
        self.0.to_public().to_string()
    }

    /// Opens what was sealed for this host.
    pub fn open_sealed(&self, armoured: &str) -> Result<Vec<u8>, SealError> {
        age::decrypt(&self.0, armoured.as_bytes()).map_err(SealError::Decrypt)
    }
}

/// Seals bytes for the owner of a public key.
pub fn seal(recipient: &str, secret: &[u8]) -> Result<String, SealError> {
    let recipient: Recipient = recipient.parse().map_err(SealError::Recipient)?;
    age::encrypt_and_armor(&recipient, secret).map_err(SealError::Encrypt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::MemoryStore;

    #[test]
    fn what_is_sealed_for_a_host_is_opened_by_that_host_alone() {
        let (own, other) = (MemoryStore::default(), MemoryStore::default());
        let key = SealingKey::open(&own).unwrap();
        let sealed = seal(&key.public(), b"authkey").unwrap();
        assert_eq!(SealingKey::open(&own).unwrap().open_sealed(&sealed).unwrap(), b"authkey");
        assert!(SealingKey::open(&other).unwrap().open_sealed(&sealed).is_err());
    }
}
