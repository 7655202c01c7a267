# A host of its own namespaces with a real corosync: prepares it, starts the recorder, and then
# obeys one word per line on standard input. It is process 1 there: at the end of its input
# everything in it ends.
#   $1 recorder, $2 folder outside for the record and the logs
set -eu
recorder=$1 folder=$2

for place in /run /dev/shm /etc /var/lib/corosync; do
    mount -t tmpfs tmpfs "$place"
done
hostname n1
ip link set lo up
mkdir -p /etc/corosync /etc/pve
# A plain file: the mode of a symbolic link is pmxcfs's own doing.
touch /etc/pve/local

configure() {
    cat >/etc/corosync/corosync.conf <<CONF
totem {
    version: 2
    config_version: $1
    cluster_name: record
    transport: knet
    crypto_cipher: none
    crypto_hash: none
}
nodelist {
    node {
        name: n1
        nodeid: 1
        ring0_addr: 127.0.0.1
    }
}
quorum {
    provider: corosync_votequorum
}
logging {
    to_stderr: yes
}
CONF
}

configure 7
"$recorder" --output "$folder/record.jsonl" 2>>"$folder/recorder.log" &
while read -r word; do
    case $word in
    start) corosync -f 2>>"$folder/corosync.log" & corosync=$! ;;
    kill) kill -KILL "$corosync" ;;
    reload) configure 8 && corosync-cfgtool -R >>"$folder/corosync.log" 2>&1 ;;
    blink)
        # Faster than the recorder repeats itself: only a line per change tells three of them.
        for _ in 1 2 3; do
            chmod 0555 /etc/pve/local
            sleep 0.3
            chmod 0755 /etc/pve/local
            sleep 0.3
        done
        ;;
    esac
done
