//! The inventory, looked up as the files and the manual pages name things.

use super::{Kind, Standing, TakesEffect, Width, address_link, find, is_section, sections};

fn change(section: &str, name: &str) -> TakesEffect {
    find(section, name).unwrap_or_else(|| panic!("{section}.{name}")).change.takes_effect
}

#[test]
fn a_key_is_found_by_its_section_and_its_name_and_nowhere_else() {
    assert!(find("totem", "token").is_some());
    assert!(find("totem.interface", "token").is_none());
    assert!(find("", "token").is_none());
    assert!(find("totem", "tokenx").is_none());
    assert!(find("logging", "debug").is_some());
    assert!(find("logging.logger_subsys", "debug").is_some());
    assert!(find("logging.logger_subsys", "timestamp").is_none());
    assert!(find("resources.system.memory_used", "poll_period").is_some());
    assert!(find("quorum.device.heuristics", "exec_ping").is_some());
}

#[test]
fn every_ring_address_is_one_key_whatever_its_number() {
    for name in ["ring0_addr", "ring7_addr", "ring01_addr", "ring12_addr"] {
        assert_eq!(find("nodelist.node", name).map(|key| key.name), Some("ringX_addr"), "{name}");
    }
    for name in ["ring_addr", "link0_addr", "ringX_addr", "ring0_addrs", "xring0_addr"] {
        assert!(find("nodelist.node", name).is_none(), "{name}");
    }
    assert_eq!(address_link("ring01_addr"), Some(1));
}

#[test]
fn sections_are_known_with_all_that_is_around_them() {
    for path in ["totem", "nodelist", "nodelist.node", "quorum.device.net", "resources.system.x"] {
        assert!(is_section(path), "{path}");
    }
    for path in ["", "node", "totem.node", "totem.interface.member.x", "service"] {
        assert!(!is_section(path), "{path}");
    }
}

#[test]
fn no_key_is_there_twice_and_each_has_its_facts() {
    let mut seen = std::collections::BTreeSet::new();
    for section in sections() {
        for key in section.keys {
            assert!(seen.insert((section.path, key.name)), "{}.{}", section.path, key.name);
            assert!(!key.default.is_empty(), "{}", key.name);
            let source = key.change.source;
            assert!(source.starts_with("pve.md") || source.starts_with("corosync.md"), "{source}");
            if let Kind::Number(number) = key.kind {
                assert!(number.accepted.contain(number.sensible.least), "{}", key.name);
                assert!(number.accepted.contain(number.sensible.most), "{}", key.name);
            }
            let ignored = key.change.takes_effect == TakesEffect::Never;
            let obsolete = matches!(key.standing, Standing::Corosync2Only | Standing::Deprecated);
            assert_eq!(ignored, obsolete, "{}", key.name);
        }
    }
    assert!(seen.len() > 100, "{} keys", seen.len());
}

#[test]
fn the_ways_in_which_changes_take_effect_are_those_that_were_measured() {
    let cases = [
        ("totem", "token", TakesEffect::LiveAfterSecondReload),
        ("totem", "consensus", TakesEffect::Live),
        ("totem", "link_mode", TakesEffect::RestartSilent),
        ("totem", "transport", TakesEffect::FullStop),
        ("totem", "cluster_name", TakesEffect::RestartLogged),
        ("totem", "crypto_cipher", TakesEffect::Live),
        ("totem", "rrp_mode", TakesEffect::Never),
        ("totem.interface", "knet_link_priority", TakesEffect::Live),
        ("totem.interface", "mcastport", TakesEffect::RestartSilent),
        ("totem.interface", "knet_transport", TakesEffect::RefusesFile),
        ("nodelist.node", "ring3_addr", TakesEffect::RefusesFile),
        ("nodelist.node", "quorum_votes", TakesEffect::Live),
        ("quorum", "wait_for_all", TakesEffect::RestartSilent),
        ("quorum", "provider", TakesEffect::RestartLogged),
        ("quorum.device", "votes", TakesEffect::Live),
        ("quorum.device.net", "algorithm", TakesEffect::QdeviceRestart),
        ("system", "sched_rr", TakesEffect::RestartLogged),
        ("logging", "debug", TakesEffect::Live),
    ];
    for (section, name, wanted) in cases {
        assert_eq!(change(section, name), wanted, "{section}.{name}");
    }
}

fn read(width: Width, text: &str) -> Option<i128> {
    width.read(text.as_bytes())
}

#[test]
fn numbers_are_read_as_corosync_reads_them() {
    let taken = [("5000", 5000), ("+5", 5), ("007", 7), ("-0", 0), ("\u{b}5", 5)];
    for (text, value) in taken {
        assert_eq!(read(Width::U32, text), Some(value), "{text:?}");
    }
    let malformed = ["", "+", "-", "--1", "+-1", "- 1", "0x5", "1.5", "4a", "5_000", "5\u{c}", "١"];
    for width in [Width::U8, Width::U32, Width::U64, Width::I32, Width::Text] {
        let read: Vec<_> = malformed.into_iter().filter_map(|text| read(width, text)).collect();
        assert!(read.is_empty(), "{width:?} {read:?}");
    }
}

#[test]
fn a_number_out_of_its_width_is_none_but_64_bits_wrap_below_zero() {
    let cases = [
        (Width::U8, "255", Some(255)),
        (Width::U8, "256", None),
        (Width::U8, "-1", None),
        (Width::U16, "65536", None),
        (Width::U32, "4294967295", Some(u32::MAX.into())),
        (Width::U32, "4294967296", None),
        (Width::I32, "-2147483648", Some(i32::MIN.into())),
        (Width::I32, "2147483648", None),
        (Width::U64, "-1", Some(u64::MAX.into())),
        (Width::U64, "18446744073709551616", None),
    ];
    for (width, text, value) in cases {
        assert_eq!(read(width, text), value, "{width:?} {text}");
    }
}

#[test]
fn zero_is_the_default_where_corosync_refuses_small_numbers() {
    let Some(Kind::Number(token)) = find("totem", "token").map(|key| key.kind) else {
        panic!("token is a number")
    };
    for (value, accepted) in [(0, true), (1, false), (29, false), (30, true)] {
        assert_eq!(token.accepts_value(value), accepted, "{value}");
    }
    let words = "a number from 30 to 4294967295 ms, 0 for the default";
    assert_eq!(token.to_string(), words);
}
