//! Each text of a table, and some hundred that are drawn, is read and written by both; each pair of values is compared by
//! both.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use entry::{Value, compare, json, python};

/// What Python reads, or refuses.
const TEXTS: &[&str] = &[
    "null",
    "true",
    "false",
    "NaN",
    "Infinity",
    "-Infinity",
    "-NaN",
    "nan",
    "inf",
    "None",
    "0",
    "-0",
    "0.0",
    "-0.0",
    "00",
    "01",
    "-01",
    "1",
    "-1",
    "2",
    "10",
    "9",
    "-10",
    "-9",
    "1.0",
    "1.",
    ".1",
    "+1",
    "1e",
    "1e1",
    "1E+1",
    "1e-1",
    "1e01",
    "0e0",
    "-0e0",
    "1e5",
    "100000",
    "1.5",
    "-1.5",
    "0.5",
    "-0.5",
    "1e15",
    "1e16",
    "1e17",
    "1e22",
    "1e23",
    "1e300",
    "1e308",
    "1.8e308",
    "1e309",
    "-1e309",
    "1e400",
    "1e-400",
    "5e-324",
    "2e-324",
    "3e-324",
    "2.2250738585072014e-308",
    "2.2250738585072011e-308",
    "0.1",
    "0.2",
    "0.3",
    "0.30000000000000004",
    "0.0001",
    "0.00001",
    "0.000123456789",
    "123456789012345680",
    "1.2345678901234568e+17",
    "9007199254740992",
    "9007199254740993",
    "9007199254740992.0",
    "9007199254740993.0",
    "9007199254740991.0",
    "-9007199254740993",
    "-9007199254740992.0",
    "18446744073709551616",
    "18446744073709551615",
    "18446744073709551616.0",
    "340282366920938463463374607431768211456",
    "3.402823669209385e+38",
    "1e38",
    "100000000000000000000000000000000000000",
    "123456789012345678901234567890",
    "-123456789012345678901234567890",
    "1.7976931348623157e308",
    "1.4142135623730951",
    "3.141592653589793",
    "4.35",
    "2.5",
    "1e-5",
    "1e-4",
    "9.999999999999999e22",
    "9999999999999998",
    "9999999999999998.0",
    "99999999999999990.0",
    "0.1e1",
    "12e-1",
    r#""""#,
    r#""a""#,
    r#""A""#,
    r#""b""#,
    r#""ab""#,
    r#""é""#,
    r#""\u00e9""#,
    r#""\u00E9""#,
    r#""\/""#,
    r#""/""#,
    r#""\b\f\n\r\t\"\\""#,
    "\"\u{7f}\"",
    "\"\u{80}\u{a0}\u{ad}\"",
    "\"\u{2028}\u{2029}\"",
    r#""\u0000""#,
    r#""\u001f""#,
    "\"\t\"",
    "\"\n\"",
    "\"\u{0}\"",
    r#""\x41""#,
    r#""\u12""#,
    r#""\u12g4""#,
    r#""\u+123""#,
    r#""\u 123""#,
    r#""\ud83d\ude00""#,
    "\"😀\"",
    r#""\uD83D\uDE00""#,
    r#""\ud83d""#,
    r#""\ude00""#,
    r#""\ude00\ud83d""#,
    r#""\ud83d\ud83d\ude00""#,
    r#""\ud83d\u0041""#,
    r#""\ud83dA""#,
    r#""\ud83d\n""#,
    r#""\ud83d\ude0""#,
    r#""\ud83d\u""#,
    r#""\uffff""#,
    r#""\uFFFE""#,
    r#""\ud7ff""#,
    r#""\ue000""#,
    "\"\u{fffd}\"",
    "\"\u{10ffff}\"",
    r#""it's""#,
    r#""say \"it's\"""#,
    r#""\"""#,
    "\"",
    "'a'",
    "\"a",
    "a\"",
    "[]",
    "[ ]",
    "[1]",
    "[1,2]",
    "[1, 2.0]",
    "[1,2,3]",
    "[2]",
    "[true]",
    "[1.0]",
    "[null]",
    "[[]]",
    "[[1]]",
    "[\"a\"]",
    "[1,\"a\"]",
    "[1,null]",
    "[2,\"a\"]",
    "[NaN]",
    "[NaN,1]",
    "[NaN,2]",
    "[{}]",
    "[{\"a\":1}]",
    "[Infinity]",
    "[,]",
    "[1,]",
    "[1 2]",
    "[",
    "]",
    "[[[[1]]]]",
    "{}",
    "{ }",
    "{\"a\":1}",
    "{\"a\":1.0}",
    "{\"a\":true}",
    "{\"a\":2}",
    "{\"a\":NaN}",
    "{\"b\":1,\"a\":2}",
    "{\"a\":2,\"b\":1}",
    "{\"a\":1,\"b\":2,\"a\":3}",
    "{\"a\":3,\"b\":2}",
    "{\"a\":{\"a\":{}}}",
    "{\"\":0}",
    "{\"\\ud800\":1,\"\\ue000\":2,\"\\ud83d\\ude00\":3,\"z\":4}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{a:1}",
    "{1:1}",
    "{\"a\" : 1 , \"b\":[ ] }",
    "{",
    "}",
    "",
    " ",
    "\t1\r\n",
    "\u{a0}1",
    "\u{feff}1",
    "1 2",
    "1,",
    "\u{b}1",
    "\u{c}1",
    "\u{2028}1",
    "{\"a\":1}{\"a\":1}",
];

/// Says for each line of hexadecimal what `json` makes of the text, and then for each pair of values how it compares.
const SCRIPT: &str = r#"
import json, sys
values = []
for line in sys.stdin:
    try:
        value = json.loads(bytes.fromhex(line).decode())
    except ValueError:
        print("refused")
        continue
    values.append(value)
    for text in (json.dumps(value), json.dumps(value, indent=2, sort_keys=True), ascii(value)):
        print(text.encode().hex())
def compare(left, right):
    yield "=" if left == right else "."
    for order in ("__lt__", "__le__", "__gt__", "__ge__"):
        try:
            yield "ty"[{"__lt__": lambda: left < right, "__le__": lambda: left <= right,
                        "__gt__": lambda: left > right, "__ge__": lambda: left >= right}[order]()]
        except TypeError:
            yield "!"
for left in values:
    print(" ".join("".join(compare(left, right)) for right in values))
"#;

/// Numbers that look random and are the same each time (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Any float, one that is small and short, an integer of up to 40 digits, or the float beside it.
    fn number(&mut self) -> String {
        match self.below(4) {
            0 => {
                let number = f64::from_bits(self.next());
                if number.is_finite() { format!("{number:e}") } else { "NaN".to_owned() }
            }
            1 => format!("{}.{}e{}", self.below(100), self.below(1000), self.below(50) as i64 - 25),
            2 => {
                let digits: String =
                    (0..=self.below(39)).map(|_| char::from(b'1' + self.below(9) as u8)).collect();
                format!("{}{digits}", if self.below(2) == 0 { "-" } else { "" })
            }
            _ => format!("{}.0", self.next() >> self.below(60)),
        }
    }

    fn value(&mut self, depth: u32) -> String {
        match self.below(if depth == 0 { 4 } else { 6 }) {
            0 => {
                ["null", "true", "false", "0", "1", "1.0", "NaN", "\"a\""][self.below(8) as usize].to_owned()
            }
            1 => format!("\"\\u{:04x}{}\"", self.below(0x10000), char::from(b'a' + self.below(26) as u8)),
            2 | 3 => self.number(),
            4 => {
                let items: Vec<String> = (0..self.below(4)).map(|_| self.value(depth - 1)).collect();
                format!("[{}]", items.join(","))
            }
            _ => {
                let names = self.below(4);
                let members: Vec<String> =
                    (0..names).map(|_| format!("\"{}\":{}", self.below(3), self.value(depth - 1))).collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }
}

fn signs(left: &Value, right: &Value) -> String {
    let mut signs = String::from(if compare::equal(left, right) { "=" } else { "." });
    let order = compare::order(left, right);
    for takes in [
        &[Ordering::Less][..],
        &[Ordering::Less, Ordering::Equal],
        &[Ordering::Greater],
        &[Ordering::Greater, Ordering::Equal],
    ] {
        signs.push(match order {
            Err(compare::Unordered) => '!',
            Ok(order) if order.is_some_and(|order| takes.contains(&order)) => 'y',
            Ok(_) => 't',
        });
    }
    signs
}

/// What `/usr/bin/python3` says to the lines.
fn ask_python(lines: &str) -> Vec<String> {
    let mut python = Command::new("/usr/bin/python3")
        .args(["-I", "-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs /usr/bin/python3");
    let mut input = python.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(lines.as_bytes()).unwrap());
        let output = python.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    })
}

#[test]
fn values_are_pythons() {
    let mut numbers = Numbers(19);
    let mut texts: Vec<String> = TEXTS.iter().map(|text| (*text).to_owned()).collect();
    texts.extend((0..150).map(|_| numbers.number()));
    texts.extend((0..200).map(|_| numbers.value(3)));

    let mut lines = String::new();
    for text in &texts {
        writeln!(lines, "{}", base::hex::encode(text.as_bytes())).unwrap();
    }
    let mut answers = ask_python(&lines).into_iter();
    let mut next = || answers.next().expect("Python answers each line");
    let mut values = Vec::new();
    for text in &texts {
        let first = next();
        let read = json::read(text);
        assert_eq!(read.is_ok(), first != "refused", "{text:?}: {read:?}");
        let Ok(value) = read else { continue };
        let hex = |text: String| base::hex::encode(text.as_bytes());
        assert_eq!(hex(python::dumps(&value)), first, "{text:?} became {}", python::dumps(&value));
        assert_eq!(hex(python::dumps_indented(&value)), next(), "{text:?}");
        let repr = next();
        let ours = python::repr(&value);
        assert!(!ours.is_ascii() || hex(ours.clone()) == repr, "{text:?} is shown as {ours}");
        values.push((text, value));
    }
    assert!(values.len() > 400, "{}", values.len());
    for (left_text, left) in &values {
        let row = next();
        for ((right_text, right), expected) in values.iter().zip(row.split(' ')) {
            assert_eq!(signs(left, right), expected, "{left_text} and {right_text}");
        }
    }
}
