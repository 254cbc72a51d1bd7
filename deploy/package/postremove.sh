#!/bin/sh
set -e
if [ "$1" = remove ] || [ "$1" = purge ]; then
	rm -rf /usr/lib/systemd/system/gemini-resilient-proxy.service.d
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
