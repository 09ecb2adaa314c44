#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| procmon_fuzz::entries::rule(bytes));
