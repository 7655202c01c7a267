//! Exit codes, streams and forms of the other commands.

use crate::desk::Desk;

#[test]
fn lint_ends_with_1_for_harm_and_with_0_for_advice() {
    let desk = Desk::new();
    let advised = desk.conf("lint corosync.conf");
    assert_eq!((advised.code, advised.stderr.as_str()), (0, ""));
    assert!(advised.stdout.contains("pve advice"), "{}", advised.stdout);
    assert_eq!(desk.conf("lint trap.conf").code, 1);
    assert_eq!(desk.conf("lint ring-pair.conf --reader pmxcfs").code, 0);
    assert_eq!(desk.conf("lint ring-pair.conf --reader pmxcfs --reader corosync3").code, 1);
    assert_eq!(desk.conf("lint --datacenter datacenter.cfg").code, 1);
}

#[test]
fn findings_for_programs_are_an_array_of_flat_objects() {
    let desk = Desk::new();
    let ended = desk.conf("lint trap.conf --reader pmxcfs -o json");
    let findings: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let first = findings[0].as_object().unwrap();
    let keys: Vec<&String> = first.keys().collect();
    assert_eq!(keys, ["code", "effect", "line", "message", "reader"]);
    assert_eq!(first["code"], "pmxcfs-other-version");
    assert_eq!((&first["effect"], &first["line"]), (&"misreads".into(), &1.into()));
    let yaml = desk.conf("lint trap.conf --reader pmxcfs -o yaml").stdout;
    assert!(yaml.starts_with("- code: pmxcfs-other-version\n"), "{yaml}");
    assert_eq!(desk.conf("lint corosync.conf -o json --reader pmxcfs").stdout, "[]\n");
}

#[test]
fn every_code_that_can_be_found_has_a_page() {
    let desk = Desk::new();
    let unknown = desk.conf("lint --explain no-such-code");
    assert_eq!((unknown.code, unknown.stdout.as_str()), (2, ""));
    let (_, known) = unknown.stderr.trim_end().split_once("these are: ").unwrap();
    for code in known.split(", ") {
        let page = desk.conf(&format!("lint --explain {code}"));
        assert_eq!((page.code, page.stderr.as_str()), (0, ""), "{code}");
        assert!(page.stdout.starts_with(&format!("{code}: ")), "{}", page.stdout);
        assert!(page.stdout.contains("\nSource: "), "{}", page.stdout);
    }
    for code in ["comment-in-value", "pve-comment-cut", "pmxcfs-other-version"] {
        assert!(known.split(", ").any(|other| other == code), "{code} is not listed");
    }
}

#[test]
fn what_cannot_be_read_is_named_and_ends_with_2() {
    let desk = Desk::new();
    let ended = desk.conf("lint nowhere.conf");
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    let expected = "error: cannot read nowhere.conf: No such file or directory (os error 2)\n";
    assert_eq!(ended.stderr, expected);
    for arguments in ["show .", "diff corosync.conf nowhere", "edit nowhere", "convert . --to knet"]
    {
        assert_eq!(desk.conf(arguments).code, 2, "{arguments}");
    }
    desk.write("huge", &"#\n".repeat(600_000));
    let ended = desk.conf("show huge");
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("larger than 1 MiB"), "{}", ended.stderr);
    for arguments in ["lint", "lint corosync.conf --reader pve5", "convert corosync.conf --to udpu"]
    {
        assert_eq!(desk.conf(arguments).code, 2, "{arguments}");
    }
    assert_eq!(desk.conf("diff - -").code, 2, "standard input holds one file");
}

#[test]
fn show_passes_over_lines_that_corosync_refuses_and_says_so() {
    let desk = Desk::new();
    desk.write("broken.conf", &desk.read("corosync.conf").replace("secauth: on", "secauth on"));
    let ended = desk.conf("show broken.conf");
    assert_eq!(ended.code, 1);
    assert!(ended.stdout.starts_with("cluster                  prod\n"), "{}", ended.stdout);
    assert!(ended.stderr.contains("corosync refuses this file: line 40"), "{}", ended.stderr);
    let json = desk.conf("show corosync.conf -o json");
    let overview: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.code, &overview["clusterName"]), (0, &"prod".into()));
}

#[test]
fn diff_ends_with_1_when_files_differ_and_only_then() {
    let desk = Desk::new();
    let same = desk.conf("diff corosync.conf corosync.conf");
    assert_eq!((same.code, same.stdout.as_str(), same.stderr.as_str()), (0, "", ""));
    let text = desk.read("corosync.conf").replace("rack 4", "rack 5");
    let comment = desk.conf_with("diff corosync.conf -", &text);
    assert_eq!(comment.code, 1);
    assert!(comment.stdout.ends_with("reload: has nothing to do\n"), "{}", comment.stdout);
    let json = desk.conf("diff corosync.conf ring-pair.conf -o json");
    let diff: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.code, diff["changes"].as_array().map(Vec::is_empty)), (1, Some(false)));
}

#[test]
fn convert_prints_the_text_alone_on_stdout_and_refuses_what_it_would_have_to_make_up() {
    let desk = Desk::new();
    let ended = desk.conf("convert ring-pair.conf --to knet");
    assert_eq!(ended.code, 0);
    assert!(ended.stdout.starts_with("totem {\n") && ended.stdout.contains("transport: knet"));
    assert!(ended.stdout.contains("config_version: 13"), "a version never names two texts");
    assert!(ended.stderr.contains("note: corosync must be stopped on all nodes"));
    let again = desk.conf_with("convert - --to knet", &ended.stdout);
    assert_eq!((again.code, &again.stdout), (0, &ended.stdout), "{}", again.stderr);
    let nameless = desk.read("ring-pair.conf").replace("    name: a\n", "");
    let refused = desk.conf_with("convert - --to knet", &nameless);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert!(refused.stderr.starts_with("refused: <stdin>: line 19: "), "{}", refused.stderr);
    let json = desk.conf("convert ring-pair.conf --to knet -o json").stdout;
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["text"], ended.stdout);
}

#[test]
fn text_has_no_colours_where_it_is_no_terminal() {
    let desk = Desk::new();
    assert!(!desk.conf("lint trap.conf").stdout.contains('\x1b'));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let desk = Desk::new();
    let ended = desk.shell(
        "kubectl pvecm conf lint --explain nothing; kubectl pvecm conf show corosync.conf | true",
    );
    assert!(!ended.stdout.contains("cannot write"), "{}", ended.stdout);
}

#[test]
fn an_import_goes_to_stdout_and_a_refusal_writes_no_object() {
    let desk = Desk::new();
    let written = desk.shell("kubectl pvecm import prod --conf corosync.conf -o json 2>found");
    assert_eq!(written.code, 0);
    let object: serde_json::Value = serde_json::from_str(&written.stdout).unwrap();
    assert_eq!(
        (&object["kind"], &object["metadata"]["name"]),
        (&"PveCluster".into(), &"prod".into())
    );
    assert_eq!(object["spec"].get("rollout"), None, "a default is no finding");
    assert!(desk.read("found").contains("n1: /etc/pve version"), "{}", desk.read("found"));
    let refused = desk.shell("kubectl pvecm import old --conf ring-pair.conf");
    assert_eq!(refused.code, 1);
    assert!(refused.stdout.lines().all(|line| line.starts_with('#')), "{}", refused.stdout);
    let json = desk.shell("kubectl pvecm import old --conf ring-pair.conf -o json 2>found");
    assert_eq!((json.code, json.stdout.as_str()), (1, ""));
    assert_eq!(desk.shell("kubectl pvecm import old --conf nowhere").code, 2);
}

#[test]
fn whatif_ends_with_1_when_a_failure_is_not_survived_and_with_2_when_nothing_can_be_foretold() {
    let desk = Desk::new();
    let whatif = |words: &str| desk.shell(&format!("kubectl pvecm whatif {words}"));
    assert_eq!(whatif("--conf corosync.conf --lose n1").code, 0);
    assert_eq!(whatif("--conf corosync.conf --lose n1,n2").code, 1);
    assert_eq!(whatif("--conf two-node.conf --partition n1/n2").code, 1);
    let json = whatif("--conf device.conf --lose n1,n2 -o json");
    let answer: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let failure = &answer["failures"][0];
    assert_eq!(
        (json.code, &failure["survived"], &failure["splitBrain"]),
        (0, &true.into(), &false.into())
    );
    assert_eq!(failure["parts"][0]["members"][0]["hasDevice"], true);
    let refused = whatif("--conf corosync.conf --lose n7");
    assert_eq!(
        (refused.code, refused.stdout.as_str()),
        (2, "error: there is no node `n7`: the nodes are n1, n2, n3\n")
    );
    assert_eq!(whatif("--conf nowhere").code, 2);
    assert_eq!(whatif("").code, 2, "a cluster or a file");
    assert_eq!(whatif("--conf corosync.conf --all-pairs --lose n1").code, 2);
}

#[test]
fn help_tells_what_the_commands_do() {
    let desk = Desk::new();
    let helps =
        ["--help", "lint --help", "show --help", "diff --help", "edit --help", "convert --help"];
    let pages = helps.map(|help| {
        let page = desk.conf(help);
        assert_eq!(page.code, 0);
        format!("$ kubectl pvecm conf {help}\n{}", page.stdout)
    });
    insta::assert_snapshot!(pages.join("\n"));
}
