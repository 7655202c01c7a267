//! Hands what libFuzzer makes up to [`pvecm_fuzz::property_string`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pvecm_fuzz::property_string(bytes));
