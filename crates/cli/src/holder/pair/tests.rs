use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use base::Entropy;
use x509::{KeySpec, Name};

use super::super::witness::{certificate, mode, names};
use super::*;

fn key() -> PrivateKey {
    PrivateKey::generate(KeySpec::Ed25519).unwrap()
}

fn made(key: &PrivateKey, days: i64) -> Certificate {
    certificate(key, &Name::from_common_name("holder").unwrap(), days, &Entropy::seeded(1))
}

fn pem(key: &PrivateKey) -> String {
    key.to_pem().expose().clone()
}

/// A pair of files in `folder`, and what is in them.
fn pair(folder: &Path, certificate: &str, key: &str) -> Pair {
    let pair = Pair { certificate: folder.join("crt"), key: folder.join("key") };
    std::fs::write(&pair.certificate, certificate).unwrap();
    std::fs::write(&pair.key, key).unwrap();
    pair
}

#[test]
fn there_is_one_certificate_and_its_key() {
    let (mine, other) = (key(), key());
    let (own, foreign) = (made(&mine, 0).to_pem(), made(&other, 0).to_pem());
    let (mine, other) = (pem(&mine), pem(&other));
    let folder = tempfile::tempdir().unwrap();
    for (certificate, key, expected) in [
        (own.clone(), mine.clone(), Ok("key")),
        // The key's file is not even looked at.
        (own.clone() + &mine, "no PEM".to_owned(), Ok("crt")),
        (mine.clone() + &own, other.clone(), Ok("crt")),
        (own.clone() + &other, mine.clone(), Err((1, 1))),
        (own.clone(), other.clone(), Err((1, 1))),
        (own.clone(), mine.clone() + &other, Err((1, 2))),
        (own.clone(), mine.clone() + &mine, Err((1, 2))),
        (own.clone(), foreign.clone(), Err((1, 0))),
        (own.clone() + &foreign, mine.clone(), Err((2, 1))),
        (String::new(), mine.clone(), Err((0, 1))),
    ] {
        let pair = pair(folder.path(), &certificate, &key);
        let found = match pair.load() {
            Ok(loaded) => {
                assert!(loaded.certificate.to_pem() == own && pem(&loaded.key) == mine);
                Ok(loaded.key_path.file_name().unwrap().to_str().unwrap().to_owned())
            }
            Err(PairError::NotOnePair(error)) => Err((error.certificates, error.keys)),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(found, expected.map(str::to_owned), "{certificate}{key}");
    }
}

#[test]
fn modes_and_links_stay_and_new_keys_are_their_owners() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (old, new) = (key(), key());
    let pair = Pair { certificate: at("crt"), key: at("key") };
    std::fs::create_dir(at("inner")).unwrap();
    symlink("inner/key.1", &pair.key).unwrap();
    pair.replace(Some(&old), &made(&old, 0), PrivateKey::to_pem).unwrap();
    std::fs::write(at("plain"), "").unwrap();
    assert_eq!((mode(&at("inner/key.1")), mode(&pair.certificate)), (0o600, mode(&at("plain"))));
    std::fs::set_permissions(&pair.key, Permissions::from_mode(0o640)).unwrap();
    std::fs::set_permissions(&pair.certificate, Permissions::from_mode(0o604)).unwrap();
    pair.replace(Some(&new), &made(&new, 1), PrivateKey::to_pem).unwrap();
    assert!(pair.key.is_symlink());
    assert_eq!((mode(&pair.key), mode(&pair.certificate)), (0o640, 0o604));
    assert!(pair.load().unwrap().key.public() == new.public());
    assert_eq!(names(folder.path()), ["crt", "inner", "key", "plain"]);
    assert_eq!(names(&at("inner")), ["key.1"]);
    // Two paths to one file are one file.
    symlink("../one", at("inner/link")).unwrap();
    let pair = Pair { certificate: at("one"), key: at("inner/link") };
    pair.replace(Some(&new), &made(&new, 1), PrivateKey::to_pem).unwrap();
    assert_eq!(std::fs::read_to_string(at("one")).unwrap(), pem(&new) + &made(&new, 1).to_pem());
    assert_eq!(mode(&at("one")), 0o600);
}

#[test]
fn a_key_in_the_certificates_file_is_the_one_that_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (key(), key());
    let pair = pair(folder.path(), &(made(&old, 0).to_pem() + &pem(&old)), "anything");
    pair.replace(Some(&new), &made(&new, 1), PrivateKey::to_pem).unwrap();
    assert_eq!(std::fs::read_to_string(&pair.certificate).unwrap(), pem(&new) + &made(&new, 1).to_pem());
    pair.replace(None, &made(&new, 2), PrivateKey::to_pem).unwrap();
    assert_eq!(std::fs::read_to_string(&pair.certificate).unwrap(), pem(&new) + &made(&new, 2).to_pem());
    assert_eq!(std::fs::read_to_string(&pair.key).unwrap(), "anything");
}

#[test]
fn a_certificate_for_another_key_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (key(), key());
    let (certificate, key) = (made(&old, 0).to_pem(), pem(&old));
    let pair = pair(folder.path(), &certificate, &key);
    for (with, of) in [(None, &new), (Some(&new), &old)] {
        assert!(matches!(pair.replace(with, &made(of, 1), PrivateKey::to_pem), Err(PairError::Foreign(_))));
    }
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert_eq!((read(&pair.certificate), read(&pair.key)), (certificate, key));
    assert_eq!(names(folder.path()), ["crt", "key"]);
}

/// Somebody was killed, and later a program that knows nothing of it renewed the pair: that one stays.
#[test]
fn what_was_left_long_ago_is_not_finished() {
    let folder = tempfile::tempdir().unwrap();
    let (yesterday, today) = (key(), key());
    let next = |name: &str| folder.path().join(format!(".{name}.provost-next"));
    for (days, expected) in [(1, Recovered::Removed), (3, Recovered::Finished)] {
        let pair = pair(folder.path(), &made(&today, 2).to_pem(), &pem(&today));
        std::fs::write(next("crt"), made(&yesterday, days).to_pem()).unwrap();
        std::fs::write(next("key"), pem(&yesterday)).unwrap();
        assert_eq!(pair.recover().unwrap(), expected);
        let left = if expected == Recovered::Removed { &today } else { &yesterday };
        assert!(pair.load().unwrap().key.public() == left.public());
        assert_eq!(names(folder.path()), ["crt", "key"]);
    }
}

/// Nobody can tell whether what was left is all there is of the key: it stays until somebody can.
#[test]
fn what_cannot_be_told_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let key = key();
    let pair = pair(folder.path(), "", "");
    std::fs::remove_file(&pair.key).unwrap();
    std::fs::create_dir(&pair.key).unwrap();
    let next = folder.path().join(".crt.provost-next");
    std::fs::write(&next, made(&key, 0).to_pem()).unwrap();
    assert!(matches!(pair.recover(), Err(PairError::File(PemFileError::Irregular(_)))));
    assert!(next.exists());
    let absent = Pair::in_one(&folder.path().join("absent/f"));
    assert_eq!(absent.recover().unwrap(), Recovered::Nothing);
    assert!(matches!(absent.load(), Err(PairError::File(PemFileError::Missing(_)))));
}

/// After a power cut either name may be there without the other, as nothing was waited for between them.
#[test]
fn either_of_both_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let next = |name: &str| folder.path().join(format!(".{name}.provost-next"));
    let (old, new) = (key(), key());
    let [old_certificate, new_certificate] = [made(&old, 0), made(&new, 1)].map(|one| one.to_pem());
    for (certificate, key, left, bytes) in [
        (&old_certificate, &new, "crt", new_certificate.as_str()),
        (&new_certificate, &old, "key", pem(&new).as_str()),
    ] {
        let pair = pair(folder.path(), certificate, &pem(key));
        std::fs::write(next(left), bytes).unwrap();
        assert!(pair.load().is_err() && pair.has_remains(), "{left}");
        assert_eq!(pair.recover().unwrap(), Recovered::Finished, "{left}");
        assert!(pair.load().unwrap().key.public() == new.public(), "{left}");
        assert_eq!(names(folder.path()), ["crt", "key"]);
        assert!(!pair.has_remains());
    }
}
