//! Results are printed as PyYAML prints them: Debian's says how.

use std::process::Command;

use serde_json::{Value, json};

use super::{Operator, answering};

/// Documents that are hard to print.
fn documents() -> Vec<Value> {
    let words = [
        "",
        " ",
        "a",
        " a",
        "a ",
        "a b",
        "a  b",
        "-",
        "- a",
        "-a",
        "--",
        "---",
        "---a",
        "...",
        "?",
        "? a",
        "?a",
        ":",
        ":a",
        "a:",
        "a: b",
        "a:b",
        "a :b",
        "#",
        "# a",
        "a #b",
        "a#b",
        "a # b",
        ",",
        "a,b",
        "[",
        "a[",
        "]",
        "{",
        "}",
        "{}",
        "[]",
        "&a",
        "*a",
        "!a",
        "|",
        ">",
        "'",
        "a'b",
        "''",
        "\"",
        "a\"b",
        "%a",
        "@a",
        "`a",
        "~",
        "null",
        "Null",
        "nULL",
        "yes",
        "Yes",
        "YES",
        "yES",
        "y",
        "on",
        "Off",
        "true",
        "TRUE",
        "=",
        "<<",
        "<",
        "0",
        "00",
        "08",
        "0x1f",
        "0xg",
        "0b12",
        "0b1",
        "1_0",
        "_1",
        "-1",
        "+1",
        "1.",
        ".1",
        "-.1",
        "1.5e3",
        "1.5e+3",
        "1.5E-3",
        "1e3",
        "1_0.5_",
        "1:30",
        "1:60",
        "1:30:59",
        "1:30.5",
        "01:30",
        ".inf",
        "-.inf",
        "+.INF",
        ".Inf",
        ".nan",
        "-.nan",
        "10.0.0.1",
        "2016-01-02",
        "2016-1-2",
        "2016-13-99",
        "2016-01-02T03:04:05.000000",
        "2016-1-2 3:04:05",
        "2016-01-02 03:04:05 +1",
        "2016-01-02 03:04:05 +01:00",
        "2016-01-02T03:04:05Z",
        "2016-01-02T03:04",
        "a\nb",
        "a\n",
        "\na",
        "a\n\nb",
        "a \nb",
        "a\n b",
        "\n",
        "\n\n",
        "a\n'b'\nc",
        "a\tb",
        "\ta",
        "a\r\nb",
        "é",
        "a é",
        "\u{1}",
        "\u{7f}",
        "\u{85}",
        "\u{a0}",
        "\u{2028}",
        "\u{feff}",
        "\u{fffd}",
        "😀",
        "a\\b",
        "\\",
        "\u{1b}[2J",
        "http://a:8000/b?c=d#e",
        "fe80::1%eth0",
        "a: \n",
        ": ",
        "x\0y",
    ];
    let mut documents: Vec<Value> = Vec::new();
    for word in words {
        documents.push(json!([word]));
        documents.push(json!({word: word}));
        documents.push(json!({"a": {"b": [{"c": word}], word: 1}}));
    }
    // Lines that are broken, or cannot be.
    for unit in
        ["word ", "word  ", "it's ", "é ", "a: b ", "\"q\" ", "line\n", "line \n", "w\\ ", "x", "  ", "' "]
    {
        for count in [10, 15, 16, 17, 20, 27, 41, 42, 64, 130] {
            let text = unit.repeat(count);
            for text in [text.trim_end().to_owned(), format!("{text}end")] {
                documents.push(json!({"key": text, "b": [[text], {"c": text}]}));
                documents.push(json!({text.clone(): [text]}));
            }
        }
    }
    for length in 118..=130 {
        documents.push(json!({"k".repeat(length): {"a": 1}, "b": []}));
    }
    for number in [
        "0",
        "-1",
        "12345678901234567890",
        "1.0",
        "0.1",
        "1e16",
        "1.5e300",
        "1e-5",
        "123456789012345680.0",
        "-0.0",
        "1e22",
    ] {
        documents.push(json!([serde_json::from_str::<Value>(number).unwrap()]));
    }
    documents.extend([
        json!([[], {}, [[]], [{}], {"a": []}, {"a": {}}, null, true, false]),
        json!([[["a"], "b"], [{"c": ["d", ["e"]]}]]),
        json!({"a": {"b": {"c": ["d", {"e": "f", "g": ["h"]}]}}, "B": 1, "é": 2, "_": 3, "10": 4, "9": 5}),
    ]);
    documents
}

#[test]
fn results_are_those_of_pyyaml() {
    let documents = documents();
    let numbered = documents.iter().enumerate().map(|(at, document)| (format!("{at:04}"), document.clone()));
    for all in [json!(documents), Value::Object(numbered.collect())] {
        let operator = Operator::of(&answering(404, ""));
        let file = operator.write("all.json", &all.to_string());
        let script = "import json, sys, yaml\n\
                      yaml.safe_dump(json.load(open(sys.argv[1])), sys.stdout, default_flow_style=False)";
        // Debian's Python, which has Debian's PyYAML.
        let python = testkit::run(Command::new("/usr/bin/python3").args(["-c", script, &file]));
        let server = answering(200, &all.to_string());
        let commctl = Operator::of(&server).type_in("host list");
        let (theirs, ours): (Vec<_>, Vec<_>) =
            (python.ok().lines().collect(), commctl.ok().lines().collect());
        let differing: Vec<_> =
            (0..ours.len().max(theirs.len())).filter(|&at| ours.get(at) != theirs.get(at)).collect();
        if let Some(&at) = differing.first() {
            let around = |lines: &[&str]| lines[at.saturating_sub(3)..(at + 6).min(lines.len())].join("\n");
            panic!(
                "{} lines differ, the first:\nours:\n{}\ntheirs:\n{}",
                differing.len(),
                around(&ours),
                around(&theirs)
            );
        }
        assert_eq!(commctl.ok(), python.ok());
    }
}
