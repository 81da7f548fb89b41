//! libFuzzer's entry to the target `batch`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::batch::run(data));
