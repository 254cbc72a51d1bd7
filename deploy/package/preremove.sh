#!/bin/sh
# Before the files go: the service drains, DRAIN_TIMEOUT at most.
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	systemctl disable --now gemini-resilient-proxy.socket gemini-resilient-proxy-admin.socket gemini-resilient-proxy.service
fi
