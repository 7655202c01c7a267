//! The keys of datacenter.cfg in pve-cluster 9.1.6, and what their values may be (pve.md 6.2).

use super::value::{Format, Kind, Part};

/// `migration` and `replication`.
pub(super) static TRANSFER: Format = Format {
    default_key: Some("type"),
    keys: &[
        required("type", Kind::Word(&["secure", "insecure"])),
        optional("network", Kind::Network),
    ],
};

/// `next-id`: Proxmox VE's schema gives bounds under names that it does not look at.
pub(super) static NEXT_ID: Format = Format {
    default_key: None,
    keys: &[optional("lower", Kind::Whole(None)), optional("upper", Kind::Whole(None))],
};

static HA: Format = Format {
    default_key: None,
    keys: &[required(
        "shutdown_policy",
        Kind::Word(&["freeze", "failover", "conditional", "migrate"]),
    )],
};

static CRS: Format = Format {
    default_key: None,
    keys: &[
        optional("ha", Kind::Word(&["basic", "static", "dynamic"])),
        optional("ha-rebalance-on-start", Kind::Boolean),
        optional("ha-auto-rebalance", Kind::Boolean),
        rebalancing("ha-auto-rebalance-threshold", Kind::Number(0.0, 100.0)),
        rebalancing("ha-auto-rebalance-method", Kind::Word(&["bruteforce", "topsis"])),
        rebalancing("ha-auto-rebalance-hold-duration", Kind::Number(0.0, f64::INFINITY)),
        rebalancing("ha-auto-rebalance-margin", Kind::Number(0.0, 100.0)),
    ],
};

static BANDWIDTH: Format = Format {
    default_key: None,
    keys: &[
        optional("default", Kind::Number(0.0, f64::INFINITY)),
        optional("restore", Kind::Number(0.0, f64::INFINITY)),
        optional("migration", Kind::Number(0.0, f64::INFINITY)),
        optional("clone", Kind::Number(0.0, f64::INFINITY)),
        optional("move", Kind::Number(0.0, f64::INFINITY)),
    ],
};

const KEYBOARDS: &[&str] = &[
    "da", "de", "de-ch", "en-gb", "en-us", "es", "fi", "fr", "fr-be", "fr-ca", "fr-ch", "hu", "is",
    "it", "ja", "lt", "mk", "nl", "no", "pl", "pt", "pt-br", "sl", "sv", "tr",
];

const fn required(name: &'static str, kind: Kind) -> Part {
    Part { name, required: true, needs: None, kind }
}

const fn optional(name: &'static str, kind: Kind) -> Part {
    Part { name, required: false, needs: None, kind }
}

const fn rebalancing(name: &'static str, kind: Kind) -> Part {
    Part { name, required: false, needs: Some("ha-auto-rebalance"), kind }
}

/// What the values of a key may be; `None`: Proxmox VE does not know the key and drops it.
pub(super) fn kind(key: &str) -> Option<Kind> {
    Some(match key {
        "migration" | "replication" => Kind::Parts(&TRANSFER),
        "migration_unsecure" => Kind::Boolean,
        "ha" => Kind::Parts(&HA),
        "crs" => Kind::Parts(&CRS),
        "bwlimit" => Kind::Parts(&BANDWIDTH),
        "next-id" => Kind::Parts(&NEXT_ID),
        "fencing" => Kind::Word(&["watchdog", "hardware", "both"]),
        "console" => Kind::Word(&["applet", "vv", "html5", "xtermjs"]),
        "keyboard" => Kind::Word(KEYBOARDS),
        "max_workers" => Kind::Whole(Some(1)),
        "http_proxy" => Kind::HttpUrl,
        "consent-text" | "description" | "email_from" | "language" | "location" | "mac_prefix"
        | "notify" | "registered-tags" | "tag-style" | "u2f" | "user-tag-access" | "webauthn" => {
            Kind::Any
        }
        _ => return None,
    })
}
