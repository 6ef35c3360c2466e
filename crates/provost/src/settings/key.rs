//! What a setting is: its names, what it may hold, and what holds when nobody says anything. [`KEYS`] has all of them.

pub use super::keys::KEYS;

/// One setting.
#[derive(Clone, Copy)]
pub struct Key {
    /// Its name in the file, dotted: `ca.services.crt_validity_days`.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// What holds when nobody says anything.
    pub default: Default,
    /// What it is for: the first line stands alone in `-h`, the others follow in `--help`.
    pub docs: &'static [&'static str],
}

/// What a setting may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text whose form the setting itself knows; the word stands for it in the help.
    Text(&'static str),
    /// A path; the word stands for it in the help.
    Path(&'static str),
    /// A whole number that is not negative; the word stands for it in the help.
    Whole(&'static str),
    /// A number of days, of which there may be a fraction.
    Days,
    /// A number of seconds, of which there may be a fraction.
    Seconds,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Yes or no.
    Switch,
    /// Any number of texts; the word stands for one of them in the help.
    List(&'static str),
}

/// What holds when nobody says anything.
#[derive(Clone, Copy)]
pub enum Default {
    /// This value, as TOML writes it.
    Is(&'static str),
    /// What follows from something else, in words, and a possible value as TOML writes it.
    Follows(&'static str, &'static str),
}

impl Key {
    /// Its flag: `--ca-services-crt-validity-days`.
    pub fn flag(&self) -> String {
        format!("--{}", self.long())
    }

    /// Its flag without the dashes in front.
    pub fn long(&self) -> String {
        self.name.replace(['.', '_'], "-")
    }

    /// Its environment variable: `PROVOST_CA_SERVICES_CRT_VALIDITY_DAYS`.
    pub fn variable(&self) -> String {
        format!("PROVOST_{}", self.name.replace('.', "_").to_uppercase())
    }

    /// The table it stands in and its name there: `("ca.services", "crt_validity_days")`.
    pub fn place(&self) -> (&'static str, &'static str) {
        self.name.rsplit_once('.').unwrap_or(("", self.name))
    }

    /// The word that stands for its value in the help.
    pub fn value_word(&self) -> String {
        match self.kind {
            Kind::Text(word) | Kind::Path(word) | Kind::Whole(word) | Kind::List(word) => word.to_owned(),
            Kind::Days => "DAYS".to_owned(),
            Kind::Seconds => "SECONDS".to_owned(),
            Kind::Choice(words) => words.join("|"),
            Kind::Switch => "true|false".to_owned(),
        }
    }
}

/// The setting of that name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The known name nearest to `name`, if one is near enough to be what was meant.
pub fn nearest(name: &str) -> Option<&'static Key> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    // The right word in the wrong table first, then the fewest slips of the finger.
    KEYS.iter().find(|key| last(key.name) == last(name)).or_else(|| {
        let closeness = |key: &Key| strsim::normalized_damerau_levenshtein(key.name, name);
        KEYS.iter()
            .max_by(|one, other| closeness(one).total_cmp(&closeness(other)))
            .filter(|key| closeness(key) > 0.6)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_given_once() {
        let count = |name: &dyn Fn(&Key) -> String| KEYS.iter().map(name).collect::<BTreeSet<_>>().len();
        assert_eq!(count(&|key| key.name.to_owned()), KEYS.len());
        assert_eq!(count(&Key::flag), KEYS.len());
        assert_eq!(count(&Key::variable), KEYS.len());
        assert!(KEYS.iter().all(|key| key.variable() != "PROVOST_CONFIG"));
    }

    /// TOML forbids opening a table twice.
    #[test]
    fn the_settings_of_one_table_stand_together() {
        let mut tables: Vec<_> = KEYS.iter().map(|key| key.place().0).collect();
        tables.dedup();
        assert_eq!(tables.iter().collect::<BTreeSet<_>>().len(), tables.len(), "{tables:?}");
        assert_eq!(tables[0], "");
    }

    #[test]
    fn a_key_has_three_names() {
        let key = find("ca.services.crt_validity_days").unwrap();
        assert_eq!(key.flag(), "--ca-services-crt-validity-days");
        assert_eq!(key.variable(), "PROVOST_CA_SERVICES_CRT_VALIDITY_DAYS");
        assert_eq!(key.place(), ("ca.services", "crt_validity_days"));
    }

    #[test]
    fn the_nearest_name_is_found() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(nearest(name).map(|key| key.name), expected, "{name}");
        };
        check("ca.service.crt_validity_days", Some("ca.services.crt_validity_days"));
        check("ca.services.crt_validty_days", Some("ca.services.crt_validity_days"));
        check("drain_seconds", Some("limits.drain_seconds"));
        check("netlok", Some("netloc"));
        check("colour", None);
    }
}
