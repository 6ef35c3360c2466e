//! Databags that we write, read by the reference library, and those that it writes, read by us: many, made by chance, in
//! the framework's own testing. Wherever the two do not come to the same, the contract's rule for it is named.

use std::collections::BTreeMap;

use base::Entropy;
use serde_json::{Value, json};
use testkit::in_scenario;
use trust::{Certificates, Change, Changes, Databag, Event, Note};

const NUMBER: u64 = 3;

/// Chance that is the same each time.
struct Dice(Entropy);

impl Dice {
    fn below(&self, end: usize) -> usize {
        usize::try_from(self.0.number() % end as u64).unwrap()
    }

    fn one_of<'a, T>(&self, things: &'a [T]) -> &'a T {
        &things[self.below(things.len())]
    }

    /// Whatever a text may be made of.
    fn text(&self) -> String {
        const PIECES: &[&str] = &[
            "a",
            "B",
            "7",
            " ",
            "\"",
            "\\",
            "/",
            "'",
            "\n",
            "\r",
            "\t",
            "\0",
            "\u{1}",
            "\u{8}",
            "\u{c}",
            "\u{1f}",
            "\u{7f}",
            "\u{85}",
            "\u{9f}",
            "\u{a0}",
            "é",
            "€",
            "\u{2028}",
            "\u{d7ff}",
            "\u{e000}",
            "\u{feff}",
            "\u{fffd}",
            "\u{ffff}",
            "😀",
            "\u{10ffff}",
            "<",
            ">",
            "&",
            "[",
            "]",
            "{",
            ",",
            ":",
            "\\u00e9",
            "\\ud800",
            "null",
            "-----BEGIN CERTIFICATE-----\n",
            "-----END CERTIFICATE-----",
            "%",
            "#",
            "!",
        ];
        (0..self.below(9)).map(|_| *self.one_of(PIECES)).collect()
    }

    fn set(&self, most: usize) -> Certificates {
        (0..self.below(most + 1)).map(|_| self.text()).collect()
    }

    /// `text` with a change somewhere.
    fn spoilt(&self, text: &str) -> String {
        let mut letters: Vec<char> = text.chars().collect();
        for _ in 0..=self.below(2) {
            let at = self.below(letters.len() + 1);
            let letter = *self
                .one_of(&['"', '\\', ',', '[', ']', 'u', 'd', '8', '0', ' ', '\n', '{', 'é', '1', '\u{1}']);
            match self.below(3) {
                0 if at < letters.len() => {
                    letters.remove(at);
                }
                1 if at < letters.len() => letters[at] = letter,
                _ => letters.insert(at, letter),
            }
        }
        letters.into_iter().collect()
    }

    /// What may stand for a layout's number, or may not.
    fn version(&self) -> String {
        const SAID: &[&str] = &[
            "0",
            "1",
            "2",
            "-3",
            "1.0",
            "1.5",
            "1e3",
            "1e400",
            "1e-400",
            "true",
            "false",
            "null",
            "[]",
            "{}",
            "[1]",
            "NaN",
            "\"1\"",
            "\" 7 \"",
            "\"1.00\"",
            "\"1_0\"",
            "\"\"",
            "\"x\"",
            "nonsense",
            "01",
            "+1",
            "123456789012345678901234567890",
            "1e18",
            "1e19",
            "'1'",
        ];
        if self.below(3) > 0 {
            return (*self.one_of(SAID)).to_owned();
        }
        let letters: String = (0..=self.below(6))
            .map(|_| *self.one_of(&['0', '1', '9', '.', '_', '-', '+', 'e', ' ']))
            .collect();
        if self.below(2) == 0 { letters } else { format!("\"{letters}\"") }
    }

    /// A list of texts, in one of the ways in which it can be written.
    fn list(&self, set: &Certificates) -> String {
        let mut texts: Vec<String> = set.iter().map(|text| json!(text).to_string()).collect();
        if let Some(first) = texts.first().cloned() {
            texts.push(first.replace('/', "\\/"));
        }
        let between = *self.one_of(&[",", ", ", " ,\n"]);
        format!("{}[{}]", self.one_of(&["", " ", "\n\t"]), texts.join(between))
    }
}

fn bag(pairs: &[(&str, &str)]) -> Databag {
    pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
}

fn network() -> Databag {
    bag(&[
        ("egress-subnets", "10.0.0.1/32"),
        ("ingress-address", "10.0.0.1"),
        ("private-address", "10.0.0.1"),
    ])
}

/// As Juju does it: the empty text removes.
fn write(bag: &mut Databag, changes: Changes) {
    bag.extend(changes);
    bag.retain(|_, text| !text.is_empty());
}

fn read_list(text: &str) -> Option<Certificates> {
    serde_json::from_str(text).ok()
}

fn of<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

/// The keys of the interface in a unit's bag.
fn version_0(bag: &Databag) -> Databag {
    let is_ours = |key: &&String| ["ca", "certificate", "chain", "version"].contains(&key.as_str());
    bag.keys().filter(is_ours).map(|key| (key.clone(), bag[key].clone())).collect()
}

/// What the library takes for what it provides now (section 3.2).
fn library_record(app: &Databag, unit: &Databag, is_version_1: bool) -> Certificates {
    let record = if is_version_1 { app.get("certificates") } else { unit.get("chain") };
    record.and_then(|record| read_list(record)).unwrap_or_default()
}

/// One side's provider, as it is before or after a step.
#[derive(Debug, Clone)]
struct Bags {
    app: Databag,
    unit: Databag,
}

#[test]
fn what_one_provides_the_other_would_and_reads() {
    const CASES: usize = 400;
    let dice = Dice(Entropy::seeded(41));
    let (mut cases, mut plans) = (Vec::new(), Vec::new());
    for _ in 0..CASES {
        let set = dice.set(20);
        let app = match dice.below(6) {
            0..=2 => bag(&[]),
            3 => bag(&[("certificates", &dice.list(&set)), ("version", "1")]),
            4 => bag(&[("certificates", &dice.list(&set)), ("own", "not { JSON")]),
            _ => bag(&[(
                "certificates",
                *dice.one_of(&["nonsense", "null", "{}", "[1]", "\"a\"", "[\"\\ud800\"]"]),
            )]),
        };
        let reads = *dice.one_of(&["1", "1", "1", "0", "0", "", "2", "\"1\"", "1.0"]);
        let mut steps = Vec::new();
        for _ in 0..=dice.below(4) {
            // Now and then another version is there, as when it comes late.
            let reads = if dice.below(8) == 0 { *dice.one_of(&["1", "0"]) } else { reads };
            let requirer = if reads.is_empty() { bag(&[]) } else { bag(&[("version", reads)]) };
            let change = match dice.below(6) {
                0..=2 => Change::Add(dice.set(20)),
                3 | 4 => Change::Remove(dice.text()),
                _ => Change::RemoveAll,
            };
            steps.push((requirer, change));
        }
        let said = |change: &Change| match change {
            Change::Add(more) => json!(["add", more]),
            Change::Remove(one) => json!(["remove", one]),
            _ => json!(["remove_all", null]),
        };
        // What is removed is there, as a rule.
        let mut there = app.get("certificates").and_then(|list| read_list(list)).unwrap_or_default();
        for (_, change) in &mut steps {
            match change {
                Change::Add(more) => there.extend(more.iter().cloned()),
                Change::Remove(one) => {
                    if let Some(other) = there.iter().nth(dice.below(there.len() + 1)).cloned() {
                        *one = other;
                    }
                    there.remove(one);
                }
                _ => there.clear(),
            }
        }
        let told: Vec<_> = steps
            .iter()
            .map(|(requirer, change)| json!({"requirer": requirer, "call": said(change)}))
            .collect();
        cases.push(json!({"side": "provider", "leader": true, "app": app, "unit": network(), "steps": told}));
        plans.push((app, steps));
    }

    let (mut alike, mut other) = (0, 0);
    let (mut reading, mut meant) = (Vec::new(), Vec::new());
    for (answer, (app, steps)) in in_scenario(&cases).iter().zip(plans) {
        let mut ours = Bags { app: app.clone(), unit: network() };
        let mut theirs = ours.clone();
        let mut has_lost = false;
        let mut set = app.get("certificates").and_then(|list| read_list(list)).unwrap_or_default();
        for (step, (requirer, change)) in of::<Vec<Value>>(&answer["steps"]).iter().zip(steps) {
            let is_version_1 = requirer.get("version").is_some_and(|version| version == "1");
            let had_alike = library_record(&theirs.app, &theirs.unit, is_version_1) == set;
            let is_unreadable = ours.app.get("certificates").is_some_and(|list| read_list(list).is_none());
            let before = ours.clone();
            let provider =
                trust::Provider { application: &before.app, unit: &before.unit, requirer: &requirer };
            let provided = provider.provide(&change);
            // Where all is to go, the library does not look at what there is.
            let looks = change != Change::RemoveAll;
            match change {
                Change::Add(more) => set.extend(more),
                Change::Remove(one) => {
                    set.remove(&one);
                }
                _ => set.clear(),
            }
            write(&mut ours.app, provided.application);
            write(&mut ours.unit, provided.unit);
            theirs = Bags { app: of(&step["app"]), unit: of(&step["unit"]) };
            let seen = format!("{requirer:?} {before:#?} -> {ours:#?} / {theirs:#?}");
            assert_eq!(provided.certificates, set, "{seen}");
            assert_eq!(read_list(&ours.app["certificates"]).as_ref(), Some(&set), "{seen}");
            assert_eq!(provided.notes.contains(&Note::Unreadable), is_unreadable, "{seen}");
            // 3.6, first row: other keys stay with us, and go with the library.
            assert_eq!(ours.app.get("own"), before.app.get("own"), "{seen}");
            assert!(network().iter().all(|(key, text)| ours.unit.get(key) == Some(text)), "{seen}");
            // 3.6, the second, the fourth and the fifth row: nothing old stays in a unit's bag.
            assert_eq!(version_0(&ours.unit).is_empty(), is_version_1 || set.is_empty(), "{seen}");
            if had_alike {
                alike += 1;
                for key in ["certificates", "version"] {
                    assert_eq!(ours.app.get(key), theirs.app.get(key), "to the byte: {seen}");
                }
                if !is_version_1 && !set.is_empty() {
                    assert_eq!(version_0(&ours.unit), version_0(&theirs.unit), "to the byte: {seen}");
                }
            } else {
                // 3.2 and 3.6, the second and third row: towards version 0 the library's record is its unit's bag, which
                // is empty or old; and what it made of that it hands on to version 1.
                has_lost |= !is_version_1;
                assert!(has_lost, "{seen}");
                other += 1;
            }
            if is_version_1 && looks {
                assert_eq!(is_unreadable && had_alike, step["errors"] != 0, "{seen}");
            }
            // Read by the other.
            reading.push(json!({"event": "changed", "app": ours.app, "units": [ours.unit]}));
            meant.push(set.clone());
            let units = BTreeMap::from([("provider/0".to_owned(), theirs.unit.clone())]);
            let read = trust::read(&trust::Requirer { application: &theirs.app, units: &units });
            assert_eq!(read.certificates, read_list(&theirs.app["certificates"]), "{seen}");
            assert_eq!(read.notes, [], "{seen}");
        }
    }
    assert!(alike > CASES && other > CASES / 10, "{alike} {other}");
    let cases: Vec<_> =
        reading.iter().map(|step| json!({"side": "requirer", "leader": false, "steps": [step]})).collect();
    for ((answer, set), step) in in_scenario(&cases).iter().zip(meant).zip(reading) {
        let answer = &answer["steps"][0];
        assert_eq!(
            (of::<Certificates>(&answer["certificates"]), &answer["errors"]),
            (set, &json!(0)),
            "{step}"
        );
    }
}

/// What a unit's bag of version 0 says.
struct Unit {
    bag: Databag,
    /// To the library; `None` where it cannot read it.
    theirs: Option<Certificates>,
    /// To us: nothing of the interface, what cannot be read, or a set.
    ours: Result<Option<Certificates>, ()>,
}

fn unit(dice: &Dice) -> Unit {
    let set = dice.set(5);
    let list = dice.list(&set);
    let plain = format!("-----BEGIN {}", dice.text());
    let ca = json!(plain).to_string();
    let with_ca = || set.iter().cloned().chain([plain.clone()]).collect::<Certificates>();
    let first = json!(set.first().cloned().unwrap_or_default()).to_string();
    let (pairs, theirs, ours): (Vec<(&str, &str)>, _, _) = match dice.below(10) {
        // Nothing but what Juju writes.
        0 | 1 => (vec![], None, Ok(None)),
        // As the library writes it.
        2 | 3 if !set.is_empty() => {
            let whole = vec![("ca", &*first), ("certificate", &*first), ("chain", &*list), ("version", "0")];
            (whole, Some(set.clone()), Ok(Some(set.clone())))
        }
        // 4.6, first row: what is in `ca` counts as well; a leaf does not.
        2..=4 => (
            vec![("ca", &*ca), ("certificate", "\"leaf\""), ("chain", &*list)],
            Some(set.clone()),
            Ok(Some(with_ca())),
        ),
        // As the first generation wrote it.
        5 => (vec![("ca", &*plain), ("certificate", &*plain), ("chain", &*list)], None, Ok(Some(with_ca()))),
        6 => {
            let ours = Ok(Some(Certificates::from([plain.clone()])));
            (
                vec![("ca", &*ca), ("certificate", "\"leaf\""), ("chain", "null")],
                Some(Certificates::new()),
                ours,
            )
        }
        7 => {
            let chain = *dice.one_of(&["x", "{}", "[1]", "\"a\"", "[\"\\ud800\"]"]);
            (vec![("ca", &*ca), ("certificate", "\"leaf\""), ("chain", chain)], None, Err(()))
        }
        // A part of it.
        8 => (vec![("chain", &*list)], None, Ok(Some(set.clone()))),
        // 4.6: the number of a unit's layout says nothing.
        _ => {
            let whole = vec![("ca", &*ca), ("certificate", &*ca), ("chain", &*list), ("version", "null")];
            (whole, None, Ok(Some(with_ca())))
        }
    };
    let mut all = network();
    all.extend(bag(&pairs));
    Unit { bag: all, theirs, ours }
}

#[test]
fn what_is_read_is_the_same_or_better() {
    const CASES: usize = 600;
    let dice = Dice(Entropy::seeded(42));
    let (mut cases, mut plans) = (Vec::new(), Vec::new());
    for _ in 0..CASES {
        let mut steps = Vec::new();
        for _ in 0..=dice.below(3) {
            let mut app = BTreeMap::new();
            let list = dice.list(&if dice.below(3) == 0 { Certificates::new() } else { dice.set(20) });
            match dice.below(6) {
                0 => {}
                1 => {
                    app.insert("certificates".to_owned(), dice.spoilt(&list));
                }
                2 => {
                    const SAID: &[&str] = &[
                        "nonsense",
                        "null",
                        "{}",
                        "\"a\"",
                        "[1]",
                        "[null]",
                        "[[]]",
                        "[\"a\"",
                        "[\"a\"] x",
                        "['a']",
                        "[\"\\ud800\"]",
                        "[\"a\",]",
                        "[NaN]",
                        "\u{feff}[]",
                        "[\"a\nb\"]",
                        "[\"\\x\"]",
                        "1",
                        "[\"\\ud83d\\ude00\"]",
                        "[\"\\u0000\"]",
                    ];
                    app.insert("certificates".to_owned(), (*dice.one_of(SAID)).to_owned());
                }
                _ => {
                    app.insert("certificates".to_owned(), list);
                }
            }
            match dice.below(4) {
                0 => {}
                1 => {
                    app.insert("version".to_owned(), dice.version());
                }
                _ => {
                    app.insert("version".to_owned(), (*dice.one_of(&["1", "0"])).to_owned());
                }
            }
            if dice.below(4) == 0 {
                app.insert("own".to_owned(), "{not JSON".to_owned());
            }
            app.retain(|_, text| !text.is_empty());
            steps.push((app, (0..dice.below(4)).map(|_| unit(&dice)).collect::<Vec<_>>()));
        }
        let told: Vec<_> = steps
            .iter()
            .map(|(app, units)| {
                let units: Vec<_> = units.iter().map(|unit| &unit.bag).collect();
                json!({"event": "changed", "app": app, "units": units})
            })
            .collect();
        cases.push(json!({"side": "requirer", "leader": true, "steps": told}));
        plans.push(steps);
    }

    let [mut alike, mut invalid, mut fell_back, mut told] = [0; 4];
    for (answer, steps) in in_scenario(&cases).iter().zip(plans) {
        let (mut before, mut theirs_before) = (None::<String>, None::<Certificates>);
        for (step, (app, units)) in of::<Vec<Value>>(&answer["steps"]).iter().zip(steps) {
            let bags = units
                .iter()
                .enumerate()
                .map(|(at, unit)| (format!("other/{at}"), unit.bag.clone()))
                .collect();
            let read = trust::read(&trust::Requirer { application: &app, units: &bags });
            let theirs: Certificates = of(&step["certificates"]);
            let has_errors = step["errors"] != 0;
            let seen = format!("{app:#?} {bags:#?} -> {read:#?} / {step:#}");
            // 4.3: whether it can be read both know alike.
            assert_eq!(trust::is_valid(&app), step["ready"] == true, "{seen}");
            let is_valid = trust::is_valid(&app);
            if !is_valid {
                // 4.6, fourth row: what cannot be read is nothing to the library, and no answer to us.
                invalid += 1;
                assert!(theirs.is_empty() && has_errors, "{seen}");
                assert_eq!(read.certificates, None, "{seen}");
                assert_eq!(read.notes.len(), 1, "{seen}");
            } else if !trust::looks_at_units(&app) || units.is_empty() {
                alike += 1;
                assert_eq!((read.certificates.as_ref(), has_errors), (Some(&theirs), false), "{seen}");
            } else {
                // 4.6, the second and third row: the library reads one of the units, we read all.
                fell_back += 1;
                let of_one = |unit: &Unit| {
                    unit.theirs.clone().unwrap_or_default() == theirs && unit.theirs.is_none() == has_errors
                };
                assert!(units.iter().any(of_one), "{seen}");
                let all: Certificates =
                    units.iter().filter_map(|unit| unit.ours.clone().ok().flatten()).flatten().collect();
                let is_nothing = units.iter().any(|unit| unit.ours.is_err())
                    && !units.iter().any(|unit| matches!(unit.ours, Ok(Some(_))));
                assert_eq!(read.certificates, (!is_nothing).then_some(all), "{seen}");
                assert_eq!(
                    read.notes.len(),
                    units.iter().filter(|unit| unit.ours.is_err()).count(),
                    "{seen}"
                );
            }
            // 4.4 and 4.5: the library tells whenever its set is another one, and at first contact always; so do we, but for
            // an empty set at first contact, and what cannot be read.
            let is_news = theirs_before.as_ref() != Some(&theirs);
            let expected = json!(if is_news {
                vec![json!(["certificate_set_updated", NUMBER, theirs])]
            } else {
                vec![]
            });
            assert_eq!(step["events"], expected, "{seen}");
            let Some(certificates) = read.certificates else {
                theirs_before = Some(theirs);
                continue;
            };
            let hash = trust::hash(&certificates);
            match trust::report(before.as_deref(), certificates.clone()) {
                None => assert_eq!(before.as_ref(), Some(&hash), "{seen}"),
                Some(Event::Silent { .. }) => assert!(before.is_none() && certificates.is_empty(), "{seen}"),
                Some(Event::Updated { certificates: now, .. }) => {
                    assert!(now == certificates && before.as_ref() != Some(&hash), "{seen}");
                    told += usize::from(is_news);
                }
            }
            (before, theirs_before) = (Some(hash), Some(theirs));
        }
    }
    for count in [alike, invalid, fell_back, told] {
        assert!(count > CASES / 10, "{alike} {invalid} {fell_back} {told}");
    }
}

#[test]
fn the_version_is_announced_by_leaders_and_an_end_is_told() {
    let starts = [
        bag(&[]),
        bag(&[("version", "0")]),
        bag(&[("version", "1")]),
        bag(&[("own", "{"), ("version", "x")]),
    ];
    let mut cases = Vec::new();
    for (app, leader) in starts.iter().flat_map(|app| [(app, true), (app, false)]) {
        let step = |event: &str| json!({"event": event, "app": {"certificates": "[\"a\"]"}, "units": []});
        let steps = [step("created"), step("changed"), step("broken")];
        cases.push(json!({"side": "requirer", "leader": leader, "app": app, "steps": steps}));
    }
    for (case, answer) in cases.iter().zip(in_scenario(&cases)) {
        let before: Databag = of(&case["app"]);
        let mut ours = before.clone();
        write(&mut ours, trust::announce(&before));
        let expected = if case["leader"] == true { ours } else { before };
        assert_eq!(of::<Databag>(&answer["steps"][0]["announced"]), expected, "{case}");
        let events: Vec<_> = (0..3).map(|at| answer["steps"][at]["events"].clone()).collect();
        let expected = [
            json!([]),
            json!([["certificate_set_updated", NUMBER, ["a"]]]),
            json!([["certificates_removed", NUMBER]]),
        ];
        assert_eq!(events, expected, "{case}");
    }
}
