//! Configuration files, as Python's own `configparser` reads them.

use base::Entropy;
use cli::compat::networkcache::ini::Ini;
use serde_json::{Value, json};

use testkit::witness;

/// Reads each text of a JSON list, and prints what it found in each: of every section that all names stand for, the raw
/// values and the interpolated ones, `null` for what it refuses.
const PROGRAM: &str = r#"
import configparser, io, json, sys
found = []
for text in json.load(open(sys.argv[1], encoding='utf-8')):
    parser = configparser.ConfigParser()
    try:
        # As from a file, where all line ends are one.
        parser.read_file(io.StringIO(text, newline=None))
    except configparser.Error:
        found.append(None)
        continue
    sections = {}
    for section in parser.sections():
        values = {}
        for option in parser.options(section):
            try:
                value = parser.get(section, option)
            except configparser.Error:
                value = None
            values[option] = [parser.get(section, option, raw=True), value]
        sections[section] = values
    found.append(sections)
print(json.dumps(found))
"#;

/// What files are made of here: pieces that mean something, in any order.
const PIECES: &[&str] = &[
    "[networkcache]",
    "[s]",
    "[DEFAULT]",
    "[a]b]",
    "[]",
    "[",
    "]",
    "\n",
    "\n",
    "\n",
    "\n",
    "\n  ",
    "\n\t",
    "\n ",
    "\r\n",
    "\r",
    "=",
    " = ",
    ":",
    ": ",
    "o",
    "O",
    "p",
    "q",
    "key name",
    "value",
    "#",
    ";",
    " # ",
    "\n# c",
    "\n  ; d",
    "%",
    "%%",
    "%(o)s",
    "%(p)s",
    "%(Q)s",
    "%(none)s",
    "%(o)d",
    "%(",
    ")s",
    "\u{a0}",
    "\u{1f}",
    "\u{b}",
    "é",
    "İ",
    "-----BEGIN CERTIFICATE-----",
];

fn ours(text: &str) -> Value {
    let Ok(ini) = Ini::parse(text) else { return Value::Null };
    let mut sections = serde_json::Map::new();
    for name in ini.names() {
        let section = ini.section(name).unwrap();
        let value = |option: &str| json!([section.raw(option), section.get(option).ok().flatten()]);
        let values: serde_json::Map<_, _> =
            section.names().map(|option| (option.to_owned(), value(option))).collect();
        sections.insert(name.to_owned(), values.into());
    }
    sections.into()
}

#[test]
fn files_are_read_as_python_reads_them() {
    let entropy = Entropy::seeded(5);
    let mut texts = vec![String::new(), "[s]\no = v".to_owned()];
    for _ in 0..4000 {
        let mut text =
            String::from(["", "[s]\n", "[DEFAULT]\np = 1\n[s]\n"][(entropy.number() % 3) as usize]);
        for _ in 0..entropy.number() % 24 {
            text.push_str(PIECES[(entropy.number() % PIECES.len() as u64) as usize]);
        }
        texts.push(text);
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("texts.json");
    std::fs::write(&file, serde_json::to_vec(&texts).unwrap()).unwrap();
    let ran = testkit::run(std::process::Command::new(witness("python")).args(["-c", PROGRAM]).arg(&file));
    let theirs: Vec<Value> = serde_json::from_str(ran.ok()).unwrap();
    assert_eq!(theirs.len(), texts.len());
    assert!(theirs.iter().filter(|found| !found.is_null()).count() > 500, "most of them are nothing");
    for (text, theirs) in texts.iter().zip(theirs) {
        assert_eq!(ours(text), theirs, "{text:?}");
    }
}
