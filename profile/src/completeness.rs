//! placeholder
pub fn coverage(seen_once: u64, observations: u64) -> f64 { if observations == 0 { 0.0 } else { 1.0 - seen_once as f64 / observations as f64 } }
