//! What one host sees: the mount, its rules and its process.

use crate::lab::Host;

/// A mounted host in local mode.
fn mounted() -> (tempfile::TempDir, Host) {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::alone(&dir);
    host.ok(&host.program());
    (dir, host)
}

#[test]
fn the_parent_returns_when_the_file_system_is_mounted_and_writable() {
    let (_dir, n1) = mounted();
    n1.ok("mountpoint -q /run/pve && test -d /proc/$(cat /run/pve.pid)");
    n1.ok("echo text > /run/pve/storage.cfg && sync /run/pve/storage.cfg");
    assert_eq!(n1.ok("cat /run/pve/storage.cfg"), "text");
    assert_eq!(n1.ok("readlink /run/pve/local /run/pve/lxc"), "nodes/n1\nnodes/n1/lxc");
    assert_eq!(n1.ok("cat /run/pve/.members"), r#"{"nodename":"n1","version":1}"#);
    assert_eq!(n1.ok("stat -f -c '%T %b %s' /run/pve"), "fuseblk 32768 4096");
}

#[test]
fn modes_and_owners_are_fixed_and_links_are_refused() {
    let (_dir, n1) = mounted();
    n1.ok("cd /run/pve; echo a > a; echo b > priv/b; mkdir priv/lock/l");
    let modes = n1.ok("cd /run/pve; stat -c '%a %U:%G' a priv/b priv/lock/l nodes");
    let expected = "640 root:www-data\n600 root:www-data\n700 root:www-data\n755 root:www-data";
    assert_eq!(modes, expected);
    n1.ok("cd /run/pve; chmod 640 a; chmod 600 priv/b; chown root:www-data a");
    for refused in ["chmod 600 a", "chown root:root a"] {
        assert!(n1.fails(&format!("cd /run/pve; {refused}")).contains("not permitted"));
    }
    assert!(n1.fails("ln -s a /run/pve/z").contains("not implemented"));
    n1.fails("rm /run/pve/local");
    n1.fails("echo x > /run/pve/.members");
}

#[test]
fn a_file_holds_one_mebibyte_and_a_guest_exists_once() {
    let (_dir, n1) = mounted();
    n1.ok("head -c 1048576 /dev/zero > /run/pve/big");
    assert!(n1.fails("printf x >> /run/pve/big").contains("too large"));
    n1.ok("cd /run/pve; mkdir -p nodes/n2/qemu-server; touch nodes/n2/qemu-server/100.conf");
    assert!(n1.fails("touch /run/pve/qemu-server/100.conf").contains("File exists"));
    assert!(n1.ok("cat /run/pve/.vmlist").contains(r#""node":"n2""#));
    assert!(n1.fails("mv /run/pve/nodes/n2 /run/pve/nodes/n3").contains("not empty"));
    n1.ok("cd /run/pve; truncate -s 3 big; flock big true; test $(stat -c %s big) = 3");
}

#[test]
fn a_killed_process_leaves_a_dead_mount_that_the_next_one_replaces() {
    let (_dir, n1) = mounted();
    n1.ok("echo kept > /run/pve/f; kill -9 $(cat /run/pve.pid)");
    n1.until(5, "ls /run/pve 2>&1 | grep -q 'endpoint is not connected'");
    n1.ok(&n1.program());
    assert_eq!(n1.ok("cat /run/pve/f"), "kept");
}

#[test]
fn a_terminated_process_unmounts_and_removes_its_pid_file() {
    let (_dir, n1) = mounted();
    n1.ok("kill $(cat /run/pve.pid)");
    n1.until(5, "! mountpoint -q /run/pve && ! test -e /run/pve.pid");
    n1.ok("test -z \"$(ls -A /run/pve)\"");
}

#[test]
fn an_open_file_does_not_keep_the_mount_of_a_terminated_process_in_place() {
    let (_dir, n1) = mounted();
    let process = n1.ok("cat /run/pve.pid");
    n1.ok("echo x > /run/pve/f; sleep 60 </run/pve/f >/dev/null 2>&1 &");
    n1.until(5, "readlink /proc/[0-9]*/fd/0 | grep -q /run/pve/f");
    n1.ok(&format!("kill {process}"));
    n1.until(5, &format!("! test -e /proc/{process}/exe && ! test -e /run/pve.pid"));
    n1.fails("grep -q /run/pve /proc/self/mounts");
    n1.ok(&n1.program());
}

#[test]
fn a_listed_host_without_corosync_is_read_only_unless_it_is_forced_local() {
    let dir = tempfile::tempdir().unwrap();
    let n1 = Host::alone(&dir);
    n1.conf("totem {\n  config_version: 3\n}\n");
    n1.ok(&n1.program());
    assert_eq!(n1.ok("cat /run/pve/corosync.conf") + "\n", n1.disk_conf());
    assert!(n1.fails("touch /run/pve/f").contains("Permission denied"));
    assert_eq!(n1.ok("stat -c %A /run/pve/local /run/pve/corosync.conf"), "lr-xr-xr-x\n-r--r-----");
    n1.ok("kill $(cat /run/pve.pid)");
    n1.until(5, "! test -e /run/pve.pid");
    n1.ok(&format!("{} -l", n1.program()));
    n1.ok("touch /run/pve/local/f && rm /run/pve/corosync.conf");
}

#[test]
fn help_and_version_say_that_this_is_not_the_real_one() {
    let (_dir, n1) = mounted();
    let program = n1.program();
    let text = n1.ok(&format!("{program} --version; {program} --help"));
    assert!(text.lines().next().unwrap().contains("not Proxmox's pmxcfs"));
    assert!(text.contains("NOT Proxmox's pmxcfs"));
}
