# Systems to try the package on, for test-package.sh and test-systemd.sh, which
# source this from the repository's root: the least of Debian, made by
# debootstrap and kept, as a .tar, in the user's cache for a week.
export PATH=$PATH:/usr/sbin:/sbin
name=gemini-resilient-proxy
suite=${1:-$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")}

say() { printf '== %s\n' "$*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

for tool in debootstrap chroot dpkg-deb curl; do
	command -v $tool >/dev/null || { echo "skipped: $tool is not installed"; exit 0; }
done
[ "$(id -u)" = 0 ] || { echo "skipped: only root can make a system"; exit 0; }
debs=(dist/${name}_*_"$(dpkg --print-architecture)".deb)
deb=${debs[0]}
[ -f "$deb" ] || { echo "no package in dist/; run deploy/dist.sh" >&2; exit 1; }

# make_system makes the system in $root, with the package's file as
# /root/new.deb, in the folder $work, which is the caller's to remove.
make_system() {
	local cache=${XDG_CACHE_HOME:-$HOME/.cache}/$name
	local base=$cache/$suite-3.tar # of another name when --include changes
	mkdir -p "$root" "$cache"
	if [ -z "$(find "$base" -mtime -7 2>/dev/null)" ]; then
		say "debootstrap $suite"
		debootstrap --variant=minbase --include=ca-certificates,procps,systemd,iproute2 "$suite" "$work/base" >"$work/log" ||
			{ tail "$work/log"; echo "skipped: debootstrap cannot make a system here"; exit 0; }
		tar -C "$work/base" -cf "$base.part.$$" . && mv "$base.part.$$" "$base"
		rm -rf --one-file-system "$work/base"
	fi
	tar -C "$root" -xf "$base"
	cp "$deb" "$root/root/new.deb"
}

clean=(/usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8)

# inside runs a command in the system, which nothing runs in.
inside() { chroot "$root" "${clean[@]}" "$@"; }

# boot starts the system's own systemd in namespaces of its own, with a loopback
# of its own, and returns 1 where that is not possible. running runs a command
# beside it, halt ends it all.
boot() {
	local groups
	groups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	[ -n "$groups" ] || return 1
	group=$groups/$name-test-$$
	mkdir "$group" || return 1
	(
		echo $BASHPID >"$group/cgroup.procs"
		exec setsid unshare --cgroup --mount --pid --net --uts --ipc --fork --kill-child --propagation private \
			bash -ec "$in_namespaces" boot "$root"
	) >"$work/boot.log" 2>&1 </dev/null &
	outer=$!
	for _ in $(seq 300); do
		kill -0 $outer 2>/dev/null || return 1
		init=$(pgrep -P $outer || true)
		case $(running systemctl is-system-running 2>/dev/null || true) in
		running | degraded) return 0 ;;
		esac
		sleep 0.1
	done
	return 1
}

in_namespaces='
root=$1
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for at in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs $at; done
chmod 1777 tmp
for device in null zero full random urandom tty; do
	mknod -m 666 dev/$device c $(stat -c "%Hr %Lr" /dev/$device)
done
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
mkdir dev/pts dev/shm before
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ip link set lo up
pivot_root . before
umount -l /before
rmdir /before
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=journal-or-kmsg --show-status=false systemd.unit=multi-user.target
'

running() { nsenter -t "$init" -m -p -n -u -i -C -r -w "${clean[@]}" "$@"; }

halt() {
	[ -z "${outer:-}" ] || kill -KILL "$outer" 2>/dev/null || true
	[ -z "${outer:-}" ] || wait "$outer" 2>/dev/null || true
	for _ in $(seq 50); do
		[ -d "${group:-}" ] || return 0
		find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
	done
}
