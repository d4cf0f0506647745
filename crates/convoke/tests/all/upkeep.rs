//! What the log tells of the work that goes on by itself.

use serde_json::Value;

use crate::support::{Place, eventually};

#[test]
fn what_does_not_succeed_is_told_in_words() {
    // A database without its schema has nothing that could be cleaned up.
    let place = Place::new().with("CONVOKE__DATABASE__MIGRATE", "off");
    let service = place.spawn(&[]);
    let is_told = || {
        let log = service.stderr();
        // The last line may be half written yet.
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.any(|line| line["message"] == "the clean-up did not succeed" && line["error"].is_string())
    };
    eventually("told", is_told, || service.stderr());
}
