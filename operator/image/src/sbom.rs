//! What is linked into the program, as `CycloneDX` lists it: crates, Rust's standard library, the C library.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};
use cyclonedx_bom::models::component::Classification;
use cyclonedx_bom::models::dependency::{Dependencies, Dependency};
use cyclonedx_bom::models::license::{LicenseChoice, Licenses};
use cyclonedx_bom::prelude::{
    Bom, Component, Components, Metadata as About, Purl, SpdxExpression, SpecVersion, Validate as _,
};

use crate::{PACKAGE, said};

/// What cargo builds the program from: name and version of each crate whose code is in it, which leaves out
/// macros and what only builds or tests. Metadata would also have what other programs of this tree ask of the same crates.
pub fn built(target: &str) -> Result<BTreeSet<String>> {
    let of = ["tree", "--locked", "--package", PACKAGE, "--edges=normal,no-proc-macro"];
    let as_list = ["--prefix=none", "--no-dedupe", "--format={p}", "--target", target];
    let lines = said("cargo", &[of, as_list].concat())?;
    let crate_of = |line: &str| {
        let mut words = line.split(' ');
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        Some(format!("{name} {version}"))
    };
    let crates =
        lines.lines().map(|line| crate_of(line).context("cargo tree prints something else"));
    crates.collect()
}

/// What cargo knows of those crates, for one target.
pub fn metadata(target: &str) -> Result<Metadata> {
    let mut cargo = MetadataCommand::new();
    cargo.manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../controller/Cargo.toml"));
    cargo.other_options(["--locked", "--filter-platform", target].map(str::to_owned));
    cargo.exec().context("cargo does not say what the operator depends on")
}

/// The list, as JSON.
pub fn bom(built: &BTreeSet<String>, metadata: &Metadata) -> Result<Vec<u8>> {
    let linked = linked(built, metadata)?;
    let package = |id: &PackageId| &metadata[id];
    let own = linked.keys().copied().find(|id| package(id).name == PACKAGE);
    let own = own.context("the operator is not among its own packages")?;
    let others = linked.keys().filter(|id| **id != own);
    let mut components: Vec<Component> =
        others.map(|id| component(package(id), Classification::Library)).collect::<Result<_>>()?;
    components.extend(runtime()?);
    let edges = linked.iter().map(|(id, needed)| Dependency {
        dependency_ref: reference(package(id)),
        dependencies: needed.iter().map(|id| reference(package(id))).collect(),
    });
    let bom = Bom {
        // A random number here would make the same list another one each time.
        serial_number: None,
        metadata: Some(About {
            timestamp: None,
            component: Some(component(package(own), Classification::Application)?),
            ..About::default()
        }),
        components: Some(Components(components)),
        dependencies: Some(Dependencies(edges.collect())),
        ..Bom::default()
    };
    let valid = bom.validate_version(SpecVersion::V1_5);
    ensure!(valid.passed(), "the list of components is not as CycloneDX wants it: {valid:?}");
    let mut json = Vec::new();
    bom.output_as_json(&mut json, SpecVersion::V1_5)?;
    Ok(json)
}

/// The packages whose code is in the program, each with those that it needs itself.
fn linked<'a>(
    built: &BTreeSet<String>,
    metadata: &'a Metadata,
) -> Result<BTreeMap<&'a PackageId, BTreeSet<&'a PackageId>>> {
    let resolve = metadata.resolve.as_ref().context("cargo resolved nothing")?;
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let own = metadata.packages.iter().find(|package| package.name == PACKAGE);
    let mut open = vec![&own.context("there is no package of the operator")?.id];
    let mut linked = BTreeMap::new();
    while let Some(id) = open.pop() {
        if linked.contains_key(id) {
            continue;
        }
        let node = nodes.get(id).with_context(|| format!("cargo did not resolve {id}"))?;
        let needed = node.deps.iter().filter(|dependency| {
            let runs = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            runs && built.contains(&reference(&metadata[&dependency.pkg]))
        });
        let needed: BTreeSet<_> = needed.map(|dependency| &dependency.pkg).collect();
        open.extend(&needed);
        linked.insert(id, needed);
    }
    ensure!(linked.len() == built.len(), "cargo's metadata and its tree name different crates");
    Ok(linked)
}

/// What is linked in and is no crate.
fn runtime() -> Result<[Component; 2]> {
    let compiler = said("rustc", &["--version"])?;
    let rust = compiler.split(' ').nth(1).context("rustc has no version")?;
    let libc = said("dpkg-query", &["--show", "--showformat=${Version}", "libc6-dev"])?;
    let part = |name: &str, version: &str, purl: Option<Purl>, license: &str| {
        let reference = Some(format!("{name} {version}"));
        let mut part = Component::new(Classification::Library, name, version, reference);
        part.purl = purl;
        part.licenses = Some(Licenses(vec![LicenseChoice::expression(license)]));
        part
    };
    let purl = Purl::new("deb", "libc6-dev", &libc)?;
    Ok([
        part("rust-std", rust, None, "MIT OR Apache-2.0"),
        part("glibc", &libc, Some(purl), "LGPL-2.1-or-later"),
    ])
}

fn component(package: &Package, kind: Classification) -> Result<Component> {
    let version = package.version.to_string();
    let mut component = Component::new(kind, &package.name, &version, Some(reference(package)));
    if package.source.is_some() {
        component.purl = Some(Purl::new("cargo", &package.name, &version)?);
    }
    // Old crates write a slash for OR.
    let license = package.license.as_ref();
    let license = license.map(|text| SpdxExpression::parse_lax(text.clone())).transpose()?;
    let license = license.map(|expression| Licenses(vec![LicenseChoice::Expression(expression)]));
    component.licenses = license;
    Ok(component)
}

fn reference(package: &Package) -> String {
    format!("{} {}", package.name, package.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_what_is_linked_in_and_nothing_else_and_is_the_same_each_time() {
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let (built, metadata) = (built(&target).unwrap(), metadata(&target).unwrap());
        let first = bom(&built, &metadata).unwrap();
        assert_eq!(first, bom(&built, &metadata).unwrap());
        let list: serde_json::Value = serde_json::from_slice(&first).unwrap();
        assert_eq!(list["metadata"]["component"]["name"], PACKAGE);
        let names: BTreeSet<&str> = list["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["name"].as_str().unwrap())
            .collect();
        for there in ["pvecm-core", "kube-client", "ring", "glibc", "rust-std"] {
            assert!(names.contains(there), "{there} is missing");
        }
        // A macro, a tool of tests, a library of the agent, and one that the lab asks of the same crates.
        for elsewhere in ["serde_derive", "proptest", "rust-corosync", "h2", PACKAGE] {
            assert!(!names.contains(elsewhere), "{elsewhere} is not linked in");
        }
    }
}
