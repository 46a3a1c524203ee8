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
mail before
camelpost migrate --from /etc/qpsmtpd >/out/printed 2>/dev/null
echo "== status $?"
part over | sh -e || echo "== the way there failed"
mail over
systemctl reload camelpost && echo "== reloaded"
part back | sh -e || echo "== the way back failed"
mail back
echo "== $(ls /var/tmp/Maildir/new | wc -l) messages"
echo "== end"
systemctl --no-block poweroff -f -f
