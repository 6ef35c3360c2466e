//! Which names are those of secrets: for whoever keeps such a thing, and for whoever sends it.

/// Words that make whatever has them in its name a secret.
const SECRET_WORDS: [&str; 18] = [
    "apikey",
    "apikeys",
    "authorization",
    "bearer",
    "credential",
    "credentials",
    "pwd",
    "token",
    "tokens",
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "passphrases",
    "secret",
    "secrets",
    "key",
    "keys",
];

/// Whether what is called `name` is a secret: one of the words in it says so, whatever their case and what stands between
/// them. `_key` counts also where the word goes on, as it did in Commissaire (its contract, section 3.5).
#[must_use]
pub fn names_a_secret(name: &str) -> bool {
    let words = words(name);
    words.contains("_key") || words.split('_').any(|word| SECRET_WORDS.contains(&word))
}

/// A name in lower case, with `_` between its words: `client_secret` also of `Client-Secret` and `clientSecret`.
fn words(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    let mut words = String::with_capacity(name.len());
    for (n, character) in characters.iter().enumerate() {
        let before = n.checked_sub(1).map(|n| characters[n]);
        let after_small = before.is_some_and(|before| before.is_lowercase() || before.is_ascii_digit());
        let ends_capitals = before.is_some_and(char::is_uppercase)
            && characters.get(n + 1).is_some_and(|after| after.is_lowercase());
        if !character.is_alphanumeric() {
            words.push('_');
            continue;
        }
        if character.is_uppercase() && (after_small || ends_capitals) {
            words.push('_');
        }
        words.extend(character.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_words() {
        for (name, expected) in [
            ("token", true),
            ("Token", true),
            ("TOKEN", true),
            ("access-token", true),
            ("accessToken", true),
            ("secret", true),
            ("client_secret", true),
            ("passwd", true),
            ("ssh.passphrase", true),
            ("key", true),
            ("Keys", true),
            ("ssh_priv_key", true),
            ("ssh-priv-key", true),
            ("APIKey", true),
            ("apiKey", true),
            ("a_keyring", true),
            ("apikey", true),
            ("db-pwd", true),
            ("Authorization", true),
            ("monkey", false),
            ("keyspace", false),
            ("tokenizer", false),
            ("secretary", false),
            ("server_url", false),
            ("", false),
        ] {
            assert_eq!(names_a_secret(name), expected, "{name}");
        }
    }
}
