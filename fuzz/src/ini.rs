//! Configuration files of the artifact cache's old clients.

use cli::compat::networkcache::ini::{Ini, VALUE_BYTES_MAX};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(ini) = Ini::parse(text) else { return };
    for name in ini.names() {
        let section = ini.section(name).expect("it has a name");
        for option in section.names() {
            let raw = section.raw(option).expect("it has a name");
            assert!(raw.len() <= text.len(), "{option}");
            match section.get(option) {
                Ok(value) => {
                    let value = value.expect("it has a raw value");
                    assert!(value.len() <= VALUE_BYTES_MAX, "{option}");
                    assert!(raw.contains('%') || value == raw, "{option}");
                }
                Err(_) => assert!(raw.contains('%'), "{option}"),
            }
        }
        // What is read can be written, and is read again.
        let written: String = section
            .names()
            .filter_map(|option| Some((option, section.raw(option)?)))
            .map(|(option, raw)| format!("{option} = {}\n", raw.replace('\n', "\n  ")))
            .collect();
        let again = Ini::parse(&format!("[{name}]\n{written}")).expect("it was just written");
        let again = again.section(name).map(|again| again.names().count());
        assert!(name == "DEFAULT" || again == Some(section.names().count()), "{written}");
    }
}
