//! What the ways of links may be like, as stages and hosts are told.

use std::collections::BTreeMap;

use pvecm_core::fitness::Limits;
use pvecm_core::ids::LinkNumber;

use super::{ConvertError, id_number, number};
use crate::change::StageLimits;
use crate::cluster::{Link, PveClusterSpec};

pub(super) fn limits_from_core(
    limits: &BTreeMap<LinkNumber, Limits>,
) -> Result<Vec<StageLimits>, ConvertError> {
    let of = |(link, limits): (&LinkNumber, &Limits)| {
        Ok(StageLimits {
            link: number("stage.limits.link", u32::from(*link))?,
            round_trip_millis: number("stage.limits.roundTripMillis", limits.round_trip_millis)?,
            loss_percent: number("stage.limits.lossPercent", limits.loss_percent)?,
        })
    };
    limits.iter().map(of).collect()
}

/// What the ways of links may be like.
pub fn limits_to_core(
    limits: &[StageLimits],
) -> Result<BTreeMap<LinkNumber, Limits>, ConvertError> {
    let mut found = BTreeMap::new();
    for StageLimits { link, round_trip_millis, loss_percent } in limits {
        let limits = Limits {
            round_trip_millis: number("stage.limits.roundTripMillis", *round_trip_millis)?,
            loss_percent: number("stage.limits.lossPercent", *loss_percent)?,
        };
        let field = "stage.limits.link";
        if found.insert(id_number(field, i64::from(*link))?, limits).is_some() {
            return Err(ConvertError::Twice(field, link.to_string()));
        }
    }
    Ok(found)
}

/// What a spec says of its links' ways, with the usual where it says the half.
#[must_use]
pub fn stated_limits(spec: &PveClusterSpec) -> Vec<StageLimits> {
    let usual = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let Limits { round_trip_millis, loss_percent } = Limits::default();
    let stated = |link: &Link| {
        let limits = link.limits?;
        Some(StageLimits {
            link: link.number,
            round_trip_millis: limits.round_trip_millis.unwrap_or(usual(round_trip_millis)),
            loss_percent: limits.loss_percent.unwrap_or(usual(loss_percent)),
        })
    };
    spec.links.iter().filter_map(stated).collect()
}
