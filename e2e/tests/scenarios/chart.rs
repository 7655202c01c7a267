//! What the chart renders for which values, and which values it refuses.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use pvecm_e2e::chart::{self, objects};
use serde_json::{Value, json};

/// Everything that can be switched on.
const ALL: [&str; 7] = [
    "--set=replicas=3",
    "--set=networkPolicy.enabled=true",
    "--set=monitoring.serviceMonitor.enabled=true",
    "--set=monitoring.rules.enabled=true",
    "--set=monitoring.dashboard.enabled=true",
    "--set=watchNamespaces={a,b}",
    "--set=extraArgs={--listen=[::]:8080}",
];

#[test]
fn the_files_made_from_the_chart_are_what_it_renders() -> Result<()> {
    for (path, text) in chart::made()?.into_iter().chain([chart::install()?]) {
        let written = fs::read_to_string(&path).unwrap_or_default();
        ensure!(written == text, "{} is stale: cargo xtask crds", path.display());
    }
    Ok(())
}

#[test]
fn values_that_make_no_sense_are_refused_by_name() -> Result<()> {
    let refused = [
        ("--set=replica=2", "additional properties 'replica' not allowed"),
        ("--set=image.tags=x", "additional properties 'tags' not allowed"),
        ("--set=monitoring.alerts.enabled=true", "additional properties 'alerts' not allowed"),
        ("--set=replicas=9", "maximum: got 9, want 5"),
        ("--set=replicas=two", "got string, want integer"),
        ("--set=image.repository=", "at '/image/repository': minLength"),
        ("--set=image.pullPolicy=Sometimes", "at '/image/pullPolicy': value must be one of"),
        ("--set=watchNamespaces={Upper}", "at '/watchNamespaces/0': 'Upper' does not match"),
        ("--set=watchNamespaces={a,a}", "items at 0 and 1 are equal"),
        ("--set=log.format=xml", "at '/log/format': value must be one of"),
        ("--set=extraArgs={positional}", "at '/extraArgs/0': 'positional' does not match"),
        ("--set=networkPolicy.apiServerPorts={70000}", "maximum: got 70,000, want 65,535"),
        ("--set=monitoring.serviceMonitor.interval=often", "'often' does not match"),
        ("--set=monitoring.rules.repositoryUrl=ftp://x/", "'ftp://x/' does not match"),
        ("--set=leaderElection.renewDeadlineSeconds=15", "a leader must stop writing before"),
        ("--set=leaderElection.retryPeriodSeconds=10", "a leader must stop writing before"),
    ];
    for (value, sentence) in refused {
        let done = chart::template(&[value])?;
        ensure!(!done.success(), "{value} is taken");
        ensure!(done.stderr.contains(sentence), "{value}: {}", done.stderr);
    }
    Ok(())
}

/// A value that the schema does not know is refused when helm renders its own defaults; this is the other way.
#[test]
fn the_schema_knows_no_value_that_the_chart_has_not() -> Result<()> {
    let read = |name: &str| fs::read_to_string(chart::folder().join(name)).context(name.to_owned());
    let schema: Value = serde_json::from_str(&read("values.schema.json")?)?;
    let values = chart::read(&read("values.yaml")?)?.pop().context("no values")?;
    compare(&schema, &values, "")
}

fn compare(schema: &Value, values: &Value, path: &str) -> Result<()> {
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        // Subcharts, and what a person may leave out.
        let absent = ["global", "requests", "limits"].contains(&&**name);
        ensure!(absent || !values[name].is_null(), "{path}{name} stands in the schema alone");
        compare(below, &values[name], &format!("{path}{name}."))?;
    }
    Ok(())
}

#[test]
fn several_operators_are_spread_and_evicted_one_at_a_time() -> Result<()> {
    let one = objects(&[])?;
    ensure!(find(&one, "PodDisruptionBudget").is_err(), "a lone operator cannot be evicted");
    ensure!(pod(&one)?["topologySpreadConstraints"].is_null(), "a lone operator is spread");
    let three = objects(&["--set=replicas=3"])?;
    ensure!(find(&three, "Deployment")?["spec"]["replicas"] == 3, "not three");
    let budget = &find(&three, "PodDisruptionBudget")?["spec"];
    ensure!(budget["maxUnavailable"] == 1, "{budget}");
    let labels = &find(&three, "Deployment")?["spec"]["template"]["metadata"]["labels"];
    let spread = &pod(&three)?["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"];
    for selector in [&budget["selector"]["matchLabels"], spread] {
        let selector = selector.as_object().context("nobody is selected")?;
        ensure!(selector.iter().all(|(name, value)| labels[name] == *value), "{selector:?}");
    }
    Ok(())
}

#[test]
fn pods_are_restricted_and_probed_whatever_the_values_are() -> Result<()> {
    for values in [&[][..], &ALL] {
        let objects = objects(values)?;
        let pod = pod(&objects)?;
        let container = &pod["containers"][0];
        let (of_pod, own) = (&pod["securityContext"], &container["securityContext"]);
        ensure!(of_pod["runAsNonRoot"] == true && of_pod["runAsUser"] == 65532, "{of_pod}");
        ensure!(of_pod["seccompProfile"]["type"] == "RuntimeDefault", "{of_pod}");
        ensure!(own["allowPrivilegeEscalation"] == false, "{own}");
        ensure!(own["readOnlyRootFilesystem"] == true, "{own}");
        ensure!(own["capabilities"]["drop"] == json!(["ALL"]), "{own}");
        ensure!(container["livenessProbe"]["httpGet"]["path"] == "/live", "no liveness probe");
        ensure!(container["readinessProbe"]["httpGet"]["path"] == "/ready", "no readiness probe");
        ensure!(!container["resources"]["limits"]["memory"].is_null(), "memory has no limit");
    }
    Ok(())
}

#[test]
fn what_the_values_say_of_pods_is_in_the_pod() -> Result<()> {
    let set = "podLabels.team=infra,podAnnotations.note=x,priorityClassName=high,nodeSelector.disk=ssd,\
               image.repository=example.org/o,image.tag=v2,image.pullSecrets={key},log.level=debug,\
               tolerations[0].operator=Exists,affinity.podAffinity.x=y,extraArgs={--log-format=text}";
    let objects = objects(&["--set", set])?;
    let template = &find(&objects, "Deployment")?["spec"]["template"];
    let pod = pod(&objects)?;
    let container = &pod["containers"][0];
    for (is, wanted) in [
        (&template["metadata"]["labels"]["team"], json!("infra")),
        (&template["metadata"]["annotations"], json!({"note": "x"})),
        (&pod["priorityClassName"], json!("high")),
        (&pod["nodeSelector"], json!({"disk": "ssd"})),
        (&pod["tolerations"], json!([{"operator": "Exists"}])),
        (&pod["affinity"], json!({"podAffinity": {"x": "y"}})),
        (&pod["imagePullSecrets"], json!([{"name": "key"}])),
        (&container["image"], json!("example.org/o:v2")),
        (&container["env"][0], json!({"name": "RUST_LOG", "value": "debug"})),
    ] {
        ensure!(*is == wanted, "{is} in place of {wanted}");
    }
    let arguments = container["args"].as_array().context("no arguments")?;
    ensure!(arguments.last() == Some(&json!("--log-format=text")), "{arguments:?}");
    Ok(())
}

#[test]
fn an_operator_of_two_namespaces_has_no_rights_in_others() -> Result<()> {
    let objects = objects(&["--set=watchNamespaces={a,b}"])?;
    let bound: BTreeSet<&str> = all(&objects, "RoleBinding")
        .filter_map(|binding| binding["metadata"]["namespace"].as_str())
        .collect();
    ensure!(bound == BTreeSet::from(["a", "b", "pvecm-system"]), "{bound:?}");
    ensure!(find(&objects, "ClusterRoleBinding").is_err(), "it is bound everywhere");
    let arguments = &pod(&objects)?["containers"][0]["args"];
    ensure!(arguments.to_string().contains(r#""--namespace=a","--namespace=b""#), "{arguments}");
    Ok(())
}

#[test]
fn no_role_for_people_makes_a_change_or_writes_a_status() -> Result<()> {
    let objects = objects(&[])?;
    let mut seen = 0;
    for role in all(&objects, "ClusterRole") {
        let labels = role["metadata"]["labels"].to_string();
        if !labels.contains("aggregate-to-") {
            continue;
        }
        seen += 1;
        for rule in role["rules"].as_array().into_iter().flatten() {
            let (resources, verbs) = (rule["resources"].to_string(), rule["verbs"].to_string());
            ensure!(!resources.contains('/') && !rule.to_string().contains('*'), "{rule}");
            ensure!(!resources.contains("pvechanges") || !verbs.contains("create"), "{rule}");
            let approves = verbs.contains("approve");
            let shared = labels.contains("to-edit") || labels.contains("to-view");
            ensure!(!approves || !shared, "more than admin approves: {rule}");
        }
    }
    ensure!(seen == 3, "{seen} roles are aggregated");
    let without = chart::objects(&["--set=rbac.aggregate=false"])?;
    ensure!(!json!(without).to_string().contains("aggregate-to-"), "they cannot be left out");
    Ok(())
}

#[test]
fn the_network_policy_has_the_metrics_port_name_servers_and_api_servers() -> Result<()> {
    ensure!(find(&objects(&[])?, "NetworkPolicy").is_err(), "it is there without being asked for");
    let set = ["--set=networkPolicy.enabled=true", "--set=networkPolicy.apiServerPorts={6444}"];
    let objects = objects(&set)?;
    let policy = &find(&objects, "NetworkPolicy")?["spec"];
    let port = |protocol: &str, port: Value| json!({"protocol": protocol, "port": port});
    ensure!(policy["policyTypes"] == json!(["Ingress", "Egress"]), "{policy}");
    ensure!(policy["ingress"] == json!([{"ports": [port("TCP", json!("http"))]}]), "{policy}");
    let names = json!({"ports": [port("UDP", json!(53)), port("TCP", json!(53))]});
    let api = json!({"ports": [port("TCP", json!(6444))]});
    ensure!(policy["egress"] == json!([api, names]), "{policy}");
    Ok(())
}

#[test]
fn monitoring_is_there_when_it_is_asked_for() -> Result<()> {
    let plain = objects(&[])?;
    ensure!(all(&plain, "Service").count() == 1, "nothing can be scraped");
    for kind in ["ServiceMonitor", "PrometheusRule", "ConfigMap"] {
        ensure!(find(&plain, kind).is_err(), "{kind} is there without being asked for");
    }
    let url = "--set=monitoring.rules.repositoryUrl=https://git.example/r/";
    let more = "--set=monitoring.serviceMonitor.labels.release=p,monitoring.rules.labels.release=q";
    let objects = objects(&[&ALL[..], &[url, more]].concat())?;
    let monitor = find(&objects, "ServiceMonitor")?;
    ensure!(monitor["metadata"]["labels"]["release"] == "p", "{monitor}");
    let service = find(&objects, "Service")?;
    let selected = monitor["spec"]["selector"]["matchLabels"].as_object().context("no selector")?;
    let labels = &service["metadata"]["labels"];
    ensure!(selected.iter().all(|(name, value)| labels[name] == *value), "{labels}");
    ensure!(monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]);
    let rules = find(&objects, "PrometheusRule")?;
    ensure!(rules["metadata"]["labels"]["release"] == "q", "{rules}");
    let first = &rules["spec"]["groups"][0]["rules"][0]["annotations"]["runbook_url"];
    let first = first.as_str().context("an alert without a runbook")?;
    ensure!(first.starts_with("https://git.example/r/operator/docs/runbooks/"), "{first}");
    let board = find(&objects, "ConfigMap")?;
    ensure!(board["metadata"]["labels"]["grafana_dashboard"] == "1", "{board}");
    let board = board["data"]["pvecm-operator.json"].as_str().context("no dashboard")?;
    let _json: Value = serde_json::from_str(board)?;
    Ok(())
}

#[test]
fn every_alert_has_its_runbook_and_every_runbook_its_alert() -> Result<()> {
    let alerts = fs::read_to_string(chart::folder().join("files/alerts.yaml"))?;
    let alerts = chart::read(&alerts)?.pop().context("no alerts")?;
    let mut named = BTreeSet::new();
    for alert in alerts["groups"][0]["rules"].as_array().context("no alerts")? {
        let name = alert["alert"].as_str().context("an alert without a name")?;
        let page = alert["annotations"]["runbook_url"].as_str().context(name.to_owned())?;
        ensure!(page == format!("operator/docs/runbooks/{name}.md"), "{name}: {page}");
        named.insert(pvecm_e2e::operator::repository().join(page));
    }
    let folder = fs::read_dir(pvecm_e2e::operator::repository().join("operator/docs/runbooks"))?;
    let pages = folder.map(|entry| Ok(entry?.path())).collect::<Result<BTreeSet<PathBuf>>>()?;
    ensure!(pages == named, "pages {pages:?}, alerts {named:?}");
    Ok(())
}

#[test]
fn what_kustomize_adds_is_what_the_chart_adds() -> Result<()> {
    let production = chart::read(&chart::kustomized("overlays/production")?)?;
    let helm = objects(&[&ALL[1..5], &["--set=replicas=2"]].concat())?;
    for object in &helm {
        let (kind, name) = (&object["kind"], &object["metadata"]["name"]);
        let same = |other: &&Value| other["kind"] == *kind && other["metadata"]["name"] == *name;
        let other = production.iter().find(same).with_context(|| format!("no {kind} {name}"))?;
        for part in ["spec", "data", "rules", "subjects", "roleRef"] {
            let wanted = object[part].to_string().replace("\"Helm\"", "\"kustomize\"");
            let is = other[part].to_string();
            ensure!(is == wanted, "{kind} {name} differs in {part}");
        }
    }
    // The namespace itself is made by kustomize alone.
    ensure!(production.len() == helm.len() + 1, "kustomize makes more than helm");
    Ok(())
}

/// Namespaces and accounts go together wherever somebody puts the base.
#[test]
fn the_base_moves_to_another_namespace_whole() -> Result<()> {
    // Inside the tree: kustomize takes no absolute paths.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let up = way_up(folder.path())?;
    let text = format!("namespace: elsewhere\nresources: [{up}/manifests/base]\n");
    fs::write(folder.path().join("kustomization.yaml"), text)?;
    let moved = chart::kustomize(folder.path())?;
    ensure!(!moved.contains("pvecm-system"), "something stays behind:\n{moved}");
    Ok(())
}

#[test]
fn the_overlay_of_one_namespace_binds_no_rights_everywhere() -> Result<()> {
    let objects = chart::read(&chart::kustomized("overlays/single-namespace")?)?;
    ensure!(find(&objects, "ClusterRoleBinding").is_err(), "it is bound everywhere");
    let mut bindings = all(&objects, "RoleBinding");
    let bound = bindings.any(|binding| {
        binding["metadata"]["namespace"] == "pve" && binding["roleRef"]["kind"] == "ClusterRole"
    });
    ensure!(bound, "it has no rights in pve");
    let arguments = pod(&objects)?["containers"][0]["args"].to_string();
    ensure!(arguments.contains("--namespace=pve"), "{arguments}");
    Ok(())
}

/// The way up from a folder below the root of the repository.
fn way_up(folder: &Path) -> Result<String> {
    let root = pvecm_e2e::operator::repository().canonicalize()?;
    let folder = folder.canonicalize()?;
    let below = folder.strip_prefix(root).context("the target directory is outside the tree")?;
    Ok(vec![".."; below.components().count()].join("/"))
}

fn all<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

fn find<'a>(objects: &'a [Value], kind: &str) -> Result<&'a Value> {
    let found = objects.iter().find(|object| object["kind"] == kind);
    found.with_context(|| format!("there is no {kind}"))
}

fn pod(objects: &[Value]) -> Result<&Value> {
    Ok(&find(objects, "Deployment")?["spec"]["template"]["spec"])
}
