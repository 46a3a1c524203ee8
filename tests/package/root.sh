#!/bin/bash
# A clean Debian in the directory ROOT: `root.sh ROOT SUITE MIRROR`, as root, in mount and process namespaces of its
# own (unshare), with which everything ends. The first line that it says is the id that the machine has for it,
# the last `ready`; or else why there is no root. Then it waits, and reaps what has lost its parent.
set -e
root=$1 suite=$2 mirror=$3

# While /proc is the machine's.
read -r pid _ </proc/self/stat
echo "$pid"
mount -t proc proc /proc
# In memory: dpkg syncs each file.
mount -t tmpfs -o mode=0755 tmpfs "$root"
proxy=$(apt-config shell proxy Acquire::http::Proxy | sed "s/^proxy='\(.*\)'$/\1/")
[ -z "$proxy" ] || export http_proxy="$proxy"
debootstrap --variant=minbase --include=perl "$suite" "$root" "$mirror" >"$root.log" 2>&1 || {
    tail -n 20 "$root.log"
    echo "debootstrap failed"
    exit 1
}
apt-config dump | grep -E '^Acquire::(.*Proxy|Check-|https::)' >"$root/etc/apt/apt.conf.d/90caller" || true
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
echo ready
exec >/dev/null
sleep infinity &
wait
