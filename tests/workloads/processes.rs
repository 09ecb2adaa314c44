//! Children with known ends, programs executed a known number of times.

use serde_json::json;
use std::process::Command;

fn main() {
    for _ in 0..20 {
        assert!(
            Command::new("/bin/true")
                .status()
                .expect("a program")
                .success()
        );
    }
    for _ in 0..6 {
        assert_eq!(
            Command::new("/bin/sh")
                .args(["-c", "exit 7"])
                .status()
                .expect("a program")
                .code(),
            Some(7)
        );
    }
    for _ in 0..3 {
        assert_eq!(
            Command::new("/bin/sh")
                .args(["-c", "kill -9 $$"])
                .status()
                .expect("a program")
                .code(),
            None
        );
    }
    assert!(Command::new("/nonexistent/program").status().is_err());
    procmon_tests::tell(&json!({"processes": [
        {"argv": ["/bin/true"], "count": 20, "exits": {"0": 20}},
        {"argv": ["/bin/sh", "-c", "exit 7"], "count": 6, "exits": {"7": 6}},
        {"argv": ["/bin/sh", "-c", "kill -9 $$"], "count": 3, "exits": {"SIGKILL": 3}},
    ]}));
}
