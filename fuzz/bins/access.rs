//! libFuzzer's entry to the target `access`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::access::run(data));
