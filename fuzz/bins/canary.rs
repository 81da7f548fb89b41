//! libFuzzer's entry to the target `canary`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::canary::run(data));
