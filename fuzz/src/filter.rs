//! The language of filters: a criterion on each line, and then, behind an empty line, JSON to be filtered.

use entry::{Filter, Object, Value, json};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (criteria, values) = text.split_once("\n\n").unwrap_or((text, ""));
    let Ok(filter) = Filter::parse(criteria.lines()) else { return };
    let objects: Vec<_> = values
        .lines()
        .filter_map(|line| json::read(line).ok())
        .filter_map(|value| value.as_object().cloned())
        .collect();
    let mut warnings = 0;
    let kept = filter.apply(&objects, |object| object, &mut |_| warnings += 1);
    assert!(warnings <= objects.len() * criteria.lines().count());
    // In their order, and each once.
    let mut rest = objects.iter();
    for object in &kept {
        assert!(rest.any(|other| std::ptr::eq(other, *object)), "{:?}", Value::Object((*object).clone()));
    }
    let nothing: [Object; 0] = [];
    assert!(filter.apply(&nothing, |object| object, &mut |_| panic!("nothing is compared")).is_empty());
}
