//! Why rules could not be judged.

use procmon_profile::model::Findings;
use procmon_profile::text::Text;
use std::collections::BTreeMap;

/// Rules that could not be judged, by reason, the most frequent first.
pub(crate) fn not_judged(findings: &Findings) -> Vec<(&Text, Vec<&str>)> {
    let mut reasons: BTreeMap<&Text, Vec<&str>> = BTreeMap::new();
    for row in &findings.not_judged {
        reasons.entry(&row.reason).or_default().push(&row.rule);
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, rules)| std::cmp::Reverse(rules.len()));
    reasons
}
