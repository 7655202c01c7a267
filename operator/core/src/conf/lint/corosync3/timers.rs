//! The rules for the timers of totem, those derived from others included.

use super::Facts;
use super::dialect::Dialect;
use crate::conf::effective::{OLD_TOKEN_MILLIS, TOKEN_COEFFICIENT_MILLIS, TOKEN_MILLIS};
use crate::conf::lint::Code;
use crate::conf::lint::report::Report;

static TIMER_TOO_SHORT: Code = Code {
    name: "timer-too-short",
    title: "A time that follows from others is too short",
    explanation: "corosync says `Not appropriate token or token_retransmits_before_loss_const \
                  value set` when token / (retransmits + 0.2) is below 30 ms, and `The token hold \
                  timeout parameter (N ms) may not be less than (14 ms)`.",
    source: "exec/totemconfig.c:totem_volatile_config_validate of 3.1.7; measured with `corosync \
             -t`",
};
static CONSENSUS_BELOW_JOIN: Code = Code {
    name: "consensus-below-join",
    title: "`consensus` is shorter than `join`",
    explanation: "corosync says `The consensus timeout parameter (N ms) may not be less than join \
                  timeout (M ms)`. Without a `consensus` it is 1.2 times the token.",
    source: "exec/totemconfig.c:totem_volatile_config_validate of 3.1.7; measured with `corosync \
             -t`",
};
static TOKEN_SHORT: Code = Code {
    name: "token-short",
    title: "The token timeout is below a second",
    explanation: "corosync checks no more than 30 ms. With a short token every pause of a host (a \
                  backup, a migration, a busy switch) costs a membership change, and with HA a \
                  reset. 3000 ms is the default since 3.1.0, 1000 ms before.",
    source: "measured on corosync 3.1.7; corosync.conf(5)",
};
static TOKEN_WITHOUT_LINK_0: Code = Code {
    name: "token-without-link-0",
    title: "The token does not grow with the nodes",
    explanation: "`token_coefficient` counts the nodes that have a `ring0_addr`. Without link 0 it \
                  counts none: the token of 32 nodes is 3000 ms, not 22500 ms, without a message.",
    source: "measured on corosync 3.1.7",
};

pub(in super::super) static CODES: &[&Code] =
    &[&TIMER_TOO_SHORT, &CONSENSUS_BELOW_JOIN, &TOKEN_SHORT, &TOKEN_WITHOUT_LINK_0];

/// The shortest of the times that corosync checks, in ms.
const SHORTEST: u32 = 30;
/// The shortest hold, in ms: 0.8 of [`SHORTEST`] less a tick of 10 ms.
const SHORTEST_HOLD: u32 = 14;

pub(in super::super) fn judge(facts: &Facts<'_, '_>, report: &mut Report) {
    let on_link_0 = facts.members_of_link_0();
    let token = token(facts, on_link_0);
    judge_token(facts, (token, on_link_0), report);
    let retransmits = set(facts, "token_retransmits_before_loss_const").unwrap_or(4);
    let derived = as_int(f64::from(token) / (f64::from(retransmits) + 0.2));
    let retransmit = set(facts, "token_retransmit").unwrap_or(derived);
    let hold = set(facts, "hold").unwrap_or(as_int(f64::from(retransmit) * 0.8 - 10.0));
    if set(facts, "token_retransmit").is_none() && retransmit < SHORTEST {
        let message = format!(
            "a token of {token} ms over {retransmits} retransmits makes {retransmit} ms between \
             them, below 30 ms; corosync does not start; raise `token`"
        );
        report.refuses(
            &TIMER_TOO_SHORT,
            line(facts, &["token_retransmits_before_loss_const", "token"]),
            message,
        );
    } else if hold < SHORTEST_HOLD {
        let message = format!(
            "the token hold time is {hold} ms, below 14 ms; corosync does not start; take `hold` \
             out, or raise `token_retransmit`"
        );
        report.refuses(&TIMER_TOO_SHORT, line(facts, &["hold", "token_retransmit"]), message);
    }
    judge_consensus(facts, token, report);
}

fn judge_consensus(facts: &Facts<'_, '_>, token: u32, report: &mut Report) {
    let join = set(facts, "join").unwrap_or(50);
    #[expect(clippy::cast_possible_truncation, reason = "corosync goes through a C float here")]
    let derived = as_int(f64::from((1.2 * f64::from(token)) as f32));
    let consensus = set(facts, "consensus").unwrap_or(derived);
    if consensus < join {
        let message = format!(
            "consensus is {consensus} ms (1.2 times the token where it is not written), less than \
             join, {join} ms; corosync does not start; raise `consensus`, or lower `join`"
        );
        report.refuses(
            &CONSENSUS_BELOW_JOIN,
            line(facts, &["consensus", "join", "token"]),
            message,
        );
    }
}

fn judge_token(facts: &Facts<'_, '_>, (token, on_link_0): (u32, u32), report: &mut Report) {
    if (SHORTEST..1000).contains(&token) {
        let message = format!(
            "the token is {token} ms for {on_link_0} nodes; any pause of a host longer than that \
             costs a membership change; write at least 1000"
        );
        report.advises(&TOKEN_SHORT, line(facts, &["token", "token_coefficient"]), message);
    }
    let coefficient = coefficient(facts);
    let nodes = facts.nodes.all.len();
    if on_link_0 == 0 && nodes > 2 && coefficient > 0 {
        let message = format!(
            "{nodes} nodes without a `ring0_addr`: the token stays at {token} ms instead of \
             growing by {coefficient} ms for every node beyond the second; keep link 0, or raise \
             `token`"
        );
        report.misreads(&TOKEN_WITHOUT_LINK_0, facts.nodelist_line, message);
    }
}

/// The token in ms that corosync works with.
fn token(facts: &Facts<'_, '_>, nodes: u32) -> u32 {
    let is_old = facts.dialect == Dialect::Two;
    let default = if is_old { OLD_TOKEN_MILLIS } else { TOKEN_MILLIS };
    let token = set(facts, "token").unwrap_or(default);
    let coefficient = u32::try_from(coefficient(facts)).unwrap_or(0);
    token.wrapping_add(nodes.saturating_sub(2).wrapping_mul(coefficient))
}

fn coefficient(facts: &Facts<'_, '_>) -> i128 {
    let written = facts.stored.number("totem.token_coefficient");
    written.unwrap_or(i128::from(TOKEN_COEFFICIENT_MILLIS))
}

/// A number of `totem` that is written and is not 0, which stands for the default.
fn set(facts: &Facts<'_, '_>, name: &str) -> Option<u32> {
    let number = facts.stored.number(&format!("totem.{name}"))?;
    u32::try_from(number).ok().filter(|number| *number != 0)
}

fn line(facts: &Facts<'_, '_>, names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| facts.stored.line(&format!("totem.{name}")))
}

/// A C double made an `int` and then unsigned, as amd64 does it: out of range is 2^31.
fn as_int(value: f64) -> u32 {
    const OUT_OF_RANGE: u32 = 1 << 31;
    let whole = value.trunc();
    if !(f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&whole) {
        return OUT_OF_RANGE;
    }
    #[expect(clippy::cast_possible_truncation, reason = "in range, without a fraction")]
    let whole = whole as i32;
    whole.cast_unsigned()
}
