//! libFuzzer's entry to the target `import`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::import::run(data));
