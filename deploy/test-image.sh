#!/usr/bin/env bash
# Builds the image that the Dockerfile describes, and has the program in it heal
# as the image's user. No container engine runs for it: buildah builds, with
# chroot in place of containers.
#
#   deploy/test-image.sh
#
# It needs root, buildah, busybox-static and Go, and no registry: the two images
# that the Dockerfile begins with are replaced, by this machine's Go with a shell
# and by one that holds nothing but a user. What it proves is the Dockerfile, not
# what is in those. Modules come from this machine's cache.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf -- '-- %s\n' "$*"; }
fail() {
	echo "test-image: $*" >&2
	exit 1
}
for need in buildah busybox; do
	command -v $need >/dev/null || fail "$need is missing: apt-get install buildah busybox-static"
done

work=$(mktemp -d)
engine=(buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs)
leave() {
	"${engine[@]}" rm -a >/dev/null 2>&1 || true
	rm -rf --one-file-system "$work"
}
trap leave EXIT

# base NAME COMMAND... makes an image in place of one from a registry: COMMAND
# fills the directory that is its last argument.
base() {
	local name=$1 container
	container=$("${engine[@]}" from scratch)
	"${@:2}" "$("${engine[@]}" mount "$container")"
	"${engine[@]}" config --env PATH=/usr/local/go/bin:/bin --env GOPATH=/go "$container"
	"${engine[@]}" commit -q "$container" "$name" >/dev/null
	"${engine[@]}" rm "$container" >/dev/null
}
with_go() {
	mkdir -p "$1/bin" "$1/tmp" "$1/root" "$1/usr/local"
	cp "$(command -v busybox)" "$1/bin/sh"
	cp -a "$(go env GOROOT)" "$1/usr/local/go"
}
with_user() {
	mkdir -p "$1/etc" "$1/tmp"
	echo 'nonroot:x:65532:65532::/home/nonroot:/sbin/nologin' >"$1/etc/passwd"
}

say "what stands for the images that it begins with"
mapfile -t from < <(sed -nE 's/^FROM (--[^ ]+ )?([^ ]+).*/\2/p' Dockerfile)
[ ${#from[@]} = 2 ] || fail "the Dockerfile has ${#from[@]} stages, not 2"
base "docker.io/library/${from[0]}" with_go
base "${from[1]}" with_user

say "build"
git clone -q . "$work/source"
go mod download
"${engine[@]}" bud --isolation chroot --pull-never -v "$(go env GOMODCACHE):/go/pkg/mod:O" \
	--build-arg VERSION=1.2.3 -t image "$work/source" >"$work/log" 2>&1 || { cat "$work/log"; fail "it does not build"; }

say "run"
container=$("${engine[@]}" from --pull-never localhost/image)
root=$("${engine[@]}" mount "$container")
user=$("${engine[@]}" inspect --type image --format '{{.OCIv1.Config.User}}' localhost/image)
program=$("${engine[@]}" inspect --type image --format '{{index .OCIv1.Config.Entrypoint 0}}' localhost/image)
inside() { chroot --userspec="$user" --groups= "$root" "$program" "$@"; }
[ "$(inside -version)" = "gemini-resilient-proxy 1.2.3" ] || fail "-version: $(inside -version)"
# It ends by itself with 1 when an answer did not come whole.
status=0
timeout --preserve-status -s INT 15 chroot --userspec="$user" --groups= "$root" "$program" -demo >"$work/demo" 2>&1 || status=$?
[ $status = 0 ] || { cat "$work/demo"; fail "-demo ended with $status"; }
say "$(du -sh "$root" | cut -f1), $(find "$root" -type f | wc -l) files, user $user: every answer came whole"
