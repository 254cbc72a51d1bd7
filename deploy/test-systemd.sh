#!/usr/bin/env bash
# Installs the package on a system that has nothing else, boots that system's own
# systemd in namespaces, and tries there what the unit promises: readiness,
# status, reloads, credentials, handovers, upgrades of the package and restarts
# under 200 requests a second, and the watchdog.
#
#   deploy/dist.sh && deploy/test-systemd.sh [SUITE]
#
# It needs what test-package.sh needs, Go, and a kernel that lets root make
# namespaces and control groups of version 2.
set -euo pipefail
cd "$(dirname "$0")/.."
. deploy/system.sh

work=$(mktemp -d)
root=$work/root
leave() {
	halt
	rm -rf --one-file-system "$work"
}
trap leave EXIT
make_system
CGO_ENABLED=0 go build -o "$root/root/load" ./bench/load
boot || { tail -n 5 "$work/boot.log"; echo "skipped: systemd does not come up in namespaces here"; exit 0; }
version=$(running systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
say "systemd $version"

log() { running journalctl --unit=$name --output=cat --no-pager; }
shown() { running systemctl show --property="$1" --value $name.service; }
count() { log | grep -c "$1" || true; }
# awaits waits for a command to succeed.
awaits() {
	for _ in $(seq 150); do
		! "$@" || return 0
		sleep 0.1
	done
	log | tail -n 20
	fail "waited in vain: $*"
}
# settings writes the file of the settings, all at once.
settings() {
	cat >"$root/etc/$name/next" && mv "$root/etc/$name/next" "$root/etc/$name/config.yaml"
}
drop_in() {
	mkdir -p "$root/etc/systemd/system/$name.service.d"
	printf '[Service]\n%s\n' "$2" >"$root/etc/systemd/system/$name.service.d/$1.conf"
	running systemctl daemon-reload
}
plain='listen_addr: "127.0.0.1:8080"
upstream_url_base: http://127.0.0.1:9000
retry_base_delay: 1ms
access_log: problems
continue_mode: prompt
continue_prompt: Go on.'

say "install and start"
running dpkg --install /root/new.deb >"$work/log" 2>&1 || { cat "$work/log"; fail "dpkg --install"; }
[ "$(shown ActiveState)" = inactive ] || fail "it was started by the installation"
settings <<<"$plain"
running systemctl enable --now --quiet $name.socket $name-admin.socket $name.service || { running systemctl status --no-pager "$name*" || true; log; fail "systemctl enable --now"; }
[ "$(shown StatusText)" = "0 streams open, 0 healed today" ] || fail "status: $(shown StatusText)"
[ "$version" -lt 253 ] || [ "$(shown Type)" = notify-reload ] || fail "type $(shown Type)"
[ "$(shown User)" = $name ] && [ "$(shown DynamicUser)" = yes ] || fail "user $(shown User)"
! running systemctl is-failed --quiet $name.socket $name-admin.socket || fail "sockets"
score=$(running systemd-analyze security --no-pager $name.service | sed -n 's/.*exposure level.*: \([0-9.]*\) .*/\1/p')
awk -v score="$score" 'BEGIN { exit !(score > 0 && score <= 1.3) }' || fail "systemd-analyze security: $score"

say "reload"
sleep 1.1 # files that changed before are looked at by now
before=$(count 'configuration loaded')
running systemctl reload $name.service || fail "systemctl reload"
loaded() { [ "$(count 'configuration loaded')" -gt "$before" ]; }
awaits loaded
sleep 1
[ "$(count 'configuration loaded')" = $((before + 1)) ] || { log | tail -n 5; fail "loaded more than once"; }
settings <<<"$plain
stall_timeout: soon"
! running systemctl reload $name.service 2>"$work/log" || fail "systemctl reload of a file with a mistake succeeds"
named() { log | grep 'stall_timeout: \\*"soon' >/dev/null; }
awaits named
[ "$(shown ActiveState)" = active ] || fail "after a reload with a mistake: $(shown ActiveState)"
settings <<<"$plain"
running systemctl reload $name.service || fail "systemctl reload of the mended file"

say "200 requests a second, every answer cut and healed, and streams of 12 seconds"
(running /root/load upstream -addr 127.0.0.1:9000 >"$work/upstream" 2>&1 || true) &
load() { running /root/load -url http://127.0.0.1:8080 -json "$@"; }
load -arrivals 200 -streams 2000 -events 10 -rate 20 -cut -warmup 1s -duration 28s >"$work/short" &
short=$!
load -streams 20 -events 120 -rate 10 -warmup 1s -duration 14s >"$work/long" &
long=$!
sleep 2
handed_over() { [ "$(shown MainPID)" != "$pid" ] && [ "$(shown ActiveState)" = active ]; }
for _ in 1 2 3; do
	pid=$(shown MainPID)
	running systemctl reload $name.service || fail "systemctl reload under load"
	running systemctl kill --kill-whom=main --signal=SIGUSR2 $name.service
	awaits handed_over
done
healed() { shown StatusText | grep -q ' [1-9][0-9]* healed today'; }
healed || fail "status after a handover: $(shown StatusText)"
busy() { shown StatusText | grep -q '^[1-9][0-9]* streams open'; }
awaits busy
say "upgrade of the package under load"
pid=$(shown MainPID)
running dpkg --install /root/new.deb >"$work/log" 2>&1 || { cat "$work/log"; fail "dpkg --install, again"; }
handed_over || { cat "$work/log"; fail "an upgrade of the package does not hand over"; }
[ "$(shown NRestarts)" = 0 ] || fail "$(shown NRestarts) restarts"
wait $long || { cat "$work/long"; log | tail -n 20; fail "the load"; }
say "restart under load"
pid=$(shown MainPID)
running systemctl restart $name.service || { log | tail; fail "systemctl restart"; }
handed_over || fail "it was not restarted"
wait $short || { cat "$work/short"; log | tail -n 20; fail "the load"; }
for of in short long; do
	grep -q '"errors": *0\b' "$work/$of" || { cat "$work/$of"; log | tail -n 20; fail "requests were lost"; }
	echo "$of: $(grep -o '"streams":[0-9]*\|"errors":[0-9]*' "$work/$of" | tr '\n' ' ')"
done

[ "$(grep -o '"streams":[0-9]*' "$work/long" | cut -d: -f2)" -ge 20 ] || fail "the long streams did not end"

say "a new version that fails beside an old one with streams"
load -streams 5 -events 300 -rate 10 -duration 25s >"$work/held" &
held=$!
awaits busy
pid=$(shown MainPID)
running systemctl kill --kill-whom=main --signal=SIGUSR2 $name.service
awaits handed_over
running kill -KILL "$(shown MainPID)"
restarted() { [ "$(shown NRestarts)" = 1 ] && [ "$(shown ActiveState)" = active ]; }
awaits restarted
kill $held
wait $held || true

say "credentials"
echo AIzaOfTheCredential >"$root/etc/$name/gemini-keys"
chmod 600 "$root/etc/$name/gemini-keys"
drop_in keys "LoadCredential=gemini-keys:/etc/$name/gemini-keys"
settings <<'END'
listen_addr: "127.0.0.1:8080"
groups:
  default:
    targets: ["http://127.0.0.1:9000"]
    keys: ["credential:gemini-keys"]
END
running systemctl restart $name.service || { log | tail; fail "with LoadCredential="; }
nsenter -t "$init" -n curl -fsS http://127.0.0.1:9090/groups >"$work/groups" || fail "/groups"
grep -q tial "$work/groups" || { cat "$work/groups"; fail "the key is not that of the credential"; }
! grep -q AIza "$work/groups" || fail "/groups shows the key"
rm "$root/etc/systemd/system/$name.service.d/keys.conf" "$root/etc/$name/gemini-keys"
settings <<<"$plain"

say "limits"
drop_in files "LimitNOFILE=1000
Environment=MAX_STREAMS=5000
Restart=no"
! running systemctl restart $name.service 2>/dev/null || fail "it starts with more streams than descriptors"
too_low() { log | grep 'MAX_STREAMS 5000 with MAX_QUEUE 100 needs' >/dev/null; }
awaits too_low
rm "$root/etc/systemd/system/$name.service.d/files.conf"

say "watchdog"
drop_in watchdog "WatchdogSec=2s"
running systemctl reset-failed $name.service
running systemctl restart $name.service || { log | tail; fail "with WatchdogSec="; }
sleep 5
[ "$(shown NRestarts)" = 0 ] || fail "the watchdog is not fed"
pid=$(shown MainPID)
[ "$pid" -gt 1 ] || fail "there is no process"
running kill -STOP "$pid"
awaits restarted

say "remove"
running dpkg --purge $name >"$work/log" 2>&1 || { cat "$work/log"; fail "dpkg --purge"; }
! nsenter -t "$init" -n curl -s http://127.0.0.1:8080/healthz || fail "somebody listens still"
echo "the units of $(basename "$deb") do what they say under systemd $version"
