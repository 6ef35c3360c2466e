//! The one question that every read begins with, put the short way: which revision etcd is at.
//!
//! The JSON gateway is a client of etcd's own gRPC interface, inside the member. For a question of ten bytes that costs
//! more than the answer: with etcd 3.4.23 on one busy machine, one client asking without pauses got 3,300 answers a
//! second through the gateway and 5,900 to 8,000 without it, and the member's processor time for each was 290 µs against
//! 113 to 165. So this question, which only reads and can be put again, is also known in protobuf. Everything else, and
//! every kind of failure, is the gateway's: whatever is not a plain answer counts for nothing here.
//!
//! gRPC's frames: a byte that says whether what follows is compressed, its length in four bytes, and the message.
//! Messages are those of etcd's `rpc.proto`; how they are written is in protobuf's "Encoding".

use bytes::Bytes;

/// Where it is asked.
pub(super) const RANGE: &str = "/etcdserverpb.KV/Range";

/// A `RangeRequest` for the key alone, without its value. It is answered by a majority, as `serializable` is not set.
pub(super) fn range(key: &[u8]) -> Bytes {
    const KEY: u8 = 1 << 3 | BYTES;
    const KEYS_ONLY: u8 = 8 << 3 | NUMBER;
    let mut message = vec![KEY];
    let mut length = key.len();
    while length >= 0x80 {
        message.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    message.push(length as u8);
    message.extend_from_slice(key);
    message.extend_from_slice(&[KEYS_ONLY, 1]);
    let bytes = u32::try_from(message.len()).expect("a key has a kilobyte at most");
    [&[0][..], &bytes.to_be_bytes(), &message].concat().into()
}

/// The revision in the header of a `RangeResponse`, if that is what it is.
pub(super) fn revision(answer: &[u8]) -> Option<u64> {
    const HEADER: u64 = 1;
    const REVISION: u64 = 3;
    let (is_compressed, rest) = answer.split_first()?;
    let (bytes, mut message) = rest.split_first_chunk::<4>()?;
    if *is_compressed != 0 || usize::try_from(u32::from_be_bytes(*bytes)) != Ok(message.len()) {
        return None;
    }
    while !message.is_empty() {
        let (HEADER, Value::Bytes(mut header)) = field(&mut message)? else { continue };
        while !header.is_empty() {
            if let (REVISION, Value::Number(revision)) = field(&mut header)? {
                return Some(revision);
            }
        }
    }
    None
}

const NUMBER: u8 = 0;
const BYTES: u8 = 2;

enum Value<'m> {
    Number(u64),
    Bytes(&'m [u8]),
}

/// Takes the next field off the front: its number, and what it says.
fn field<'m>(message: &mut &'m [u8]) -> Option<(u64, Value<'m>)> {
    let tag = number(message)?;
    let bytes = match (tag & 7) as u8 {
        NUMBER => return Some((tag >> 3, Value::Number(number(message)?))),
        BYTES => usize::try_from(number(message)?).ok()?,
        1 => 8,
        5 => 4,
        _ => return None,
    };
    let (value, rest) = message.split_at_checked(bytes)?;
    *message = rest;
    Some((tag >> 3, Value::Bytes(value)))
}

/// Takes a number off the front: seven bits in each byte, the lowest first.
fn number(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, rest) = message.split_first()?;
        *message = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As etcd's own client writes it.
    #[test]
    fn the_question_is_one_of_etcds() {
        assert_eq!(range(b"/").as_ref(), b"\0\0\0\0\x05\x0a\x01/\x40\x01");
        let long = range(&[b'a'; 300]);
        assert_eq!(long[..8], *b"\0\0\0\x01\x31\x0a\xac\x02");
        assert_eq!(long.len(), 5 + 0x131);
    }

    #[test]
    fn the_revision_is_found_in_the_header() {
        let check = |message: &[u8], expected: Option<u64>| {
            let answer = [&[0, 0, 0, 0][..], &[message.len() as u8], message].concat();
            assert_eq!(revision(&answer), expected, "{message:?}");
            for end in 0..answer.len() {
                assert_eq!(revision(&answer[..end]), None, "{message:?} up to {end}");
            }
        };
        // Cluster and member, revision, term; and a key that was found.
        check(b"\x0a\x0a\x08\x81\x01\x10\x02\x18\xac\x02\x20\x05", Some(300));
        check(b"\x12\x03\x0a\x01a\x0a\x02\x18\x07", Some(7));
        check(b"\x0a\x02\x20\x05", None);
        check(b"", None);
        check(b"\x0a\x05\x18\x07", None);
        check(b"\x0b\x0a\x02\x18\x07", None);
        check(b"\x0a\x0c\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", None);
        assert_eq!(revision(b"\x01\0\0\0\x04\x0a\x02\x18\x07"), None, "it is compressed");
        assert_eq!(revision(b"\0\0\0\0\x04\x0a\x02\x18\x07more"), None);
    }
}
