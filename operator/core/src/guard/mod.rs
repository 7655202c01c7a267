//! The guards: every stage of a plan is proven again, from its texts and from what the hosts say,
//! without trusting the planner.
//!
//! Owns the only way from a [`Plan`]`<`[`Proposed`]`>` to a [`Plan`]`<`[`Proven`]`>`. Each guard names the outage that
//! it prevents and has a [`Refusal`] of its own. Never plans, never mends a plan: a wrong one is
//! refused as a whole. Where to read next: `case` (texts read once), `texts`, `votes`, `device`, `links`,
//! `totem`, `transport`, `datacenter`, `hosts`, `removal`, `separation`, `away`, `recovery`, `actions`, `keys`.

mod actions;
mod away;
mod case;
mod datacenter;
mod device;
mod ha;
mod hosts;
mod keys;
mod links;
mod pages;
mod recovery;
mod refusal;
mod removal;
mod separation;
mod texts;
mod totem;
mod transport;
mod votes;

#[cfg(test)]
mod tests;

pub use refusal::Refusal;

use crate::change::{Plan, Proposed, Proven};
use crate::desired::DesiredCluster;
use crate::leaving::{in_effect, leaving};
use crate::observed::ObservedCluster;
use case::Case;

/// Proves a plan, or says which outage it might cause.
pub fn guard(
    plan: Plan<Proposed>,
    desired: &DesiredCluster,
    observed: &ObservedCluster,
) -> Result<Plan<Proven>, Refusal> {
    let desired = &*in_effect(desired, observed);
    let leaving = leaving(desired, observed);
    prove(&Case::read(&plan, (desired, &leaving), observed)?)?;
    Ok(plan.proven())
}

fn prove(case: &Case<'_>) -> Result<(), Refusal> {
    let guards = [
        texts::named_rightly,
        texts::one_cluster,
        texts::versions_ascend,
        texts::ways_back,
        hosts::view_is_sound,
        hosts::names_are_host_names,
        removal::only_those_who_leave_are_dropped,
        removal::one_goes_and_nobody_comes,
        removal::the_dead_are_not_seen,
        removal::only_those_who_leave_are_cleaned,
        removal::nobody_leaves_who_is_referred_to,
        removal::who_goes_is_buried,
        removal::buried_numbers_stay_buried,
        removal::who_joins_remembers,
        removal::only_the_gone_are_swept,
        separation::who_goes_on_alone_shares_only_what_is_said,
        away::nobody_away_is_needed,
        recovery::is_needed,
        recovery::votes_are_taken_from_the_dead_alone,
        hosts::groups_are_the_members,
        hosts::addresses_are_on_hosts,
        hosts::addresses_are_unique,
        votes::arithmetic_is_known,
        votes::margin_is_kept,
        votes::move_by_one,
        device::daemons_start,
        device::devices_are_asked_for,
        device::nobody_casts_meanwhile,
        device::nodes_have_quorum_alone,
        device::certificates_are_of_the_witness,
        device::given_keys_go_to_their_owners,
        links::addresses_stay,
        links::ports_stay,
        links::links_have_sockets_of_their_own,
        links::pairs_keep_a_verified_link,
        transport::old_ones_only_move,
        transport::moves_are_asked_for,
        totem::encryption_is_kept,
        totem::token_is_kept,
        totem::pings_follow_the_token,
        actions::are_in_their_place,
        keys::keys_go_to_their_owners,
        keys::keys_are_the_same,
        keys::exchanges_are_whole,
        datacenter::all_write_the_same,
        datacenter::the_file_is_the_parent,
        datacenter::lines_are_wanted,
        datacenter::members_have_one_address,
        actions::changes_are_proven,
        ha::nobody_is_reset,
        ha::disarming_is_needed,
        ha::disarming_ends,
        transport::stops_are_right,
        actions::restarts_follow,
        actions::risks_are_told,
    ];
    guards.iter().try_for_each(|guard| guard(case))
}
