//! What members of a group do together, over real corosync.

use std::time::{Duration, Instant};

use crate::lab::{Lab, conf, within};

#[test]
fn a_new_corosync_conf_runs_everywhere_when_the_rename_returns() {
    let lab = Lab::formed(3);
    let [n1, n2, n3] = &lab.hosts[..] else { panic!("three hosts") };
    n2.publish(&conf(2, &[1, 2, 3]));
    for host in [n1, n2, n3] {
        assert_eq!(host.disk_conf(), conf(2, &[1, 2, 3]));
        host.until(1, "corosync-cmapctl -g totem.config_version | grep -q '= 2$'");
        assert_eq!(host.ok("cat /run/pve/corosync.conf") + "\n", conf(2, &[1, 2, 3]));
    }
    assert_eq!(n1.running(), "2");
}

#[test]
fn a_host_without_quorum_reads_and_takes_the_others_tree_when_it_is_back() {
    let lab = Lab::formed(3);
    let [n1, n2, n3] = &lab.hosts[..] else { panic!("three hosts") };
    n3.ok("echo before > /run/pve/f");
    lab.cable(3, false);
    n3.until(15, "test $(stat -c %A /run/pve/local) = lr-xr-xr-x");
    for refused in ["touch g", "mkdir g", "mv f g", "echo x > f"] {
        let error = n3.fails(&format!("cd /run/pve; {refused}"));
        assert!(error.contains("Permission denied"), "{refused}: {error}");
    }
    assert_eq!(n3.ok("cat /run/pve/f"), "before");
    assert_eq!(n3.ok("stat -c %A /run/pve/corosync.conf"), "-r--r-----");
    n1.ok("echo after > /run/pve/f");
    n1.publish(&conf(2, &[1, 2, 3]));
    n2.until(2, "grep -q after /run/pve/f");
    lab.cable(3, true);
    n3.until(15, "grep -q after /run/pve/f && touch /run/pve/local/back");
    assert_eq!(n3.disk_conf(), conf(2, &[1, 2, 3]));
    assert_eq!(n3.running(), "1", "the file came by the merge, which reloads nothing");
    n2.ok("corosync-cfgtool -R");
    n3.until(3, "corosync-cmapctl -g totem.config_version | grep -q '= 2$'");
}

#[test]
fn a_fresh_host_gets_the_groups_tree_and_its_own_directories() {
    let lab = Lab::bare(2);
    let [n1, n2] = &lab.hosts[..] else { panic!("two hosts") };
    n1.conf(&conf(1, &[1]));
    n1.corosync();
    n1.mount();
    n1.until(10, "echo group > /run/pve/f");
    n2.conf(&conf(2, &[1, 2]));
    n2.corosync();
    n2.mount();
    n1.publish(&conf(2, &[1, 2]));
    n2.until(15, "grep -q group /run/pve/f && touch /run/pve/local/qemu-server/100.conf");
    n1.ok("test -e /run/pve/nodes/n2/qemu-server/100.conf");
    assert!(n1.fails("touch /run/pve/local/lxc/100.conf").contains("File exists"));
    for host in [n1, n2] {
        host.until(3, r#"grep -q '"n2":{"id":2,"ip":"10.77.0.2","online":1}' /run/pve/.members"#);
        host.ok(r#"grep -q '"cluster":{"name":"standin","nodes":2,"quorate":1,"version":2}' /run/pve/.members"#);
    }
}

#[test]
fn a_lower_or_broken_corosync_conf_reaches_no_disk() {
    let lab = Lab::formed(2);
    let [n1, n2] = &lab.hosts[..] else { panic!("two hosts") };
    n1.publish(&conf(5, &[1, 2]));
    let good = conf(5, &[1, 2]);
    for (text, said) in [
        (conf(4, &[1, 2]), "local corosync.conf is newer"),
        (String::from("totem {\n}\n"), "unable to parse cluster config_version"),
        (String::new(), ""),
    ] {
        n1.publish(&text);
        assert_eq!(n1.disk_conf(), good);
        assert_eq!(n2.disk_conf(), good);
        for host in [n1, n2] {
            within(2, said, || host.log().contains(said).then_some(()));
        }
    }
    n1.publish(&conf(6, &[1, 2]).replace("token: 1000", "token: abc"));
    assert!(n1.log().contains("corosync-cfgtool -R failed with exit code"));
    assert!(n2.disk_conf().contains("token: abc"), "distributed all the same");
    assert_eq!(n2.running(), "5");
    n2.publish(&conf(7, &[1, 2]));
    assert_eq!(n1.running(), "7");
}

#[test]
fn a_lock_is_taken_once_refreshed_by_its_holder_and_removed_by_anybody() {
    let lab = Lab::formed(2);
    let [n1, n2] = &lab.hosts[..] else { panic!("two hosts") };
    let lock = "/run/pve/priv/lock/file-corosync_conf";
    let utime = |time: &str| format!("perl -e 'utime(0, {time}, \"{lock}\") or die \"$!\\n\"'");
    n1.ok(&format!("mkdir {lock}"));
    assert!(n2.fails(&format!("mkdir {lock}")).contains("File exists"));
    assert!(n2.fails(&utime("time")).contains("Permission denied"));
    n1.ok(&utime("time"));
    assert!(n2.fails(&utime("0")).contains("Permission denied"));
    n1.ok(&format!("test -d {lock}"));
    n1.ok(&utime("time - 121"));
    assert!(n2.fails(&utime("0")).contains("Permission denied"));
    n2.ok(&format!("mkdir {lock}"));
    n1.ok(&format!("rmdir {lock}"));
    n2.fails(&format!("test -e {lock}"));
}

#[test]
fn a_stopped_member_gets_the_file_later_and_keeps_running_the_old_one() {
    let lab = Lab::formed(3);
    let [n1, n2, _] = &lab.hosts[..] else { panic!("three hosts") };
    n2.ok("kill -STOP $(cat /run/pve.pid)");
    n1.publish(&conf(2, &[1, 2, 3]));
    assert_eq!((n1.running(), n2.running()), ("2".into(), "1".into()));
    n2.ok("kill -CONT $(cat /run/pve.pid)");
    n2.until(5, "grep -q 'config_version: 2' /etc/corosync/corosync.conf");
    assert_eq!(n2.running(), "1");
}

#[test]
fn a_member_whose_corosync_restarts_is_read_only_in_between_and_back_by_itself() {
    let lab = Lab::formed(3);
    let [n1, n2, _] = &lab.hosts[..] else { panic!("three hosts") };
    n2.ok("kill -9 $(cat /run/corosync.pid); rm /run/corosync.pid");
    n2.until(3, "! touch /run/pve/x");
    n1.until(10, "echo meanwhile > /run/pve/f");
    n2.corosync();
    n2.until(15, "grep -q meanwhile /run/pve/f && touch /run/pve/y");
    n1.ok("test -e /run/pve/y");
    n1.ok("head -c 1048576 /dev/urandom > /run/pve/big");
    assert_eq!(n1.ok("md5sum < /run/pve/big"), n2.ok("md5sum < /run/pve/big"));
}

#[test]
fn writers_on_all_members_end_with_the_same_tree_although_one_comes_and_goes() {
    let lab = Lab::formed(3);
    let [n1, n2, n3] = &lab.hosts[..] else { panic!("three hosts") };
    for (id, host) in (1..).zip(&lab.hosts) {
        // Until told to stop: each writes files of its own and one that all write; refusals are part of the game.
        host.ok(&format!(
            "(i=0; until test -e /run/stop; do i=$((i+1)); echo $i > /run/pve/own-{id}; \
             echo {id} $i > /run/pve/all; done; echo $i > /run/written) >/dev/null 2>&1 </dev/null &"
        ));
    }
    n3.ok("kill -9 $(cat /run/corosync.pid); rm /run/corosync.pid");
    n3.until(5, "! touch /run/pve/x");
    n3.corosync();
    n3.until(15, "touch /run/pve/x");
    for host in [n1, n2, n3] {
        host.ok("touch /run/stop");
        host.until(10, "test -s /run/written");
    }
    lab.all_writable();
    let sums = "cd /run/pve; for f in own-* all; do echo $f $(cat $f); done";
    within(5, "the same files everywhere", || {
        let [a, b, c] = [n1, n2, n3].map(|host| host.ok(sums));
        (a == b && b == c).then_some(())
    });
    for (id, host) in (1..).zip(&lab.hosts) {
        let written = host.ok("cat /run/written");
        assert_eq!(n1.ok(&format!("cat /run/pve/own-{id}")), written, "the last write of n{id}");
    }
}

#[test]
fn a_lone_host_founds_a_cluster_by_a_file_and_a_restart_without_corosync_running_first() {
    let lab = Lab::bare(1);
    let n1 = &lab.hosts[0];
    n1.mount();
    n1.publish(&conf(1, &[1]));
    assert_eq!(n1.disk_conf(), "", "local mode leaves the disk alone");
    n1.ok("kill $(cat /run/pve.pid)");
    n1.until(5, "! test -e /run/pve.pid");
    n1.mount();
    assert_eq!(n1.disk_conf(), conf(1, &[1]));
    n1.fails("touch /run/pve/f");
    n1.corosync();
    n1.until(10, "touch /run/pve/f");
}

#[test]
fn a_slow_rename_blocks_neither_other_calls_nor_other_members() {
    let lab = Lab::formed(2);
    let [n1, n2] = &lab.hosts[..] else { panic!("two hosts") };
    n1.ok("echo 0 > /run/pve/local/f");
    std::thread::scope(|scope| {
        let rename = scope.spawn(|| {
            let start = Instant::now();
            n1.publish(&conf(2, &[1, 2]));
            (start.elapsed(), Instant::now())
        });
        n2.until(5, "grep -q 'config_version: 2' /run/pve/corosync.conf");
        for host in [n1, n2] {
            host.ok("echo 1 > /run/pve/local/f && cat /run/pve/local/f");
        }
        let others = Instant::now();
        let (took, ended) = rename.join().unwrap();
        assert!(took >= Duration::from_secs(1), "{took:?}");
        assert!(others < ended, "the other calls waited for the rename");
    });
}

#[test]
fn an_equal_version_with_other_bytes_is_distributed_and_reloaded() {
    let lab = Lab::formed(2);
    let [n1, n2] = &lab.hosts[..] else { panic!("two hosts") };
    n1.publish(&conf(1, &[1, 2]).replace("token: 1000", "token: 1234"));
    for host in [n1, n2] {
        host.until(2, "corosync-cmapctl -g totem.token | grep -q '= 1234$'");
    }
}

#[test]
fn what_a_host_was_told_is_written_survives_that_it_is_cut_off() {
    let lab = Lab::formed(3);
    let [n1, _, n3] = &lab.hosts[..] else { panic!("three hosts") };
    // Writes until the first refusal and notes the last success.
    n3.ok(
        "(i=0; while mkdir /run/pve/priv/cut-$((i+1)); do i=$((i+1)); done; echo $i > /run/last) \
           >/dev/null 2>&1 </dev/null &",
    );
    n1.until(5, "test -e /run/pve/priv/cut-20");
    lab.cable(3, false);
    n3.until(15, "test -s /run/last");
    n1.until(15, "touch /run/pve/local/going-on");
    lab.cable(3, true);
    n3.until(15, "touch /run/pve/local/back");
    let last: u32 = n3.ok("cat /run/last").parse().unwrap();
    n1.ok(&format!("test -d /run/pve/priv/cut-{last}"));
}
