//! libFuzzer's entry to the target `entity`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::entity::run(data));
