//! `Seal`: secrets as the catalog's log holds them, encrypted under a key of the data directory. It must not know what
//! secrets are for.
//!
//! AES-256-GCM with a random nonce of 12 bytes before the ciphertext, in base64. The key is 32 random bytes in hexadecimal
//! in `secrets.key`, readable by its owner alone: a copy of the log without it tells nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use thalweg_core::{Error, Result, Secret, SqlError};
use thalweg_store::{DataDirectory, make_note, read_note};

/// What a ciphertext is good for: nothing but a secret of this catalog.
const PURPOSE: &[u8] = b"thalweg secret 1";
/// Files of the data directory.
pub(super) const KEY: &str = "secrets.key";
pub(super) const CLUSTER: &str = "cluster";

/// Seals and opens secrets.
pub(crate) struct Seal {
    key: LessSafeKey,
    random: SystemRandom,
}

impl Seal {
    /// With the key of `data`, made if need be; without a directory, a key that is gone with the process.
    ///
    /// # Errors
    /// The file cannot be read or made, or holds no key.
    pub fn open(data: Option<&DataDirectory>) -> Result<Self> {
        let digits = kept(data, KEY, random_digits::<32>)?;
        let bytes = key_of(&digits).ok_or_else(|| damaged(data, KEY, 64))?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| Error::Internal("a key of 32 bytes".to_owned()))?;
        Ok(Self { key: LessSafeKey::new(key), random: SystemRandom::new() })
    }

    /// `secret` for the log.
    pub fn seal(&self, secret: &Secret) -> std::result::Result<String, SqlError> {
        let failed = || Error::Internal("a secret cannot be sealed".to_owned());
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| failed())?;
        let mut text = secret.reveal().as_bytes().to_vec();
        let aad = Aad::from(PURPOSE);
        self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text).map_err(|_| failed())?;
        Ok(STANDARD.encode([&nonce[..], &text].concat()))
    }

    /// What was sealed.
    ///
    /// # Errors
    /// It was sealed under another key, or is damaged.
    pub fn open_sealed(&self, sealed: &str) -> std::result::Result<Secret, SqlError> {
        let failed = || {
            SqlError::from(Error::invalid_with_hint(
                "a secret was sealed under another key, or is damaged",
                "Put the secrets.key of this data directory back, or drop the secret and create it again.",
            ))
        };
        let bytes = STANDARD.decode(sealed).map_err(|_| failed())?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(failed)?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let clear = self.key.open_in_place(nonce, Aad::from(PURPOSE), &mut text).map_err(|_| failed())?;
        String::from_utf8(clear.to_vec()).map(Secret::new).map_err(|_| failed())
    }
}

fn key_of(digits: &[u8]) -> Option<[u8; 32]> {
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|p| u8::from_str_radix(p, 16).ok());
    let bytes: Option<Vec<u8>> = digits.trim_ascii().chunks(2).map(byte).collect();
    bytes.and_then(|b| <[u8; 32]>::try_from(b).ok())
}

fn random_digits<const BYTES: usize>() -> Result<Vec<u8>> {
    let mut bytes = [0; BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Internal("no random bytes".to_owned()))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect::<String>().into_bytes())
}

/// What `file` of `data` holds; without a directory, what `make` gives.
fn kept(data: Option<&DataDirectory>, file: &str, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    match data {
        Some(data) => data.once(file, make),
        None => make(),
    }
}

/// The file that is not what it should be.
fn damaged(data: Option<&DataDirectory>, file: &str, digits: usize) -> Error {
    let path = data.map_or_else(|| file.into(), |data| data.file(file));
    Error::invalid_with_hint(
        format!("{}: {digits} hexadecimal digits are expected", path.display()),
        "Put the file back from a copy of the data directory.",
    )
}

/// The name that a data directory has for ever, made when it is first asked for: 16 hexadecimal digits.
///
/// # Errors
/// The file cannot be read or made, is damaged, or is missing in a directory that is not new.
pub(super) fn cluster_name(data: Option<&DataDirectory>, is_new: bool) -> Result<String> {
    let name = || random_digits::<8>().map(|digits| String::from_utf8_lossy(&digits).into_owned());
    let Some(data) = data else { return name() };
    // An older version wrote the digits alone.
    let old = std::fs::read_to_string(data.file(CLUSTER)).ok();
    if let Some(old) = old.filter(|old| old.len() == 16 && old.bytes().all(|b| b.is_ascii_hexdigit())) {
        return Ok(old);
    }
    match read_note(data.disk(), CLUSTER)? {
        Some(name) => Ok(name),
        None if is_new => name().and_then(|name| make_note(data.disk(), CLUSTER, &name).map(|()| name)),
        // Under another name all would be delivered a second time.
        None => Err(damaged(Some(data), CLUSTER, 16)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_under_its_key_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = DataDirectory::open(folder.path()).expect("it opens");
        let sealed = Seal::open(Some(&data)).expect("a key").seal(&Secret::new("canary")).expect("sealed");
        assert!(!sealed.contains("canary"));
        let again = Seal::open(Some(&data)).expect("the same key");
        assert_eq!(again.open_sealed(&sealed).expect("opens").reveal(), "canary");
        let other = Seal::open(None).expect("another key");
        assert!(other.open_sealed(&sealed).expect_err("another key").to_string().contains("another key"));
        let mut damaged = sealed.into_bytes();
        damaged[20] = if damaged[20] == b'A' { b'B' } else { b'A' };
        assert!(again.open_sealed(&String::from_utf8(damaged).expect("text")).is_err());
        std::fs::write(data.file(KEY), "").expect("written");
        assert!(Seal::open(Some(&data)).is_err_and(|e| e.to_string().contains("secrets.key")));
    }

    #[test]
    fn a_directory_has_one_name_for_ever() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = DataDirectory::open(folder.path()).expect("it opens");
        let name = |is_new| cluster_name(Some(&data), is_new);
        assert!(name(false).is_err_and(|e| e.to_string().contains("cluster")), "it is lost");
        let first = name(true).expect("a name");
        assert_eq!(name(false).expect("a name"), first);
        assert_ne!(cluster_name(None, true).expect("a name"), first);
        std::fs::write(data.file(CLUSTER), "").expect("written");
        assert!(name(false).is_err_and(|e| e.to_string().contains("cluster")), "it is damaged");
    }
}
