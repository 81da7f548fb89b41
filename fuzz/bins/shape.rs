//! libFuzzer's entry to the target `shape`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::shape::run(data));
