#!/usr/bin/env bash
# Builds what is handed out, into dist/: a static binary, a .deb and a list of
# its parts (CycloneDX) for each architecture, and SHA256SUMS of all of them.
#
# The same commit gives the same bytes, wherever and whenever it is built: paths
# are trimmed and every date is the commit's. `deploy/dist.sh -prove` builds
# twice, the second time from a clone elsewhere and without the build cache, and
# compares.
#
#   VERSION=1.2.3 ARCHS="amd64 arm64" deploy/dist.sh [-prove]
set -euo pipefail
cd "$(dirname "$0")/.."

name=gemini-resilient-proxy
archs=${ARCHS:-amd64 arm64}
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
	SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
fi
export SOURCE_DATE_EPOCH
# A tag v1.2.3, else a version that sorts before every release.
if [ -z "${VERSION:-}" ]; then
	if VERSION=$(git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null); then
		VERSION=${VERSION#v}
	else
		VERSION=0.0.0~$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S).$(git rev-parse --short=12 HEAD)
	fi
fi
export VERSION

build() {
	rm -rf dist
	mkdir -p dist/package
	sed 's#/usr/local/bin/#/usr/bin/#' deploy/$name.service >dist/package/$name.service
	# Where the package has the schema, for the editors that look for it.
	sed "s#=config.schema.json#=/usr/share/doc/$name/config.schema.json#" deploy/config.example.yaml >dist/package/config.yaml
	gzip -9n <deploy/$name.8 >dist/package/$name.8.gz
	gzip -9n <CHANGELOG.md >dist/package/changelog.gz
	{
		cat deploy/package/copyright
		grep -m1 '^Copyright' LICENSE | sed 's/^Copyright (c) /Copyright: /'
		echo 'License: Expat'
		sed -n '/^Permission/,$ { s/^$/./; s/^/ /; p }' LICENSE
	} >dist/package/copyright

	for arch in $archs; do
		binary=dist/$name-linux-$arch
		# The commit is named by -X: stamping by git would tell a clone from a tree.
		GOCACHE=${BUILD_CACHE:-$(go env GOCACHE)} CGO_ENABLED=0 GOOS=linux GOARCH=$arch GOFLAGS= go build -trimpath -buildvcs=false \
			-ldflags "-s -w -buildid= -X main.release=$VERSION" -o "$binary" .
		ARCH=$arch go tool -modfile=deploy/tools/go.mod nfpm package \
			--config deploy/nfpm.yaml --packager deb --target "dist/${name}_${VERSION}_$arch.deb"
		go run -C deploy/tools ./sbom "$VERSION" "$PWD/$binary" >"$binary.cdx.json"
	done
	rm -r dist/package
	(cd dist && sha256sum -- * >SHA256SUMS)
}

build
if [ "${1:-}" = -prove ]; then
	if [ -n "$(git status --porcelain)" ]; then
		echo "the tree has changes: only a commit can be built elsewhere" >&2
		exit 1
	fi
	elsewhere=$(mktemp -d)
	trap 'chmod -R u+w "$elsewhere"; rm -rf "$elsewhere"' EXIT
	git clone -q . "$elsewhere/another/path"
	ARCHS=$archs BUILD_CACHE=$elsewhere/cache "$elsewhere/another/path/deploy/dist.sh" >/dev/null
	diff dist/SHA256SUMS "$elsewhere/another/path/dist/SHA256SUMS"
	echo "two builds of $(git rev-parse --short HEAD), the same bytes:"
fi
cat dist/SHA256SUMS
