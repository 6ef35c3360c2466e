//! What belongs to a relation and one owner: names and texts (contract, section 1).

use std::collections::BTreeMap;

/// A bag as it is. Each interface key has one JSON document for a text.
pub type Databag = BTreeMap<String, String>;

/// What is to be written into a bag: other texts, and the empty one for keys that go. Keys that are not here stay.
pub type Changes = BTreeMap<String, String>;

/// The complete set, in an application's bag: a list of texts.
pub(crate) const CERTIFICATES: &str = "certificates";
/// The layout: of the provider's bag, or the one that the requirer reads.
pub(crate) const VERSION: &str = "version";
/// One certificate, in a unit's bag of version 0.
pub(crate) const CERTIFICATE: &str = "certificate";
/// One certificate of a CA, there.
pub(crate) const CA: &str = "ca";
/// All of them, there.
pub(crate) const CHAIN: &str = "chain";

/// The text that says version 1; nothing else does (section 2).
pub(crate) const VERSION_1: &str = "1";
/// And version 0.
pub(crate) const VERSION_0: &str = "0";

/// What of `wanted` is not in `bag` as it is; an empty text is wanted where the key is to go.
pub(crate) fn changes<'a>(bag: &Databag, wanted: impl IntoIterator<Item = (&'a str, String)>) -> Changes {
    let differs = |(key, text): &(&str, String)| bag.get(*key).map_or("", String::as_str) != text;
    wanted.into_iter().filter(differs).map(|(key, text)| (key.to_owned(), text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_written() {
        let bag = Databag::from([("a".into(), "1".into()), ("b".into(), "2".into())]);
        let wanted =
            [("a", "1".to_owned()), ("b", String::new()), ("c", String::new()), ("d", "4".to_owned())];
        let expected = Changes::from([("b".into(), String::new()), ("d".into(), "4".into())]);
        assert_eq!(changes(&bag, wanted), expected);
    }
}
