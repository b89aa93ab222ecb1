//! The style sheet.

use std::collections::BTreeSet;

use super::sources::read;

/// Classes that have more than one rule of their own, apart from those for some screens, which are indented: two
/// components use the word for different things, and each gets the other's looks.
fn said_twice(sheet: &str) -> Vec<&str> {
    let heads = sheet.lines().filter_map(|line| line.strip_prefix('.')?.split_once(" {")).map(|(class, _)| class);
    let alone = heads.filter(|class| class.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-'));
    let mut known = BTreeSet::new();
    alone.filter(|class| !known.insert(*class)).collect()
}

#[test]
fn a_class_means_one_thing() {
    let sheet =
        ".review { a: b; }\n.review p { a: b; }\n.said, .review { a: b; }\n@media x {\n  .review { a: b; }\n}\n";
    assert!(said_twice(sheet).is_empty());
    assert_eq!(said_twice(&format!("{sheet}.review {{ c: d; }}\n")), ["review"]);
    assert!(read("frontend/style.css".as_ref()).contains("\n.card {"), "this test reads it wrongly");
    assert_eq!(said_twice(&read("frontend/style.css".as_ref())), Vec::<&str>::new());
}
