//! Signs what was changed after it had been signed, so that it is looked at all the way.

use std::sync::LazyLock;

use x509::PrivateKey;

/// The key of most seeds, Ed25519: quick, and always the same signature.
pub(crate) static KEY: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::from_pem(include_str!("../seeds/key.pem")).expect("the key of the seeds"));

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// The same with its first part signed by [`KEY`]: `SEQUENCE { to be signed, algorithm, signature }`.
pub(crate) fn resign(der: &[u8]) -> Option<Vec<u8>> {
    let (tag, content, _) = split(der)?;
    let (_, _, rest) = split(content)?;
    let to_be_signed = &content[..content.len() - rest.len()];
    let signature = [&[0][..], &KEY.sign(to_be_signed)].concat();
    let parts = [to_be_signed, KEY.signature_algorithm(), &element(BIT_STRING, &signature)].concat();
    (tag == SEQUENCE).then(|| element(SEQUENCE, &parts))
}

/// The first element: its tag, what is in it, and what follows it.
pub(crate) fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// An element in DER.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let digits = &length[length.iter().take_while(|digit| **digit == 0).count()..];
    let header = match content.len() {
        short @ 0..=0x7f => vec![tag, short as u8],
        _ => [&[tag, 0x80 | digits.len() as u8], digits].concat(),
    };
    [&header, content].concat()
}
