//! Any bytes as `portcullis_guard_fuzz::form` takes them.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_guard_fuzz::form(bytes));
