//! libFuzzer's entry to the target `message`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::message::run(data));
