//! Comparing as things are held, so that a tree is made only where bytes differ.

use std::collections::BTreeMap;

use super::compare::{Comparison, compare, rewritten};
use crate::model::{Canonical, FieldPath, KindRules, Observed, RecordEntry, Value, members};

/// As [`compare`], for both sides as they are held: trees are made only where the bytes differ.
///
/// What was observed counts as nothing if it is not JSON; the driver has checked that it is.
pub fn compare_held(
    desired: &Canonical,
    observed: &Observed,
    recorded: Option<&RecordEntry>,
    rules: &KindRules,
) -> Comparison {
    if is_plainly_equal(desired, &observed.body, recorded, rules) {
        return Comparison::default();
    }
    let (want, have) = (desired.value(), observed.value().unwrap_or(Value::Null));
    // Where the record holds what is wanted now, it says who moved and never that something did.
    if recorded.is_some_and(|entry| entry.sent == *desired) {
        let found = compare(&want, &have, None, rules);
        if found.is_equal() {
            return found;
        }
    }
    compare(&want, &have, recorded, rules)
}

/// As [`super::rewritten`], for both sides as they are held.
pub fn rewritten_held(
    sent: &Canonical,
    readback: &Observed,
    rules: &KindRules,
) -> BTreeMap<FieldPath, Option<Canonical>> {
    if is_plainly_equal(sent, &readback.body, None, rules) {
        return BTreeMap::new();
    }
    // What is not JSON says nothing about what was made of it.
    readback.value().map(|value| rewritten(&sent.value(), &value, rules)).unwrap_or_default()
}

/// True only if [`compare`] finds nothing: the record (if there is one) holds what is wanted now, and each stated member
/// is there in the very same bytes. Equal members have equal insides, so no rule below the top level can tell them apart;
/// what a rule says about the top level itself is looked at here. `false` means nothing.
fn is_plainly_equal(desired: &Canonical, observed: &[u8], recorded: Option<&RecordEntry>, rules: &KindRules) -> bool {
    let want = desired.as_bytes();
    // A reference and data that looks like one have the same bytes.
    if want.contains(&b'$') || recorded.is_some_and(|entry| entry.sent != *desired) {
        return false;
    }
    if rules.exact.is_some() || rules.fields.keys().any(|path| path.is_root()) {
        return false;
    }
    let (Some(want), Some(mut have)) = (members(want), members(observed)) else { return false };
    if !have.is_sorted_by_key(|(name, _)| *name) {
        have.sort_unstable_by_key(|(name, _)| *name);
    }
    let mut rest = have.iter();
    let stated = want.iter().all(|member| rest.find(|(name, _)| *name >= member.0) == Some(member));
    let find = |of: &[(&str, &[u8])], name: &str| of.iter().position(|(other, _)| *other == name);
    let defaults = rules.fields.iter().filter_map(|(path, rule)| match path.segments() {
        [name] => rule.default.as_ref().map(|default| (name, default)),
        _ => None,
    });
    stated
        && defaults.into_iter().all(|(name, default)| match (find(&want, name), find(&have, name)) {
            (None, Some(there)) => have[there].1 == default.canonical().as_bytes(),
            (Some(_), _) | (None, None) => true,
        })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::model::{FieldRule, Inits, Key, Kind, SecretMode, Unordered, parse_json};

    fn entry(sent: Canonical) -> RecordEntry {
        RecordEntry::of(Kind::new("k"), Key::of_texts(&["a"]), sent)
    }

    fn rules(which: usize) -> KindRules {
        let mut rules = KindRules::conventional(Kind::new("k"), &["name"]);
        let mut rule = |path: &str, rule: FieldRule| _ = rules.fields.insert(FieldPath::parse(path), rule);
        match which {
            0 => {}
            1 => rule("a", FieldRule { default: Some(Value::from("x")), ..FieldRule::default() }),
            2 => rule("/b/a", FieldRule { default: Some(Value::from(1_u64)), ..FieldRule::default() }),
            3 => rule("b", FieldRule { exact: true, ..FieldRule::default() }),
            4 => rule("b", FieldRule { unordered: Some(Unordered::ByValue), ..FieldRule::default() }),
            5 => rule("a", FieldRule { secret: Some(SecretMode::WriteOnly), ..FieldRule::default() }),
            6 => rule("", FieldRule { exact: true, ..FieldRule::default() }),
            _ => rules.exact = Some(Inits::default()),
        }
        rules
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            Just(Value::from("x")),
            Just(Value::from(1_u64)),
            Just(Value::Secret(crate::model::SecretRef { name: "n".into(), version: None })),
            Just(parse_json(br#"{"$secret":"n"}"#).unwrap()),
        ];
        leaf.prop_recursive(2, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
                prop::collection::btree_map("[ab]|name", inner, 0..3).prop_map(Value::Object),
            ]
        })
    }

    fn object() -> impl Strategy<Value = BTreeMap<String, Value>> {
        prop::collection::btree_map("[abc]|name", value(), 0..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn bytes_are_called_equal_only_where_trees_are(
            want in object(), more in object(), sent in prop::option::of(object()), same in any::<bool>(), which in 0..8_usize,
        ) {
            let rules = rules(which);
            let mut have = more;
            have.extend(want.clone());
            let desired = Value::Object(want).canonical();
            let observed = Value::Object(have).canonical();
            let sent = sent.map(|sent| if same { desired.clone() } else { Value::Object(sent).canonical() }).map(entry);
            let seen = Observed {
                key: Key::of_texts(&["a"]),
                body: Bytes::copy_from_slice(observed.as_bytes()),
                token: None,
                uid: None,
                mark: None,
            };
            let full = compare(&desired.value(), &seen.value().unwrap(), sent.as_ref(), &rules);
            prop_assert_eq!(compare_held(&desired, &seen, sent.as_ref(), &rules), full);
            if is_plainly_equal(&desired, observed.as_bytes(), sent.as_ref(), &rules) {
                let tree = parse_json(observed.as_bytes()).unwrap();
                prop_assert_eq!(compare(&desired.value(), &tree, sent.as_ref(), &rules), Comparison::default());
            }
        }
    }

    #[test]
    fn the_order_and_company_of_members_mean_nothing() {
        let desired = parse_json(br#"{"a":[1,2],"b":{"c":"x"}}"#).unwrap().canonical();
        let seen = |text: &'static str| Observed {
            key: Key::of_texts(&["a"]),
            body: Bytes::from_static(text.as_bytes()),
            token: None,
            uid: None,
            mark: None,
        };
        let equal = |text| is_plainly_equal(&desired, &seen(text).body, Some(&entry(desired.clone())), &rules(0));
        assert!(equal(r#"{"z":1,"b":{"c":"x"},"a":[1,2]}"#));
        assert!(!equal(r#"{"z":1,"b":{"c":"y"},"a":[1,2]}"#));
        assert!(!equal(r#"{"b":{"c":"x"}}"#));
        // The tree says it where the bytes do not.
        let spelled = seen(r#"{"b":{"c":"x", "d":1},"a":[1, 2.0]}"#);
        assert!(compare_held(&desired, &spelled, None, &rules(0)).is_equal());
    }
}
