//! Whether the numbers in a body are kept as they are: whole ones of more than 64 bits are read as others.

/// Which numbers a body has.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// Such as are kept as they are.
    #[default]
    Kept,
    /// A whole one of more than 64 bits, which was read as another.
    Rounded,
}

impl Numbers {
    /// Which numbers there are in a text that is JSON.
    pub(super) fn of(json: &[u8]) -> Self {
        let mut rest = json;
        while let [byte, after @ ..] = rest {
            rest = match byte {
                b'"' => after_text(after),
                b'-' | b'0'..=b'9' => {
                    let is_its = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                    let length = rest.iter().position(|byte| !is_its(byte)).unwrap_or(rest.len());
                    let (number, after) = rest.split_at(length);
                    if is_rounded(number) {
                        return Numbers::Rounded;
                    }
                    after
                }
                _ => after,
            };
        }
        Numbers::Kept
    }
}

/// What follows the text that has just begun.
fn after_text(json: &[u8]) -> &[u8] {
    let mut rest = json;
    loop {
        rest = match rest {
            [b'\\', _, after @ ..] => after,
            [b'"', after @ ..] => return after,
            [_, after @ ..] => after,
            [] => return rest,
        };
    }
}

fn is_rounded(number: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(number) else { return false };
    !text.contains(['.', 'e', 'E']) && text.parse::<i64>().is_err() && text.parse::<u64>().is_err()
}
