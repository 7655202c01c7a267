//! The image itself: layer, configuration, manifest and index, packed as an OCI layout.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use oci_spec::image::{
    ConfigBuilder, Descriptor, DescriptorBuilder, HistoryBuilder, ImageConfigurationBuilder,
    ImageIndexBuilder, ImageManifestBuilder, MediaType, OciLayoutBuilder, PlatformBuilder,
    RootFsBuilder, SCHEMA_VERSION, Sha256Digest,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use crate::PACKAGE;

/// The user of no rights whom Kubernetes' restricted policy and our chart name.
const USER: &str = "65532:65532";

/// What is said of an image.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    pub version: &'a str,
    /// The commit.
    pub revision: &'a str,
    /// The commit's time, as RFC 3339 has it.
    pub created: &'a str,
    /// As OCI names it.
    pub architecture: &'a str,
}

/// A finished image.
#[derive(Debug, PartialEq, Eq)]
pub struct Image {
    /// An archive with an OCI layout.
    pub archive: Vec<u8>,
    /// The manifest's SHA-256, by which registries know the image.
    pub digest: String,
}

/// Makes the image of a program.
pub fn image(program: &[u8], about: &About) -> Result<Image> {
    let layer = archive(&[(PACKAGE, program, 0o755)])?;
    let mut packed = Vec::new();
    let mut gzip = GzBuilder::new().write(&mut packed, Compression::best());
    std::io::copy(&mut &layer[..], &mut gzip)?;
    gzip.finish()?;
    let config = json(&config(&layer, about)?)?;
    let (config_of, layer_of) = (
        descriptor(MediaType::ImageConfig, &config)?,
        descriptor(MediaType::ImageLayerGzip, &packed)?,
    );
    let manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(config_of)
        .layers([layer_of])
        .annotations(labels(about))
        .build()?;
    let manifest = json(&serde_json::to_value(manifest)?)?;
    let index = json(&index(&manifest, about)?)?;
    let marker = OciLayoutBuilder::default().image_layout_version("1.0.0").build()?;
    let mut files = BTreeMap::from([
        ("index.json".to_owned(), index),
        ("oci-layout".to_owned(), json(&serde_json::to_value(marker)?)?),
    ]);
    let digest = hex(&manifest);
    files.extend(
        [packed, config, manifest].map(|blob| (format!("blobs/sha256/{}", hex(&blob)), blob)),
    );
    let files: Vec<_> = files.iter().map(|(path, bytes)| (&**path, &**bytes, 0o644)).collect();
    Ok(Image { archive: archive(&files)?, digest })
}

fn config(layer: &[u8], about: &About) -> Result<Value> {
    let run = ConfigBuilder::default()
        .user(USER)
        .entrypoint([format!("/{PACKAGE}")])
        .exposed_ports(["8080/tcp".to_owned()])
        .labels(labels(about))
        .build()?;
    let root = RootFsBuilder::default()
        .typ("layers")
        .diff_ids([format!("sha256:{}", hex(layer))])
        .build()?;
    let history =
        HistoryBuilder::default().created(about.created).created_by("cargo xtask image").build()?;
    let config = ImageConfigurationBuilder::default()
        .created(about.created)
        .architecture(about.architecture)
        .os("linux")
        .config(run)
        .rootfs(root)
        .history([history])
        .build()?;
    Ok(serde_json::to_value(config)?)
}

fn index(manifest: &[u8], about: &About) -> Result<Value> {
    let platform =
        PlatformBuilder::default().architecture(about.architecture).os("linux").build()?;
    let name =
        HashMap::from([("org.opencontainers.image.ref.name".to_owned(), about.version.to_owned())]);
    let manifest = DescriptorBuilder::default()
        .media_type(MediaType::ImageManifest)
        .size(manifest.len() as u64)
        .digest(digest(manifest)?)
        .platform(platform)
        .annotations(name)
        .build()?;
    let index = ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests([manifest])
        .build()?;
    Ok(serde_json::to_value(index)?)
}

fn labels(about: &About) -> HashMap<String, String> {
    [
        ("title", PACKAGE),
        ("version", about.version),
        ("revision", about.revision),
        ("licenses", env!("CARGO_PKG_LICENSE")),
    ]
    .map(|(name, value)| (format!("org.opencontainers.image.{name}"), value.to_owned()))
    .into()
}

/// A tar archive of files that belong to root and were never touched: nothing of the machine that builds it.
fn archive(files: &[(&str, &[u8], u32)]) -> Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    for (path, bytes, mode) in files {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes.len() as u64);
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        archive.append_data(&mut header, path, *bytes)?;
    }
    Ok(archive.into_inner()?)
}

/// JSON with its keys in order: the maps of these types have none.
fn json(value: &Value) -> Result<Vec<u8>> {
    fn ordered(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let map: BTreeMap<_, _> = map.iter().collect();
                map.into_iter().map(|(key, value)| (key.clone(), ordered(value))).collect()
            }
            Value::Array(list) => list.iter().map(ordered).collect(),
            other => other.clone(),
        }
    }
    Ok(serde_json::to_vec(&ordered(value))?)
}

fn descriptor(kind: MediaType, bytes: &[u8]) -> Result<Descriptor> {
    Ok(Descriptor::new(kind, bytes.len() as u64, digest(bytes)?))
}

fn digest(bytes: &[u8]) -> Result<Sha256Digest> {
    hex(bytes).parse().context("a digest is no digest")
}

/// The SHA-256 of these bytes.
pub fn hex(bytes: &[u8]) -> String {
    let bytes = Sha256::digest(bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    const ABOUT: About<'static> = About {
        version: "1.2.3",
        revision: "abc",
        created: "2026-01-02T03:04:05Z",
        architecture: "amd64",
    };

    fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(archive);
        let file = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
            let mut entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.mtime().unwrap(), header.uid().unwrap()), (0, 0));
            let path = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (path, bytes)
        };
        archive.entries().unwrap().map(file).collect()
    }

    fn read(files: &BTreeMap<String, Vec<u8>>, descriptor: &Value) -> Value {
        serde_json::from_slice(blob(files, descriptor)).unwrap()
    }

    /// Under its digest stands what has this digest, and the size is right.
    fn blob<'a>(files: &'a BTreeMap<String, Vec<u8>>, descriptor: &Value) -> &'a [u8] {
        let digest = descriptor["digest"].as_str().unwrap().replace(':', "/");
        let bytes = &files[&format!("blobs/{digest}")];
        assert_eq!(digest, format!("sha256/{}", hex(bytes)));
        assert_eq!(descriptor["size"], bytes.len());
        bytes
    }

    #[test]
    fn the_layout_leads_from_the_index_to_the_program() {
        let image = image(b"program", &ABOUT).unwrap();
        let blobs = files(&image.archive);
        let marker: Value = serde_json::from_slice(&blobs["oci-layout"]).unwrap();
        assert_eq!(marker["imageLayoutVersion"], "1.0.0");
        let index: Value = serde_json::from_slice(&blobs["index.json"]).unwrap();
        let manifest = read(&blobs, &index["manifests"][0]);
        assert_eq!(index["manifests"][0]["digest"], format!("sha256:{}", image.digest));
        assert_eq!(index["manifests"][0]["platform"]["architecture"], "amd64");
        let config = read(&blobs, &manifest["config"]);
        assert_eq!(config["config"]["User"], USER);
        assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/pvecm-operator"]));
        assert_eq!(config["created"], ABOUT.created);
        let packed = blob(&blobs, &manifest["layers"][0]);
        let mut layer = Vec::new();
        GzDecoder::new(packed).read_to_end(&mut layer).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", hex(&layer)));
        assert_eq!(files(&layer), BTreeMap::from([(PACKAGE.to_owned(), b"program".to_vec())]));
        assert_eq!(blobs.len(), 5);
    }

    #[test]
    fn the_same_program_gives_the_same_bytes() {
        let first = image(b"program", &ABOUT).unwrap();
        assert_eq!(first, image(b"program", &ABOUT).unwrap());
        assert_ne!(first.digest, image(b"another", &ABOUT).unwrap().digest);
    }
}
