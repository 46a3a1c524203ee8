# Runs as a service of systemd's: migrates Debian's qpsmtpd, and does what is printed, there and back.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mail() {
    echo "== $1"
    camelpost_says=$(swaks --server 127.0.0.1:24 --to a@example.org --from b@example.com 2>&1)
    echo "$camelpost_says" | grep -E '^(\*\*\*|<.* (220|250 Queued))'
    systemctl is-active qpsmtpd camelpost
}
part() {
    sed -n "/^To switch $1/,/^\$/p" /out/printed | sed -e 1d -e 's/^    //'
}
systemctl start qpsmtpd
cp /etc/logrotate.d/qpsmtpd /rotation
mail before
camelpost migrate --from /etc/qpsmtpd >/out/printed 2>/dev/null
echo "== status $?"
part over | sh -e || echo "== the way there failed"
mail over
systemctl reload camelpost && echo "== reloaded"

# One more service, of another user: neither takes the other's control socket.
systemd-sysusers camelpost.conf
systemd-tmpfiles --create camelpost.conf
second=/etc/camelpost/instances/second
mkdir -p $second
echo rcpt_ok >$second/plugins
echo /usr/share/qpsmtpd/plugins >$second/plugin_dirs
echo /var/spool/camelpost/second >$second/spool_dir
echo 'OPTIONS="--listen-address 127.0.0.1 --port 26"' >/etc/default/camelpost-second
systemctl start camelpost@second && echo "== second"
sed -n 's/^ *# and whether it serves: //p' /out/printed | sh -e >/dev/null && echo "== serves"
for unit in camelpost camelpost@second; do
    stat -c '== %n is of %U' /run/camelpost/$unit
    camelpost upgrade --control /run/camelpost/$unit/*.sock && systemctl reload $unit && echo "== $unit upgraded"
done
echo "== $(camelpost status --json | grep -o '"control":' | wc -l) daemons"
systemctl stop camelpost@second

part back | sh -e || echo "== the way back failed"
mail back
cmp /rotation /etc/logrotate.d/qpsmtpd && echo "== rotation as before"
echo "== $(ls /var/tmp/Maildir/new | wc -l) messages"
echo "== end"
systemctl --no-block poweroff -f -f
