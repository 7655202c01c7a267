//! The planted bugs. Each edit turns an expression of the sources into a wrong one.

/// One deliberate mistake.
#[derive(Debug)]
pub struct Bug {
    /// What is wrong with it, in words.
    pub name: &'static str,
    /// Path, the expression as it is (between « and » where more is needed to find it), the wrong one.
    pub edits: &'static [(&'static str, &'static str, &'static str)],
}

const TALLY: &str = "operator/core/src/protocol/tally.rs";
const MACHINE: &str = "operator/core/src/protocol/machine/mod.rs";
const STEPS: &str = "operator/core/src/protocol/machine/steps.rs";
const UNDO: &str = "operator/core/src/protocol/machine/undo.rs";
const DRAFT: &str = "operator/core/src/plan/draft.rs";
const GROUND: &str = "operator/core/src/plan/ground.rs";
const JOIN: &str = "operator/core/src/plan/join.rs";
const LINKS: &str = "operator/core/src/plan/links.rs";
const GUARD: &str = "operator/core/src/guard/votes.rs";
const LEDGER: &str = "operator/agent/src/ledger.rs";
const WRITE: &str = "operator/agent/src/stage/write.rs";
const PROBE: &str = "operator/agent/src/stage/probe.rs";
const RUN: &str = "operator/agent/src/stage/run.rs";
const SELECT: &str = "operator/agent/src/stage/select.rs";
const ACTION: &str = "operator/agent/src/stage/action.rs";
const AGENT: &str = "operator/agent/src/agent.rs";
const STALE: &str = "operator/agent/src/agent/stale.rs";
const DRIVE: &str = "operator/controller/src/reconcile/drive.rs";
const DECIDE: &str = "operator/controller/src/reconcile/decide.rs";
const DISPATCH: &str = "operator/controller/src/reconcile/dispatch.rs";
const PASSED: &str = "operator/controller/src/reconcile/passed.rs";
const HOSTS: &str = "operator/controller/src/hosts.rs";
const LEADER: &str = "operator/controller/src/leader.rs";

const GATE: &str = "operator/core/src/gate/mod.rs";
const KEYS: &str = "operator/core/src/plan/keys.rs";
const AWAY: &str = "operator/core/src/plan/away.rs";
const APPROVAL: &str = "operator/core/src/approval.rs";
const GUARD_AWAY: &str = "operator/core/src/guard/away.rs";
const GUARD_HOSTS: &str = "operator/core/src/guard/hosts.rs";
const GUARD_REMOVAL: &str = "operator/core/src/guard/removal.rs";
const STAGE_AWAY: &str = "operator/agent/src/stage/away.rs";
const STAGE_LEAVE: &str = "operator/agent/src/stage/leave.rs";
const GUARD_SEPARATION: &str = "operator/core/src/guard/separation.rs";
const REMOVE: &str = "operator/core/src/plan/remove.rs";
const DISSOLUTION: &str = "operator/controller/src/reconcile/dissolution.rs";
const SEPARATE: &str = "operator/agent/src/stage/separate.rs";
const PAST: &str = "operator/agent/src/api/past.rs";
const STATED: &str = "crds/src/convert/host.rs";

/// All of them, numbered from 1 in this order.
pub const BUGS: &[Bug] = &[
    Bug {
        name: "one vote is enough to begin",
        edits: &[(
            TALLY,
            "2 * self.votes(has_gone) > self.group.len()",
            "self.votes(has_gone) > 0",
        )],
    },
    Bug {
        name: "one vote is enough to stay",
        edits: &[(
            TALLY,
            "2 * self.votes(|phase| matches!(phase, Phase::Sealed)) > self.group.len()",
            "self.votes(|phase| matches!(phase, Phase::Sealed)) > 0",
        )],
    },
    Bug {
        name: "sealed when one host holds",
        edits: &[(
            TALLY,
            "self.group.iter().chain(&self.joining).all(held)",
            "self.group.iter().chain(&self.joining).any(held)",
        )],
    },
    Bug {
        name: "begins before all are prepared",
        edits: &[(
            TALLY,
            "self.group.iter().chain(&self.restarting).copied().find(|id| !prepared(id))",
            "{ let _ = prepared; None::<NodeId> }",
        )],
    },
    Bug {
        name: "holds whatever the probes say",
        edits: &[(
            MACHINE,
            "result.is_ok() && self.view.quorate && written",
            "self.view.quorate && written",
        )],
    },
    Bug {
        name: "nobody ever votes to undo",
        edits: &[(
            STEPS,
            "(lost || late).then(|| self.loss_or_deadline())",
            "{ let _ = (lost, late); None }",
        )],
    },
    Bug {
        name: "everybody is the writer",
        edits: &[(
            STEPS,
            "self.writer == Some(self.setup.me) && self.view.quorate && self.view.writable",
            "self.view.quorate && self.view.writable",
        )],
    },
    Bug {
        name: "a host alone never restores its own disk",
        edits: &[(UNDO, "self.alone_too_long() && restores", "false")],
    },
    Bug {
        name: "a joiner that was cut off heeds no word of the control plane",
        edits: &[(UNDO, "self.told.clone().filter(|_| «is_cut_off»)", "false")],
    },
    Bug {
        name: "a host that restored never takes the cluster's file, and nobody refreshes it",
        edits: &[
            (MACHINE, "self.restored && self.setup.in_force != InForce::Back", "false"),
            (
                GROUND,
                "!view.drift.is_empty() && is_run(ground) && ground.unstarted.is_none()",
                "false",
            ),
        ],
    },
    Bug {
        name: "a host with an outcome answers nobody",
        edits: &[(MACHINE, "asks && !self.unfinished()", "{ let _ = asks; false }")],
    },
    Bug {
        name: "nobody repeats where he is, also not for who comes",
        edits: &[
            (MACHINE, "now_ms >= self.said_at + REPEAT_MS", "false"),
            (MACHINE, "if «regrouped || changed» {\n            self.say()", "changed"),
        ],
    },
    Bug {
        name: "an old change is taken for the newest",
        edits: &[(LEDGER, "Ordering::Less => «Admission::Older»", "Admission::Known")],
    },
    Bug {
        name: "the stage is not kept in the ledger",
        edits: &[(
            RUN,
            "book.change(|ledger| ledger.pending = Some(pending))",
            "{ let _ = (book, pending); Ok(()) }",
        )],
    },
    Bug {
        name: "a stage that is over is begun again",
        edits: &[
            (SELECT, "last.is_some_and(|last| last.stage >= released)", "false"),
            (SELECT, "(Some(_), None) | (None, Some(_)) => «false»", "true"),
        ],
    },
    Bug {
        name: "writes over whatever is there",
        edits: &[(WRITE, "before == wanted || !over(before)", "before == wanted")],
    },
    Bug {
        name: "writes without looking at the parent first",
        edits: &[(RUN, "parent_in_force(expects, &seen)?", "()")],
    },
    Bug {
        name: "nobody looks at what runs",
        edits: &[
            (PROBE, "every_member_runs(corosync, config.version)?", "()"),
            (
                PROBE,
                "seen.disk_conf.as_deref(), config)?;\n    «runs(seen, config.version)?»",
                "()",
            ),
            (PROBE, "running == value.as_ref()", "true"),
        ],
    },
    Bug {
        name: "a link that is not connected is fine",
        edits: &[(PROBE, "corosync.links.get(&(**node, link)) != Some(&true)", "false")],
    },
    Bug {
        name: "a daemon that missed a reload goes on so, and nobody refreshes it",
        edits: &[
            (STALE, "paused || !self.seen.missed_a_reload()", "true"),
            (
                GROUND,
                "!view.drift.is_empty() && is_run(ground) && ground.unstarted.is_none()",
                "false",
            ),
        ],
    },
    Bug {
        name: "what was under way is forgotten at a restart",
        edits: &[(AGENT, "Some(pending) => «self.begin_group(pending)?»", "{ let _ = pending; }")],
    },
    Bug {
        name: "who comes late gets no answer from an agent that was started since",
        edits: &[(AGENT, "self.book.ledger().ended.clone()", "None")],
    },
    Bug {
        name: "a joiner keeps its own database",
        edits: &[(
            ACTION,
            "host.disk.set_database_aside(task.pending.attempt).map_err(words)?",
            "()",
        )],
    },
    Bug {
        name: "the joiner's file stays when its join is undone",
        edits: &[(
            ACTION,
            "stop(Unit::Corosync).await?;\n    «host.disk.remove(DiskFile::Conf).map_err(words)?»;\n    host.disk",
            "()",
        )],
    },
    Bug {
        name: "no vote is lent to a joiner's hosts",
        edits: &[(JOIN, "quorum::staying_are_quorate(&now, &then)", "true")],
    },
    Bug {
        name: "no vote is lent, and no guard counts",
        edits: &[
            (JOIN, "let lent = «lend(&mut draft, &entry)?»", "0"),
            (
                GUARD,
                "is_plain(text) && !case.is_before_recovery(text) && !is_quorate(present, expected)",
                "false",
            ),
        ],
    },
    Bug {
        name: "the text and its way back have one number",
        edits: &[(DRAFT, "(self.next, self.next.next())", "(self.next, self.next)")],
    },
    Bug {
        name: "no link is ever removed",
        edits: &[(LINKS, "if «!remove.is_empty()» {\n        connected", "false")],
    },
    Bug {
        name: "every boundary is the end",
        edits: &[(DRIVE, "next_stage(change).is_none()", "true")],
    },
    Bug {
        name: "a change ends while hosts are at work",
        edits: &[(
            DRIVE,
            "(ended, running, silent)",
            "{ let none = ended.is_none(); (ended, running.filter(|_| none), silent) }",
        )],
    },
    Bug {
        name: "what failed is tried for ever",
        edits: &[(DECIDE, "held_back(seen)", "None::<Verdict>")],
    },
    Bug {
        name: "the finalizer stays for ever",
        edits: &[(
            DECIDE,
            "all.find(|change| held(change))",
            "{ let _ = (&mut all, held); None::<&PveChange> }",
        )],
    },
    Bug {
        name: "a stage is released and nothing holds the change",
        edits: &[(DISPATCH, "object.finalizers().iter().any(|name| name == IN_FLIGHT)", "true")],
    },
    Bug {
        name: "a secret is taken away before its receiver has it",
        edits: &[(PASSED, "!received(change, &to, hosts, Stage::receives_secret)", "false")],
    },
    Bug {
        name: "the condition Connected is written with each heartbeat",
        edits: &[(HOSTS, "old.is_some_and(|old| old.status == status)", "false")],
    },
    Bug {
        name: "the lease is taken from whoever holds it",
        edits: &[(
            LEADER,
            "holder.is_empty() || now.duration_since(*at) > Duration::from_secs(seconds)",
            "{ let _ = (at, seconds); true }",
        )],
    },
    Bug { name: "nobody asks who leads", edits: &[(LEADER, "self.held.borrow().holds()", "true")] },
    Bug {
        name: "the gate holds nobody",
        edits: &[(GATE, "told.iter().all(|told| !self.is_listed(&told.config))", "false")],
    },
    Bug {
        name: "the gate brings nobody the newer file",
        edits: &[(GATE, "if «is_one» { Verdict::Refresh", "{ let _ = is_one; false }")],
    },
    Bug {
        name: "the gate brings what a change would have gone back to",
        edits: &[(PAST, "was_in_force(changes, uid)", "pvecm_crds::convert::left(changes, uid)")],
    },
    Bug {
        name: "the dead are taken off the list while they run",
        edits: &[
            (GROUND, "refuse_living(&ground)?", "()"),
            (GROUND, "view.members != *listed", "!listed.is_subset(&view.members)"),
            (GUARD_HOSTS, "view.members != case.members", "!case.members.is_subset(&view.members)"),
            (
                GUARD_REMOVAL,
                "dead.connected || keys::members(case).into_values().any(sees)",
                "{ let _ = sees; false }",
            ),
            (STAGE_LEAVE, "is_seen(corosync, gone.node_id)", "false"),
            (
                DRIVE,
                "rest.find_map(|stage| drops_the_living(stage, hosts))",
                "{ let _ = &mut rest; None::<&'static str> }",
            ),
        ],
    },
    Bug {
        name: "a statement never ends",
        edits: &[(STATED, "until.as_ref().is_none_or(|end| now < end.0)", "true")],
    },
    Bug {
        name: "the key that the dead have stays in force",
        edits: &[(
            KEYS,
            "kept.filter(|kept| *kept >= now).map(|_kept| now.saturating_add(1))",
            "kept.filter(|_| false)",
        )],
    },
    Bug {
        name: "a member that runs is left out as one that is away",
        edits: &[
            (GROUND, "view.members != *listed", "!listed.is_subset(&view.members)"),
            (
                AWAY,
                "ground.away.iter().find_map(heard)",
                "{ let _ = heard; None::<(&Member<'_>, String)> }",
            ),
            (GUARD_HOSTS, "view.members != case.members", "!case.members.is_subset(&view.members)"),
            (GUARD_AWAY, "!is_heard(case, parent, listed)", "true"),
            (STAGE_AWAY, "if «corosync.members.contains(&id)» {", "false"),
            (STAGE_AWAY, "links.find(|(_, connected)| **connected)", "links.find(|_| false)"),
        ],
    },
    Bug {
        name: "a recovery asks nobody",
        edits: &[(APPROVAL, "Risk::Recovery | Risk::Dissolution => «Some(Need::Always)»", "None")],
    },
    Bug {
        name: "votes that were lowered for nothing stay lowered",
        edits: &[(AGENT, "self.keep_expected()?", "()")],
    },
    Bug {
        name: "who goes on alone loses its database",
        edits: &[(
            SEPARATE,
            "host.disk.copy_database_aside(attempt)",
            "host.disk.set_database_aside(attempt)",
        )],
    },
    Bug {
        name: "who goes on alone keeps the guests of the others",
        edits: &[(
            SEPARATE,
            "files.put_others_away(&peers)",
            "{ let _ = &peers; Ok::<(), std::io::Error>(()) }",
        )],
    },
    Bug {
        name: "nobody is asked which storages both sides may use",
        edits: &[
            (
                REMOVE,
                "view.shared_storages.difference(accepted).cloned().collect()",
                "Vec::<String>::new()",
            ),
            (GUARD_SEPARATION, "unsaid.next()", "{ let _ = &mut unsaid; None::<&String> }"),
            (
                SEPARATE,
                "Some(storage) => «Err(format!(
            \"the storage {storage} is shared with the cluster, and nobody has said that it may be\"
        ))»,",
                "{ let _ = storage; Ok(()) }",
            ),
        ],
    },
    Bug {
        name: "a cluster's object goes before its hosts do",
        edits: &[(DISSOLUTION, "!obeys && !named", "{ let _ = (obeys, named); true }")],
    },
];
