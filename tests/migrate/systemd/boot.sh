# Starts systemd in namespaces and a root of its own, which is gone when that ends: this machine's, with what is
# written there in memory. Its service runs switch.sh. Arguments: an empty directory, the program, the repository.
set -e
dir=$1 program=$2 repository=$3
here=$(dirname "$0")
root=$dir/root
mkdir "$dir/memory" "$root" "$dir/groups"
ip link set lo up
mount --make-rprivate /
mount -t tmpfs tmpfs "$dir/memory"
mkdir "$dir/memory/upper" "$dir/memory/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/memory/upper,workdir=$dir/memory/work" "$root"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
# Nothing of the kernel's that other processes have, too, can be changed: devices, settings, modules.
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/zero" c 1 5
mknod -m 666 "$root/dev/full" c 1 7
mknod -m 666 "$root/dev/random" c 1 8
mknod -m 666 "$root/dev/urandom" c 1 9
mknod -m 666 "$root/dev/tty" c 5 0
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mkdir "$root/out"
mount --bind "$dir/out" "$root/out"
# What systemd makes of groups is below one of its own.
mount -t cgroup2 cgroup2 "$dir/groups"
group=$dir/groups/camelpost-$$
mkdir "$group"
echo $$ >"$group/cgroup.procs"

install -m 755 "$program" "$root/usr/bin/camelpost"
for unit in camelpost.service camelpost@.service; do
    install -m 644 "$repository/packaging/$unit" "$root/etc/systemd/system/$unit"
done
install -D -m 644 "$repository/packaging/sysusers" "$root/etc/sysusers.d/camelpost.conf"
install -D -m 644 "$repository/packaging/tmpfiles" "$root/etc/tmpfiles.d/camelpost.conf"
rm -rf "$root/etc/camelpost"
mkdir -p "$root/var/spool/camelpost" "$root/var/lib/camelpost" "$root/var/log/camelpost" "$root/var/log/camelpost-plugins"
# Where the unit has a directory of its own, which is gone with the service, unless the drop-in says otherwise.
mkdir -p "$root/var/tmp/Maildir/cur" "$root/var/tmp/Maildir/new" "$root/var/tmp/Maildir/tmp"
chown -R qpsmtpd "$root/var/tmp/Maildir"
cat >"$root/etc/qpsmtpd/debconf-settings" <<X
ENABLED="true"
SERVER="forkserver"
INTERFACES="127.0.0.1"
PORT="24"
EXTRA_ARGS="--no-rdns"
X
# There are no name servers, and nobody waits for one.
rm -f "$root/etc/resolv.conf"
printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' >"$root/etc/resolv.conf"
# Without a plugin that waits for clients, or refuses every message.
sed -i -e 's/^check_loop/loop/' -e 's/^check_earlytalker/#&/' "$root/etc/qpsmtpd/plugins"
echo 'queue/maildir /var/tmp/Maildir' >"$root/etc/qpsmtpd/debian-queue-method"
echo example.org >"$root/etc/qpsmtpd/debian-rcpthosts"
install -m 755 "$here/switch.sh" "$root/switch.sh"
cat >"$root/etc/systemd/system/switch.service" <<X
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/sh /switch.sh
StandardOutput=append:/out/said
StandardError=append:/out/said
X
# The end of its first process is the end of all.
unshare --cgroup --pid --fork --kill-child sh -c "
    mount -t proc proc '$root/proc' && mount --bind '$root/proc/sys' '$root/proc/sys' &&
    mount -o remount,bind,ro '$root/proc/sys' && mount -t cgroup2 cgroup2 '$root/sys/fs/cgroup' &&
    exec setpriv --bounding-set=-sys_module,-sys_time --inh-caps=-sys_module,-sys_time \
        chroot '$root' /usr/bin/env -i container=lxc /usr/lib/systemd/systemd --unit=switch.service --log-target=null" || true
echo $$ >"$dir/groups/cgroup.procs"
find "$group" -depth -type d -exec rmdir {} +
