//! Which name was meant.

/// The one of `known` that is nearest to `name`, if one is near enough to be what was meant.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let near = known.into_iter().map(|known| (strsim::jaro_winkler(known, name), known));
    near.filter(|(nearness, _)| *nearness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// A hint that names it.
pub fn meant<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    nearest(name, known).map(|nearest| format!("is `{nearest}` meant?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_forgiven() {
        for (name, expected) in [("filepaht", Some("filepath")), ("user", Some("users")), ("colour", None)] {
            assert_eq!(nearest(name, ["filepath", "users", "domain"]), expected, "{name}");
        }
        assert_eq!(meant("url", []), None);
    }
}
