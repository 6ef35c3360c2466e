//! Entries of the artifact cache, and the JSON in them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base::Timestamp;
use entry::{
    Attestation, Circumstances, Entry, Platform, Policy, Signer, Trust, TrustList, Value, canonical, compare,
    json, python,
};
use x509::PrivateKey;

static KEY: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::from_pem(include_str!("../seeds/key.pem")).expect("the seeds' key"));

/// Believes the seeds' key.
static TRUST: LazyLock<Trust> = LazyLock::new(|| {
    let signer = Signer::new("seed", vec![KEY.public().clone()], TrustList::default());
    let policy = Policy { signers: signer.into_iter().collect(), takes_weak: true, ..Policy::default() };
    Trust { policies: vec![policy] }
});

pub(crate) fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(value) = json::read(text)
    {
        value_holds(&value);
    }
    if let Ok(list) = entry::read_list(data, data.len()) {
        let rendered = entry::render(&list.entries);
        let again = entry::read_list(rendered.as_bytes(), rendered.len()).expect("what is written is read");
        assert!(again.entries == list.entries && again.skipped.is_empty());
        what_counts(&list.entries);
    }
    let Ok(read) = Entry::parse(data) else { return };
    let written = read.to_json();
    assert!(written.is_ascii());
    // Escapes may make it longer than what is taken.
    if let Ok(again) = Entry::parse(written.as_bytes()) {
        assert_eq!((again.text(), again.signature()), (read.text(), read.signature()));
        assert_eq!(again.digest(), read.digest());
    }
    let statement = read.statement();
    let sha512 = statement.get("sha512").and_then(Value::as_str).expect("an entry names bytes");
    assert_eq!(sha512, statement.sha512().to_string());
    let _ = Platform::of(statement);
    if let Ok(Some(attestation)) = Attestation::read(statement) {
        let _ = attestation.verify(statement, KEY.public());
    }
}

/// Each entry has a verdict, and those that are chosen are those that count.
fn what_counts(entries: &[Entry]) {
    let circumstances = Circumstances {
        key: "file-urlmd5:abc",
        url: None,
        now: Timestamp::from_unix(1_763_740_800),
        seen: &BTreeMap::new(),
        platform: None,
        is_there: &|_| true,
    };
    let judgement = entry::judge(entries, &TRUST, &circumstances);
    assert_eq!(judgement.verdicts.len(), entries.len());
    let counts = |at: &usize| judgement.verdicts[*at].refused.is_none();
    let mut chosen = judgement.chosen.clone();
    chosen.sort_unstable();
    assert_eq!(chosen, (0..entries.len()).filter(counts).collect::<Vec<_>>());
    for at in chosen {
        let verdict = &judgement.verdicts[at];
        assert!(verdict.believed.is_some() && verdict.size.is_some(), "only attested ones count here");
    }
}

/// What is written of a value is read as the same value.
fn value_holds(value: &Value) {
    let written = python::dumps(value);
    let again = json::read(&written).expect("what is written is read");
    assert_eq!(python::dumps(&again), written);
    let indented = json::read(&python::dumps_indented(value)).expect("what is printed is read");
    let is_nan = matches!(value, Value::Float(number) if number.is_nan());
    assert!(is_nan || (compare::equal(value, &again) && compare::equal(value, &indented)), "{written}");
    assert_eq!(compare::order(value, &again), compare::order(&again, value));
    let _ = python::repr(value);
    if let Some(object) = value.as_object()
        && let Ok(form) = canonical(object)
    {
        let again = json::read(&form).expect("what is canonical is read");
        // A float of many digits and no point is an integer when it is read again.
        if let Ok(again) = canonical(again.as_object().expect("the form of an object")) {
            assert_eq!(again, form);
        }
    }
}
