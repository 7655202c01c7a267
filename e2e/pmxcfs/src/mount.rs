//! The adapter between the kernel's FUSE requests and `cfs`.
//!
//! Owns inode numbers, attributes and the answers to what pmxcfs does not support. Never decides what a change does.

mod requests;

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    Config, FileAttr, FileType, INodeNo, MountOption, RenameFlags, Session, SessionACL, TimeOrNow,
};
use nix::errno::Errno;
use nix::unistd::Group;
use parking_lot::Mutex;

use crate::cfs::{self, Cfs, Kind, Look};
use crate::inodes::Inodes;
use crate::tree::{self, Op};

/// Nothing is remembered by the kernel: another member's change must be seen at once.
const TTL: Duration = Duration::ZERO;
/// One call may wait for a whole second (a rename to corosync.conf) or for a merge; the others must go on.
const THREADS: usize = 16;
/// Group that may read, as Debian numbers www-data.
const WWW_DATA: u32 = 33;
const BLOCK: u32 = 4096;

/// Mounts `cfs` on `dir`; the mount is there when this returns, and served when the session runs.
pub fn mount(cfs: Arc<Cfs>, dir: &Path) -> io::Result<Session<Adapter>> {
    let group = Group::from_name("www-data").ok().flatten();
    let gid = group.map_or(WWW_DATA, |group| group.gid.as_raw());
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("/dev/fuse".into()),
        MountOption::Subtype("pmxcfs-standin".into()),
        MountOption::DefaultPermissions,
        MountOption::NoSuid,
        MountOption::NoDev,
    ];
    config.acl = SessionACL::All;
    config.n_threads = Some(THREADS);
    Session::new(Adapter { cfs, inodes: Mutex::default(), gid }, dir, &config)
}

/// Answers the kernel's requests.
#[derive(Debug)]
pub struct Adapter {
    cfs: Arc<Cfs>,
    inodes: Mutex<Inodes>,
    gid: u32,
}

fn refusal(errno: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(errno as i32)
}

fn seconds(time: TimeOrNow) -> u64 {
    match time {
        TimeOrNow::Now => cfs::now(),
        TimeOrNow::SpecificTime(time) => {
            time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
        }
    }
}

impl Adapter {
    fn path(&self, number: INodeNo) -> Result<String, Errno> {
        self.inodes.lock().path(number.0).ok_or(Errno::ENOENT)
    }

    fn child(&self, dir: INodeNo, name: &OsStr) -> Result<String, Errno> {
        let name = name.to_str().ok_or(Errno::EINVAL)?;
        let dir = self.path(dir)?;
        Ok(if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") })
    }

    fn attr(&self, path: &str) -> Result<FileAttr, Errno> {
        let look = self.cfs.look(path)?;
        let number = self.inodes.lock().number(path);
        Ok(self.attr_of(number, &look))
    }

    fn attr_of(&self, number: u64, look: &Look) -> FileAttr {
        let time = UNIX_EPOCH + Duration::from_secs(look.mtime);
        FileAttr {
            ino: INodeNo(number),
            size: look.size,
            blocks: look.size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind: file_type(look.kind),
            perm: look.mode,
            nlink: if look.kind == Kind::Dir { 2 } else { 1 },
            uid: 0,
            gid: self.gid,
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        }
    }

    fn make(&self, dir: INodeNo, name: &OsStr, op: fn(String) -> Op) -> Result<FileAttr, Errno> {
        let path = self.child(dir, name)?;
        self.cfs.submit(&op(path.clone()))?;
        self.attr(&path)
    }

    fn remove(&self, parent: INodeNo, name: &OsStr, dir: bool) -> Result<(), Errno> {
        let path = self.child(parent, name)?;
        self.cfs.submit(&Op::Remove { path, dir })
    }

    fn rename_path(&self, from: &str, to: &str, flags: RenameFlags) -> Result<(), Errno> {
        if flags.intersects(RenameFlags::RENAME_EXCHANGE | RenameFlags::RENAME_WHITEOUT) {
            return Err(Errno::EINVAL);
        }
        if flags.contains(RenameFlags::RENAME_NOREPLACE) && self.cfs.look(to).is_ok() {
            return Err(Errno::EEXIST);
        }
        self.cfs.submit(&Op::Rename { from: from.to_owned(), to: to.to_owned() })?;
        self.inodes.lock().moved(from, to);
        Ok(())
    }

    /// Modes and owners are fixed: what they are already is accepted, everything else refused.
    fn check_owner(
        &self,
        path: &str,
        wish: (Option<u32>, Option<u32>, Option<u32>),
    ) -> Result<(), Errno> {
        let (mode, uid, gid) = wish;
        let fixed = if tree::is_private(path) { 0o600 } else { 0o640 };
        let allowed = mode.is_none_or(|mode| mode & 0o7777 == fixed)
            && uid.is_none_or(|uid| uid == 0)
            && gid.is_none_or(|gid| gid == self.gid);
        if allowed { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// `utime(0, 0)` on a lock asks for it, any other time refreshes; asking is refused even when the lock goes.
    fn set_time(&self, path: String, mtime: u64) -> Result<(), Errno> {
        if mtime != 0 || !tree::is_lock(&path) {
            return self.cfs.submit(&Op::Touch { path, mtime });
        }
        self.cfs.submit(&Op::Unlock { path })?;
        Err(Errno::EACCES)
    }

    fn entries(&self, dir: INodeNo) -> Result<Vec<(u64, FileType, String)>, Errno> {
        let path = self.path(dir)?;
        let names = self.cfs.list(&path)?;
        let mut inodes = self.inodes.lock();
        let own = [".", ".."].map(|name| {
            let of = if name == "." { path.as_str() } else { tree::parent(&path) };
            (inodes.number(of), FileType::Directory, name.to_owned())
        });
        let mut entries = Vec::from(own);
        for (name, kind) in names {
            let full = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            entries.push((inodes.number(&full), file_type(kind), name));
        }
        Ok(entries)
    }
}

fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::Dir => FileType::Directory,
        Kind::File => FileType::RegularFile,
        Kind::Link => FileType::Symlink,
    }
}
