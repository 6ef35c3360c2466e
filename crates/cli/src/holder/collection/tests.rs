use std::os::unix::fs::{MetadataExt as _, symlink};

use base::{Entropy, Timestamp};
use x509::{CrlTemplate, KeyId, KeySpec, Name, PrivateKey};

use super::super::witness::{certificate, mode, names, openssl, with_extensions};
use super::*;

fn name() -> Name {
    Name::from_common_name("authority").unwrap()
}

fn key() -> PrivateKey {
    PrivateKey::generate(KeySpec::Ed25519).unwrap()
}

fn authority(own: &[u8; 20], signer: Option<&[u8; 20]>) -> Certificate {
    let mut extensions = vec![extension::subject_key_id(KeyId::new(*own))];
    extensions.extend(signer.map(|id| extension::authority_key_id(KeyId::new(*id))));
    with_extensions(&key(), &name(), 0, &Entropy::seeded(1), extensions)
}

fn list(id: [u8; 20], number: u64) -> Crl {
    let template = CrlTemplate {
        issuer: &name(),
        authority_key_id: KeyId::new(id),
        number,
        this_update: Timestamp::from_unix(1_800_000_000),
        next_update: Timestamp::from_unix(1_900_000_000),
        revoked: &[],
    };
    template.sign(&key())
}

fn hex_of(byte: u8) -> String {
    hex::encode(&[byte; 20])
}

#[test]
fn a_file_has_all_of_them_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cas.crt.pem");
    let collection = Collection::at(&path);
    let (a, b) = (authority(&[1; 20], None), authority(&[2; 20], None));
    assert!(!collection.store(&[]).unwrap() && !path.exists());
    let held = collection.load();
    assert!(held.items.is_empty() && held.unreadable.is_empty());
    assert!(collection.store(&[b.clone(), a.clone()]).unwrap());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), b.to_pem() + &a.to_pem());
    let number = path.metadata().unwrap().ino();
    assert!(!collection.store(&[b.clone(), a.clone()]).unwrap());
    assert_eq!(path.metadata().unwrap().ino(), number, "what is the same is not written again");
    // Keys and lists between them are not ours to look at.
    let mixed = a.to_pem() + key().to_pem().expose() + &list([1; 20], 1).to_pem() + &b.to_pem();
    std::fs::write(&path, mixed).unwrap();
    assert_eq!(collection.load().items, [a, b]);
    assert_eq!(names(folder.path()), ["cas.crt.pem"]);
}

#[test]
fn a_folder_has_a_file_for_each() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trusted");
    let authorities = Collection::at(&path);
    let lists = Collection::at(&path);
    // One that another one signed is called after that one's key.
    let (a, b) = (authority(&[0xa1; 20], None), authority(&[2; 20], Some(&[0xb2; 20])));
    let c = list([0xa1; 20], 1);
    assert!(authorities.store(&[a.clone(), b.clone()]).unwrap());
    assert!(lists.store(std::slice::from_ref(&c)).unwrap());
    let file = |byte: u8, suffix: &str| format!("{}.{suffix}.pem", hex_of(byte));
    assert_eq!(names(&path), [file(0xa1, "ca"), file(0xa1, "crl"), file(0xb2, "ca")]);
    assert_eq!((authorities.load().items, lists.load().items), (vec![a.clone(), b.clone()], vec![c]));
    // As the umask of whoever runs this has it.
    std::fs::create_dir(folder.path().join("plain")).unwrap();
    assert_eq!(mode(&path), mode(&folder.path().join("plain")));

    // What is there of ours is removed, whatever else is there is not.
    let at = |name: &str| path.join(name);
    std::fs::write(folder.path().join("target"), "").unwrap();
    std::fs::write(at("old.ca.pem"), "").unwrap();
    std::fs::write(at("README"), "").unwrap();
    std::fs::write(at(".x.ca.pem.provost-next"), "half of one").unwrap();
    std::fs::create_dir(at("folder.ca.pem")).unwrap();
    symlink("../target", at("link.ca.pem")).unwrap();
    symlink("nothing", at("dangling.ca.pem")).unwrap();
    let number = at(&file(0xb2, "ca")).metadata().unwrap().ino();
    assert!(authorities.store(std::slice::from_ref(&b)).unwrap());
    let left = ["README", &file(0xa1, "crl"), &file(0xb2, "ca"), "dangling.ca.pem", "folder.ca.pem"]
        .map(str::to_owned);
    assert_eq!(names(&path), left);
    assert!(folder.path().join("target").exists());
    assert_eq!(at(&file(0xb2, "ca")).metadata().unwrap().ino(), number);
    assert!(!authorities.store(&[b]).unwrap());
}

/// Two with the same identifier are both kept, and the same one twice is one.
#[test]
fn what_somebody_put_into_a_folder_is_found_by_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let (a, b) = (authority(&[1; 20], None), authority(&[2; 20], None));
    std::fs::write(path.join("by-hand.pem"), a.to_pem()).unwrap();
    std::fs::write(path.join("README"), "what is in here").unwrap();
    std::fs::write(path.join("rubbish.ca.pem"), "what is in here").unwrap();
    std::fs::write(path.join("cut.crl.pem"), "-----BEGIN X509 CRL-----\n").unwrap();
    std::fs::write(path.join(".x.ca.pem.provost-next"), b.to_pem()).unwrap();
    let collection = Collection::at(path);
    let held = collection.load();
    assert_eq!(held.items, std::slice::from_ref(&a));
    assert!(held.unreadable.is_empty(), "{:?}", held.unreadable);
    // It stays, and what is cut short may be somebody who is to be trusted.
    assert!(collection.store(std::slice::from_ref(&a)).unwrap());
    assert_eq!(collection.load().items.len(), 2);
    assert!(path.join("README").exists() && !path.join("rubbish.ca.pem").exists());
    // What only has another form is known, and may be somebody as well.
    std::fs::write(path.join("der.ca.pem"), a.der()).unwrap();
    assert_eq!(collection.load().unreadable.len(), 1);
    std::fs::remove_file(path.join("der.ca.pem")).unwrap();
    std::fs::write(path.join("by-hand.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    let held: Held<Certificate> = collection.load();
    assert_eq!((held.items, held.unreadable.len()), (vec![a], 1));
}

#[test]
fn what_stands_beside_them_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.pem");
    let (a, b) = (authority(&[1; 20], None), authority(&[2; 20], None));
    let collection = Collection::at(&path);
    let mixed = format!("as it was written\n{}{}", a.to_pem(), key().to_pem().expose());
    std::fs::write(&path, &mixed).unwrap();
    // They are the same, so nothing is to be done.
    assert!(!collection.store(std::slice::from_ref(&a)).unwrap());
    let refused = collection.store(&[a.clone(), b]).unwrap_err();
    assert!(matches!(refused, WriteError::Precious { what: "a private key", .. }), "{refused}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), mixed);
    for (text, is_lost) in [("no PEM", false), ("", true), ("-----BEGIN X509 CRL-----\n", true)] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(collection.store(std::slice::from_ref(&a)).is_ok(), is_lost, "{text}");
    }
}

#[test]
fn none_takes_the_place_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let collection = Collection::at(folder.path());
    let (a, b) = (authority(&[1; 20], None), authority(&[1; 20], None));
    assert!(collection.store(&[a.clone(), b.clone(), a.clone()]).unwrap());
    assert_eq!(names(folder.path()), [format!("{}-2.ca.pem", hex_of(1)), format!("{}.ca.pem", hex_of(1))]);
    assert_eq!(collection.load().items, [b, a]);
    // One that says nothing of its key is called after it all the same.
    let key = key();
    let bare = certificate(&key, &name(), 0, &Entropy::seeded(1));
    assert_eq!(bare.authority(), key.public().key_id().as_bytes());
    assert_eq!(list([7; 20], 1).authority(), [7; 20]);
}

#[test]
fn what_cannot_be_read_is_told_and_hides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let a = authority(&[1; 20], None);
    let broken = x509::pem::write("CERTIFICATE", b"0\x03\x02\x01\x00");
    std::fs::write(at("file.pem"), a.to_pem() + &broken + &a.to_pem()).unwrap();
    let held = Collection::<Certificate>::at(&at("file.pem")).load();
    assert_eq!((held.items.len(), held.unreadable.len()), (2, 1));
    assert!(matches!(&held.unreadable[0], PemFileError::Certificate { number: 2, .. }));
    std::fs::remove_file(at("file.pem")).unwrap();
    std::fs::write(at("1.ca.pem"), &a.to_pem()[..50]).unwrap();
    std::fs::write(at("2.ca.pem"), a.to_pem()).unwrap();
    let held = Collection::<Certificate>::at(folder.path()).load();
    assert_eq!((held.items.len(), held.unreadable.len()), (1, 1));
    assert!(matches!(&held.unreadable[0], PemFileError::Broken { path, .. } if *path == at("1.ca.pem")));
    // One of version 1 is nobody's authority.
    openssl(folder.path(), "req -x509 -new -newkey ed25519 -nodes -keyout k -subj /CN=a -out v3");
    openssl(folder.path(), "req -new -key k -subj /CN=a -out r");
    openssl(folder.path(), "x509 -req -in r -signkey k -out v1.pem");
    assert_eq!(Collection::<Certificate>::at(&at("v1.pem")).load().unreadable.len(), 1);
}

#[test]
fn a_path_is_a_folder_as_python_has_it() {
    let folder = tempfile::tempdir().unwrap();
    for (path, expected) in [
        ("trusted", true),
        ("trusted.pem", false),
        ("trusted.", false),
        (".trusted", true),
        ("..trusted", true),
        (".trusted.pem", false),
        ("trusted.d/", true),
        ("folder.d/trusted", true),
    ] {
        let collection = Collection::<Crl>::at(&folder.path().join(path));
        assert_eq!(collection.is_folder(), expected, "{path}");
    }
    let there = folder.path().join("there.pem");
    std::fs::create_dir(&there).unwrap();
    assert!(Collection::<Crl>::at(&there).is_folder());
    std::fs::write(folder.path().join("file"), "").unwrap();
    assert!(!Collection::<Crl>::at(&folder.path().join("file")).is_folder());
}
