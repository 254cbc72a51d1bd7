#!/bin/sh
# After the files are in place: the user, and a restart of what runs. Nothing is
# started that was not running: an operator first reads the settings.
set -e
if [ "$1" = configure ]; then
	if command -v systemd-sysusers >/dev/null; then
		systemd-sysusers gemini-resilient-proxy.conf
	fi
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload
		if [ -n "$2" ]; then
			systemctl try-restart gemini-resilient-proxy.service
		fi
	fi
fi
