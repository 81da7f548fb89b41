//! libFuzzer's entry to the target `commands`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::commands::run(data));
