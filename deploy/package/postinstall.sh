#!/bin/sh
# After the files are in place: the user, the units, and the new version in the
# place of a running one. Nothing is started that was not running: an operator
# first reads the settings.
set -e
name=gemini-resilient-proxy
dropins=/usr/lib/systemd/system/$name.service.d

main_pid() { systemctl show --property=MainPID --value $name.service; }

# The new version takes the sockets over, and the old one ends its streams. A
# restart would let new requests wait for them, DRAIN_TIMEOUT at most. A new
# version that does not come up leaves the old one as it is.
hand_over() {
	old=$(main_pid)
	kill -USR2 "$old"
	for _ in $(seq 75); do
		sleep 0.2
		[ "$(main_pid)" = "$old" ] || return 0
	done
	echo "$name: the new version has not taken over, the old one goes on; see journalctl -u $name" >&2
}

if [ "$1" = configure ]; then
	if command -v systemd-sysusers >/dev/null; then
		systemd-sysusers $name.conf
	fi
	version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
	if [ "${version:-253}" -lt 253 ]; then
		mkdir -p $dropins
		ln -sf /usr/share/$name/systemd-before-253.conf $dropins/
	else
		rm -rf $dropins
	fi
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload
		if [ -n "$2" ] && systemctl --quiet is-active $name.service; then
			hand_over
		fi
	fi
fi
