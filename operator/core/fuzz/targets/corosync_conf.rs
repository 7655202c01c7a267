//! Hands what libFuzzer makes up to [`pvecm_fuzz::corosync_conf`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pvecm_fuzz::corosync_conf(bytes));
