//! libFuzzer's entry to the target `flat`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::flat::run(data));
