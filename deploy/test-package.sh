#!/usr/bin/env bash
# Installs the package of this machine's architecture on a system that has
# nothing else (debootstrap, the least of Debian), starts the program there as
# its user, has it heal, drain and stop, upgrades it, and takes it away again.
#
#   deploy/dist.sh && deploy/test-package.sh [SUITE]
#
# It needs root, debootstrap and the way to Debian's packages. What systemd makes
# of it is tried by test-systemd.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
. deploy/system.sh

work=$(mktemp -d)
root=$work/root
pid=
leave() {
	[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
	rm -rf --one-file-system "$work"
}
trap leave EXIT
make_system

say "install"
inside dpkg --install /root/new.deb >"$work/log" 2>&1 || { cat "$work/log"; fail "dpkg --install"; }
inside dpkg --verify $name || fail "the files are not those of the package"
user=$(inside getent passwd $name) || fail "there is no user $name"
[ "$(inside stat -c '%a %U' /etc/$name/env)" = "640 root" ] || fail "/etc/$name/env can be read by others"
[ "$(inside $name -version)" = "$name $(dpkg-deb -f "$deb" Version)" ] || fail "-version: $(inside $name -version)"
inside $name -check -config /etc/$name/config.yaml || fail "the settings that it comes with"
zcat "$root/usr/share/man/man8/$name.8.gz" | grep -q STALL_TIMEOUT || fail "the manual has no settings"
inside systemd-analyze verify --man=no /usr/lib/systemd/system/$name.{service,socket} >"$work/log" 2>&1 || true
# systemd before version 253 keeps the Type= line that it knows.
! grep $name "$work/log" | grep -v 'service type, ignoring: notify-reload' || fail "systemd does not like the units"

say "start"
uid=$(cut -d: -f3 <<<"$user") gid=$(cut -d: -f4 <<<"$user")
socket=/run/$name
inside install -d -m 755 -o "$uid" -g "$gid" $socket
chroot --userspec="$uid:$gid" --groups= "$root" /usr/bin/env -i LISTEN_ADDR=unix:$socket/public ADMIN_ADDR=unix:$socket/admin \
	/usr/bin/$name -config /etc/$name/config.yaml 2>"$work/program" &
pid=$!
get() { curl -fsS --max-time 5 --unix-socket "$root$socket/$1" "http://localhost$2"; }
for _ in $(seq 100); do
	! get admin /readyz >/dev/null 2>&1 || break
	kill -0 $pid 2>/dev/null || { cat "$work/program"; fail "it ended"; }
	sleep 0.1
done
[ "$(get public /healthz)" = ok ] || { cat "$work/program"; fail "the public listener"; }
# Not through a pipe, which grep -q closes while curl still writes.
metrics=$(get admin /metrics)
grep -q '^gemini_proxy_open_requests 0' <<<"$metrics" || fail "the metrics"
[ "$(stat -c %u /proc/$pid)" = "$uid" ] || fail "it runs as another user"

say "stop"
kill -TERM $pid
wait $pid || fail "it ended with $? after SIGTERM: $(cat "$work/program")"
pid=

say "demonstration"
status=0
timeout --preserve-status -s INT 15 chroot "$root" /usr/bin/$name -demo >"$work/demo" 2>&1 || status=$?
[ $status = 0 ] || { tail -20 "$work/demo"; fail "-demo ended with $status"; }

say "upgrade"
echo "# mine" >>"$root/etc/$name/config.yaml"
inside dpkg --install /root/new.deb >"$work/log" 2>&1 || { cat "$work/log"; fail "dpkg --install, again"; }
grep -q '^# mine' "$root/etc/$name/config.yaml" || fail "the settings were overwritten"

say "remove and purge"
inside dpkg --purge $name >"$work/log" 2>&1 || { cat "$work/log"; fail "dpkg --purge"; }
rest=$(cd "$root" && find usr etc var -name "$name*" -not -path 'etc/systemd/*' | sort)
[ -z "$rest" ] || fail "left behind: $rest"
echo "the package $(basename "$deb") is good on $suite"
