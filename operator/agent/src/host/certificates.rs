//! The folder from which corosync-qdevice takes its key and certificate, and one beside it for the next start.
//!
//! A folder is made under a name that nobody looks for and renamed when it is whole. It is what corosync's own tools
//! make, names and rights included, so that they go on working on it. A key is made by NSS in the folder, or brought
//! into it, and never leaves it.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use futures::FutureExt;
use futures::future::BoxFuture;
use pvecm_core::protocol::Attempt;
use x509_cert::Certificate;
use x509_cert::request::CertReq;

use super::disk::{
    UNFINISHED, make_backups, prefix, read_optional, remove_unfinished, replace_file,
    set_files_aside,
};
use super::nss::{AUTHORITY, Folders, NODE, PASSWORD, certutil, pk12util};
use super::services::run;
use crate::certificate::{answers, asks_for, fingerprint, is_for, to_der, to_pem};
use crate::ports::{Certificates, KeptCertificate, LyingCertificates, RequestFor};

const HOME: &str = "/etc/corosync/qdevice/net";
/// What the daemon starts with, what it is to start with, and what it started with before.
const IN_USE: &str = "nssdb";
const LAID: &str = "nssdb.new";
const BEFORE: &str = "nssdb.old";

const AUTHORITY_FILE: &str = "qnetd-cacert.crt";
const REQUEST_FILE: &str = "qdevice-net-node.crq";
const NODE_FILE: &str = "cluster.crt";
const BUNDLE_FILE: &str = "qdevice-net-node.p12";
/// Which certificate it is of this node.
const GENERATION_FILE: &str = "pvecm-generation";
/// Which attempt put the folder to use.
const EXCHANGED_FILE: &str = "pvecm-exchanged";

/// The certificates of this machine.
#[derive(Debug)]
pub struct NodeCertificates {
    home: PathBuf,
    folders: Folders,
}

impl Default for NodeCertificates {
    fn default() -> Self {
        Self { home: HOME.into(), folders: Folders::default() }
    }
}

impl NodeCertificates {
    fn folder(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// A folder without a witness is no use to anybody.
    fn kept(&self, name: &str) -> Option<KeptCertificate> {
        let folder = self.folder(name);
        let found = self.folders.look(&folder)?;
        let authority = fingerprint(&found.authority?).ok()?;
        let generation = fs::read_to_string(folder.join(GENERATION_FILE)).ok();
        let generation = generation.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let request = fs::read(folder.join(REQUEST_FILE)).ok();
        let request = request.and_then(|bytes| to_pem::<CertReq>(&bytes).ok());
        let is_issued = found.node.is_some();
        Some(KeptCertificate { authority, generation, is_issued, request })
    }

    fn is_laid(&self, wanted: &RequestFor<'_>) -> bool {
        let Some(laid) = self.kept(LAID) else { return false };
        let asks = laid.request.is_some_and(|request| asks_for(&request, wanted.cluster).is_ok());
        asks && fingerprint(wanted.authority) == Ok(laid.authority)
            && laid.generation == wanted.generation
    }

    fn lay(&self, wanted: &RequestFor<'_>, attempt: Attempt) -> Result<(), String> {
        if self.is_laid(wanted) {
            return Ok(());
        }
        self.make(wanted, attempt, |folder| {
            fs::write(folder.join("noise.txt"), noise().map_err(words)?).map_err(words)?;
            let subject = format!("CN={}", wanted.cluster);
            let (request, noise) = (path(folder, REQUEST_FILE), path(folder, "noise.txt"));
            nss(folder, &["-R", "-s", &subject, "-o", &request, "-z", &noise])
        })
    }

    fn bring(
        &self,
        wanted: &RequestFor<'_>,
        bundle: &[u8],
        attempt: Attempt,
    ) -> Result<(), String> {
        self.make(wanted, attempt, |folder| {
            let file = folder.join(BUNDLE_FILE);
            replace_file(&file, bundle, 0o600).map_err(words)?;
            let mut command = pk12util(folder);
            command.args(["-W", "", "-i"]).arg(&file);
            run(command).map_err(|why| format!("pk12util -i: {why}"))?;
            fs::remove_file(file).map_err(words)?;
            let node = Folders::default().look(folder).and_then(|found| found.node);
            let node = node.ok_or_else(|| {
                format!("the PKCS#12 has nothing under the name `{NODE}`, by which corosync-qdevice looks for it")
            })?;
            is_for(&node, wanted.cluster, wanted.authority)
        })
    }

    /// Makes a folder with the certificate of the witness, has the rest made in it, and lays it.
    fn make(
        &self,
        wanted: &RequestFor<'_>,
        attempt: Attempt,
        fill: impl FnOnce(&Path) -> Result<(), String>,
    ) -> Result<(), String> {
        let authority = to_der::<Certificate>(wanted.authority)?;
        // What a killed life of the agent was making: no key in it was ever used.
        remove_unfinished(&self.home).map_err(words)?;
        fs::create_dir_all(&self.home).map_err(words)?;
        let mut making = tempfile::Builder::new();
        let making = making.prefix(UNFINISHED).tempdir_in(&self.home).map_err(words)?;
        let folder = making.path();
        fs::write(folder.join(PASSWORD), "").map_err(words)?;
        fs::write(folder.join(AUTHORITY_FILE), authority).map_err(words)?;
        fs::write(folder.join(GENERATION_FILE), wanted.generation.to_string()).map_err(words)?;
        nss(folder, &["-N"])?;
        import(folder, (AUTHORITY, "CT,c,c"), AUTHORITY_FILE)?;
        fill(folder)?;
        finish(folder).map_err(words)?;
        self.set_aside(LAID, attempt)?;
        fs::rename(making.keep(), self.folder(LAID)).and_then(|()| self.sync()).map_err(words)
    }

    fn put(&self, certificate: &str) -> Result<(), String> {
        let folder = self.folder(LAID);
        let laid = self.kept(LAID).and_then(|kept| kept.request.zip(Some(kept.is_issued)));
        let (request, is_issued) = laid.ok_or("no request for a certificate lies here")?;
        let authority = read_optional(&folder.join(AUTHORITY_FILE)).map_err(words)?;
        let authority = to_pem::<Certificate>(&authority.unwrap_or_default())?;
        answers(certificate, &request, &authority)?;
        if is_issued {
            return Ok(());
        }
        let bytes = to_der::<Certificate>(certificate)?;
        replace_file(&folder.join(NODE_FILE), &bytes, 0o660).map_err(words)?;
        import(&folder, (NODE, "u,u,u"), NODE_FILE)
    }

    fn swap(&self, attempt: Attempt) -> Result<(), String> {
        if !self.kept(LAID).is_some_and(|laid| laid.is_issued) {
            return Ok(());
        }
        let (in_use, laid) = (self.folder(IN_USE), self.folder(LAID));
        let mark = laid.join(EXCHANGED_FILE);
        replace_file(&mark, word(attempt).as_bytes(), 0o660).map_err(words)?;
        if in_use.exists() {
            self.set_aside(BEFORE, attempt)?;
            fs::rename(&in_use, self.folder(BEFORE)).map_err(words)?;
        }
        fs::rename(laid, in_use).and_then(|()| self.sync()).map_err(words)
    }

    fn swap_back(&self, attempt: Attempt) -> Result<(), String> {
        let (in_use, before) = (self.folder(IN_USE), self.folder(BEFORE));
        let mark = read_optional(&in_use.join(EXCHANGED_FILE)).map_err(words)?;
        if mark.is_some_and(|mark| mark == word(attempt).as_bytes()) {
            self.set_aside(LAID, attempt)?;
            fs::rename(&in_use, self.folder(LAID)).map_err(words)?;
        }
        // Also where the agent ended between the two moves of the exchange.
        if !in_use.exists() && before.exists() {
            fs::rename(before, in_use).map_err(words)?;
        }
        self.sync().map_err(words)
    }

    fn set_aside(&self, name: &str, attempt: Attempt) -> Result<(), String> {
        let folder = self.folder(name);
        if !folder.exists() {
            return Ok(());
        }
        make_backups().map_err(words)?;
        // What lies there already is of an earlier try of this attempt, and has another key.
        let now = jiff::Timestamp::now().as_millisecond();
        let to = format!("{}.{now}.{name}", prefix(attempt));
        let moved = set_files_aside(&folder, &to).and_then(|()| fs::remove_dir(&folder));
        moved.map_err(|error| format!("cannot move {} aside: {error}", folder.display()))
    }

    fn sync(&self) -> io::Result<()> {
        match File::open(&self.home) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            home => home?.sync_all(),
        }
    }
}

impl Certificates for NodeCertificates {
    fn lying(&self) -> LyingCertificates {
        LyingCertificates { in_use: self.kept(IN_USE), laid: self.kept(LAID) }
    }

    fn request<'a>(
        &'a self,
        wanted: RequestFor<'a>,
        attempt: Attempt,
    ) -> BoxFuture<'a, Result<(), String>> {
        async move { self.lay(&wanted, attempt) }.boxed()
    }

    fn import<'a>(
        &'a self,
        wanted: RequestFor<'a>,
        bundle: &'a [u8],
        attempt: Attempt,
    ) -> BoxFuture<'a, Result<(), String>> {
        async move { self.bring(&wanted, bundle, attempt) }.boxed()
    }

    fn take<'a>(&'a self, certificate: &'a str) -> BoxFuture<'a, Result<(), String>> {
        async move { self.put(certificate) }.boxed()
    }

    fn exchange(&self, attempt: Attempt) -> Result<(), String> {
        self.swap(attempt)
    }

    fn exchange_back(&self, attempt: Attempt) -> Result<(), String> {
        self.swap_back(attempt)
    }

    fn put_away(&self, attempt: Attempt) -> Result<(), String> {
        [LAID, BEFORE, IN_USE].into_iter().try_for_each(|name| self.set_aside(name, attempt))
    }
}

fn word(attempt: Attempt) -> String {
    let Attempt { change, stage, attempt } = attempt;
    format!("{change}-{stage}-{attempt}")
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn words(error: io::Error) -> String {
    format!("the certificates of corosync-qdevice: {error}")
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

/// What the tools of corosync take from less random things.
fn noise() -> io::Result<[u8; 40]> {
    let mut bytes = [0; 40];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn nss(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut command = certutil(folder);
    command.args(arguments);
    run(command).map_err(|why| format!("certutil {}: {why}", arguments.first().unwrap_or(&"")))
}

fn import(folder: &Path, (name, trust): (&str, &str), file: &str) -> Result<(), String> {
    nss(folder, &["-A", "-t", trust, "-n", name, "-i", &path(folder, file)])
}

/// The rights that corosync's tools give, whatever the umask is; then all of it is on the disk.
fn finish(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?.path();
        fs::set_permissions(&entry, Permissions::from_mode(0o660))?;
        File::open(entry)?.sync_all()?;
    }
    fs::set_permissions(folder, Permissions::from_mode(0o770))?;
    File::open(folder)?.sync_all()
}
