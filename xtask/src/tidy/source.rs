//! Rust text with everything taken out that the rules do not look at.
//!
//! Not a parser: comments, strings and test modules become spaces, so that lines and columns stay
//! where they were, and the rest is searched for words and paths.

/// A file's code, and its string literals beside it.
pub(crate) struct Source {
    /// The text; comments, strings and characters are spaces. As long as the original.
    code: String,
    /// Where each string literal begins, and what stands in it, escapes as written.
    literals: Vec<(usize, String)>,
}

impl Source {
    /// Takes `text` apart. Text that is not Rust gives something, never a panic.
    pub(crate) fn read(text: &str) -> Self {
        let mut reader =
            Reader { text, at: 0, code: String::with_capacity(text.len()), literals: Vec::new() };
        while reader.at < text.len() {
            reader.step();
        }
        Self { code: reader.code, literals: reader.literals }
    }

    /// Without what is compiled for tests only: each item after a `#[cfg(test)]` or `#[cfg(all(test, …))]`.
    #[must_use]
    pub(crate) fn without_tests(mut self) -> Self {
        let mut from = 0;
        while let Some(begin) = find_any(&self.code, from, &["#[cfg(test)]", "#[cfg(all(test,"]) {
            let end = end_of_item(&self.code, begin);
            let blank = blank(&self.code[begin..end]);
            self.code.replace_range(begin..end, &blank);
            self.literals.retain(|(at, _)| !(begin..end).contains(at));
            from = end;
        }
        self
    }

    /// The lines, counted from 1 and ascending, on which `path` stands as whole words: inline, or
    /// spelled by a `use` with braces. A `path` that ends with `::` asks for anything below it.
    pub(crate) fn lines_naming(&self, path: &str) -> Vec<usize> {
        let mut places: Vec<usize> = self.words(path).collect();
        let imported = self.imports().into_iter().filter(|(_, imported)| {
            imported
                .strip_prefix(path)
                .is_some_and(|rest| path.ends_with("::") || rest.is_empty() || rest.starts_with("::"))
        });
        places.extend(imported.map(|(at, _)| at));
        let mut lines: Vec<usize> = places.into_iter().map(|at| self.line(at)).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    /// Where `word` stands in the code and is not a part of a longer word. A `word` that ends with
    /// `::` begins a path.
    pub(crate) fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
            let before = self.code[..at].chars().next_back();
            let after = self.code[at + word.len()..].chars().next();
            if word.ends_with("::") {
                !before.is_some_and(|c| is_word(c) || c == ':')
            } else {
                !before.is_some_and(is_word) && !after.is_some_and(is_word)
            }
        })
    }

    /// The string literals and the lines they begin on.
    pub(crate) fn literals(&self) -> impl Iterator<Item = (usize, &str)> {
        self.literals.iter().map(|(at, text)| (self.line(*at), text.as_str()))
    }

    /// The code before and after the place `at`.
    pub(crate) fn around(&self, at: usize) -> (&str, &str) {
        self.code.split_at(at)
    }

    /// The line of the place `at`, counted from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        1 + self.code[..at].matches('\n').count()
    }

    /// Each path that a `use` brings in, braces spelled out, and where its last part stands.
    fn imports(&self) -> Vec<(usize, String)> {
        let mut imports = Vec::new();
        for begin in self.words("use") {
            let begin = begin + "use".len();
            let end = self.code[begin..].find(';').map_or(self.code.len(), |length| begin + length);
            // What the paths inside each open brace begin with.
            let mut prefixes = vec![String::new()];
            let mut path = String::new();
            for (offset, c) in self.code[begin..end].char_indices().chain([(end - begin, ',')]) {
                match c {
                    '{' => prefixes.push(path.clone()),
                    ',' | '}' => {
                        if prefixes.last() != Some(&path) {
                            // The new name after `as` is of no interest.
                            let named = path.split(' ').next().unwrap_or_default().to_owned();
                            imports.push((begin + offset.saturating_sub(1), named));
                        }
                        if c == '}' && prefixes.len() > 1 {
                            prefixes.pop();
                        }
                        path = prefixes.last().cloned().unwrap_or_default();
                    }
                    c if c.is_whitespace() => {
                        if path.chars().next_back().is_some_and(is_word) {
                            path.push(' ');
                        }
                    }
                    c => path.push(c),
                }
            }
        }
        imports
    }
}

/// Letters, digits and `_`.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the item that begins at `begin` with an attribute ends: after its braces, or after its `;`.
fn end_of_item(code: &str, begin: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, c) in code[begin..].char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && c == '}' {
                    return begin + offset + 1;
                }
            }
            ';' if depth == 0 => return begin + offset + 1,
            _ => {}
        }
    }
    code.len()
}

/// The first place at or after `from` where one of `needles` stands.
fn find_any(code: &str, from: usize, needles: &[&str]) -> Option<usize> {
    needles.iter().filter_map(|needle| code[from..].find(needle)).min().map(|at| from + at)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    code: String,
    literals: Vec<(usize, String)>,
}

impl Reader<'_> {
    /// Takes the next comment, string, character or plain character.
    fn step(&mut self) {
        let rest = &self.text[self.at..];
        let Some(first) = rest.chars().next() else { return };
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => return self.literal(1, end_of_string(rest), 1),
            'r' if !self.code.chars().next_back().is_some_and(|c| is_word(c) && c != 'b' && c != 'c') => {
                match raw_string(rest) {
                    Some((open, length)) => return self.literal(open, length, open - 1),
                    None => 0,
                }
            }
            '\'' => character(rest),
            _ => 0,
        };
        if length == 0 {
            self.code.push(first);
            self.at += first.len_utf8();
        } else {
            self.blank(length);
        }
    }

    /// Takes a string literal of `length` bytes, quotes included, and keeps what is between them.
    fn literal(&mut self, open: usize, length: usize, close: usize) {
        let text = self.text[self.at..self.at + length].get(open..length.saturating_sub(close));
        self.literals.push((self.at, text.unwrap_or_default().to_owned()));
        self.blank(length);
    }

    /// Writes spaces for the next `length` bytes, keeping the lines.
    fn blank(&mut self, length: usize) {
        self.code.push_str(&blank(&self.text[self.at..self.at + length]));
        self.at += length;
    }
}

/// As many spaces as `text` has bytes, with its line ends kept.
fn blank(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

/// The length of the block comment at the start of `rest`; they nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of the string at the start of `rest`, both quotes included.
fn end_of_string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of `r#"` and of the whole raw string at the start of `rest`, when it is one.
fn raw_string(rest: &str) -> Option<(usize, usize)> {
    let hashes = rest[1..].bytes().take_while(|&byte| byte == b'#').count();
    let open = hashes + 2;
    if rest.as_bytes().get(open - 1) != Some(&b'"') {
        return None;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let length = rest[open..].find(&close).map_or(rest.len(), |at| open + at + close.len());
    Some((open, length))
}

/// The length of the character literal at the start of `rest`; 0 when it is a lifetime.
fn character(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => {
            // Whatever is escaped may itself be a quote.
            let close = rest.char_indices().skip(3).find(|(_, c)| *c == '\'');
            close.map_or(0, |(at, _)| at + 1)
        }
        Some(_) => match characters.next() {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_where_they_are_code() {
        let check = |text: &str, path: &str, expected: &[usize]| {
            assert_eq!(Source::read(text).lines_naming(path), expected, "{text}");
        };
        check("let a = std::fs::read();", "std::fs", &[1]);
        check("let a = mystd::fs::read();", "std::fs", &[]);
        check("let a = std::fsx::read();", "std::fs", &[]);
        check("// std::fs\n/* /* std::fs */ std::fs */ let a = 1;", "std::fs", &[]);
        check("let a = \"std::fs \\\" std::fs\"; std::fs::read()", "std::fs", &[1]);
        check("let a = r#\"std::fs \" std::fs\"#;\nstd::fs::read()", "std::fs", &[2]);
        check("let a = ('\"', '\\'', b'\"', '\\u{22}');\nstd::fs::read()", "std::fs", &[2]);
        check("fn a<'a>(b: &'a str) {}\nstd::fs::read()", "std::fs", &[2]);
        check("let r#type = 1;\nstd::fs::read()", "std::fs", &[2]);
        check("/* never ends: std::fs", "std::fs", &[]);
        check("\"never ends: std::fs", "std::fs", &[]);
        check("'", "std::fs", &[]);
        check("let é = 'é'; std::fs::read()", "std::fs", &[1]);
    }

    #[test]
    fn imports_with_braces_are_spelled_out() {
        let check = |text: &str, path: &str, expected: &[usize]| {
            assert_eq!(Source::read(text).lines_naming(path), expected, "{text}");
        };
        check("use std::{io, fs};", "std::fs", &[1]);
        check("use std::{\n    io::{self, Read},\n    fs::File as Paper,\n};", "std::fs", &[3]);
        check("use std::{io::{self, fs}, net};", "std::fs", &[]);
        check("use std::{io::{self, fs}, net};", "std::net", &[1]);
        check("pub use crate::fs;", "std::fs", &[]);
        check("use tokio::{spawn};", "tokio::spawn", &[1]);
        check("use ca::Authority;", "ca::", &[1]);
        check("crate::ca::Authority", "ca::", &[]);
        check("use {ca::Authority, base::Clock};", "ca::", &[1]);
        check("use", "ca::", &[]);
    }

    #[test]
    fn tests_are_left_out() {
        let source = Source::read(
            "fn a() { one() }\n#[cfg(test)]\nmod tests {\n    fn b() { two(\"}\") }\n}\nfn c() { three(\"x\") }\n\
             #[cfg(test)]\nuse two;\n#[cfg(all(test, unix))]\n#[expect(x)]\nfn d() { two() }\nfn e() { four() }",
        )
        .without_tests();
        assert_eq!(source.lines_naming("one"), [1]);
        assert_eq!(source.lines_naming("two"), [0; 0]);
        assert_eq!(source.lines_naming("three"), [6]);
        assert_eq!(source.lines_naming("four"), [12]);
        assert_eq!(source.literals().collect::<Vec<_>>(), [(6, "x")]);
    }

    #[test]
    fn literals_are_kept_beside_the_code() {
        let source = Source::read("f(\"a\\\"b\",\n br##\"c\"#d\"##, \"\")");
        assert_eq!(source.literals().collect::<Vec<_>>(), [(1, "a\\\"b"), (2, "c\"#d"), (2, "")]);
    }
}
