//! Hands what libFuzzer makes up to [`pvecm_fuzz::datacenter_cfg`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pvecm_fuzz::datacenter_cfg(bytes));
