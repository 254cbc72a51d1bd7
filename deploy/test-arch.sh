#!/usr/bin/env bash
# Runs the binary of another architecture, as dist.sh has built it, under
# emulation (qemu-user-static): its version, its settings, and its
# demonstration, which must heal every break.
#
#   deploy/dist.sh && deploy/test-arch.sh [arm64]
set -euo pipefail
cd "$(dirname "$0")/.."
name=gemini-resilient-proxy
arch=${1:-arm64}

fail() { echo "FAILED: $*" >&2; exit 1; }

case $arch in
arm64) qemu=qemu-aarch64-static ;;
amd64) qemu=qemu-x86_64-static ;;
*) fail "no emulation is known for $arch" ;;
esac
command -v $qemu >/dev/null || { echo "skipped: $qemu is not installed"; exit 0; }
binary=dist/$name-linux-$arch
[ -f "$binary" ] || { echo "no $binary; run deploy/dist.sh" >&2; exit 1; }

work=$(mktemp -d)
pid=
leave() {
	[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
	rm -rf "$work"
}
trap leave EXIT

[[ $($qemu "$binary" -version) = "$name "[0-9]* ]] || fail "-version: $($qemu "$binary" -version)"
$qemu "$binary" -check -config deploy/config.example.yaml >/dev/null || fail "-check"

$qemu "$binary" -demo >"$work/demo" 2>&1 &
pid=$!
# When an answer did not come whole it ends by itself, with 1.
for _ in $(seq 1200); do
	! grep -q '^Serving until' "$work/demo" || break
	kill -0 $pid 2>/dev/null || break
	sleep 0.1
done
kill -INT $pid 2>/dev/null || true
status=0
wait $pid || status=$?
pid=
[ $status = 0 ] || { tail -30 "$work/demo"; fail "-demo ended with $status"; }
echo "the binary for $arch heals under emulation: $(grep -c 'the whole answer' "$work/demo") answers, all whole"
