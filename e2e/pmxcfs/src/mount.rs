//! The adapter between the kernel's FUSE requests and `cfs`.
//!
//! Owns inode numbers, attributes and the answers to what pmxcfs does not support. Never decides what a change does.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, Config, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, Session,
    SessionACL, TimeOrNow, WriteFlags,
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
const BLOCKS: u64 = 32768;
const FILES: u64 = 262_144;

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

/// Answers with nothing but success or an error.
fn done(result: Result<(), Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(refusal(errno)),
    }
}

fn entry(result: Result<FileAttr, Errno>, reply: ReplyEntry) {
    match result {
        Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
        Err(errno) => reply.error(refusal(errno)),
    }
}

fn attributes(result: Result<FileAttr, Errno>, reply: ReplyAttr) {
    match result {
        Ok(attr) => reply.attr(&TTL, &attr),
        Err(errno) => reply.error(refusal(errno)),
    }
}

impl Filesystem for Adapter {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(self.child(parent, name).and_then(|path| self.attr(&path)), reply);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        attributes(self.path(ino).and_then(|path| self.attr(&path)), reply);
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let change = || {
            let path = self.path(ino)?;
            self.check_owner(&path, (mode, uid, gid))?;
            if let Some(size) = size {
                self.cfs.submit(&Op::Truncate { path: path.clone(), size })?;
            }
            if let Some(mtime) = mtime {
                self.set_time(path.clone(), seconds(mtime))?;
            }
            self.attr(&path)
        };
        attributes(change(), reply);
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        match self.path(ino).and_then(|path| self.cfs.target(&path)) {
            Ok(target) => reply.data(target.as_bytes()),
            Err(errno) => reply.error(refusal(errno)),
        }
    }

    fn mknod(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        entry(self.make(parent, name, |path| Op::Create { path }), reply);
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        entry(self.make(parent, name, |path| Op::Mkdir { path }), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.remove(parent, name, false), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.remove(parent, name, true), reply);
    }

    fn symlink(&self, _: &Request, _: INodeNo, _: &OsStr, _: &Path, reply: ReplyEntry) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn link(&self, _: &Request, _: INodeNo, _: INodeNo, _: &OsStr, reply: ReplyEntry) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let rename = || {
            let (from, to) = (self.child(parent, name)?, self.child(newparent, newname)?);
            self.rename_path(&from, &to, flags)
        };
        done(rename(), reply);
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.path(ino).and_then(|path| self.cfs.look(&path)) {
            // Direct: the page cache would hide what other members write.
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(errno) => reply.error(refusal(errno)),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.make(parent, name, |path| Op::Create { path }) {
            Ok(attr) => {
                let direct = FopenFlags::FOPEN_DIRECT_IO;
                reply.created(&TTL, &attr, Generation(0), FileHandle(0), direct);
            }
            Err(errno) => reply.error(refusal(errno)),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.path(ino).and_then(|path| self.cfs.read(&path, offset, size)) {
            Ok(data) => reply.data(&data),
            Err(errno) => reply.error(refusal(errno)),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let write = || {
            let path = self.path(ino)?;
            self.cfs.submit(&Op::Write { path, offset, data: data.to_vec() })?;
            u32::try_from(data.len()).map_err(|_| Errno::EFBIG)
        };
        match write() {
            Ok(length) => reply.written(length),
            Err(errno) => reply.error(refusal(errno)),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(self.cfs.sync(), reply);
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(self.cfs.sync(), reply);
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let entries = match self.entries(ino) {
            Ok(entries) => entries,
            Err(errno) => return reply.error(refusal(errno)),
        };
        for (next, (number, kind, name)) in (1u64..).zip(entries) {
            if next > offset && reply.add(INodeNo(number), next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, FILES, FILES, BLOCK, 255, BLOCK);
    }
}
