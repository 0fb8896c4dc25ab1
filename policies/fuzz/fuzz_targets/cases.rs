//! Any text as `portcullis_policy_fuzz::cases` takes it.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| portcullis_policy_fuzz::cases(text));
