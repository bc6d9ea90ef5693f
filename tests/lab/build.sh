#!/bin/bash
# The root file system that every lab host starts from, built once per machine.
#
# It does not boot anything (hosts.py does) and it deploys nothing (scenarios/ does). Needs root on Debian 12.
# Prints the template's folder, $ASKFIRST_LAB_DIR/template-HASH. HASH is this script's own digest, so a changed
# script builds anew, and a host that still runs on an older template keeps it. Packages come from the mirror
# that this machine's own apt uses.
set -euo pipefail
umask 022
script=$(readlink -f "$0")
lab=${ASKFIRST_LAB_DIR:-/var/tmp/askfirst-lab}
template=$lab/template-$(sha256sum "$script" | cut -c1-12)
mkdir -p "$lab"
exec 9>"$lab/build.lock"
flock 9 # two sessions at once: the second waits, and finds the work done
if [ -f "$template/.complete" ]; then echo "$template"; exit 0; fi
[ "$(id -u)" = 0 ] || { echo "build.sh: needs root, to make a root file system" >&2; exit 77; }

log=$lab/build.log
exec 3>&1 >"$log" 2>&1
trap '[ $? = 0 ] || { echo "build.sh: failed, the end of $log says why:"; tail -n 20 "$log"; } >&3' EXIT
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
wait_for_apt='-o DPkg::Lock::Timeout=600'

needed='systemd-container debootstrap iproute2 openssh-client'
if ! dpkg -s $needed >/dev/null; then
  apt-get $wait_for_apt update -qq
  apt-get $wait_for_apt install -y -qq $needed
fi
mirror=$(apt-get indextargets --format '$(CODENAME) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
  awk '$1 == "bookworm" && $2 == "Debian" { print $3; exit }')
[ -n "$mirror" ] || { echo "build.sh: apt knows no mirror of Debian's bookworm; add one to its sources"; exit 1; }

new=$template.new
rm -rf --one-file-system "$lab"/template-*.new # of a build that was killed
base=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,openssh-server,iproute2,procps,sudo,ca-certificates
base=$base,python3,gunicorn,python3-flask,curl,git,tmux,screen,supervisor,runit,docker.io,nginx-light
debootstrap --variant=minbase --include="$base" bookworm "$new" "$mirror"

inside() { chroot "$new" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }
# No daemon of the new system may start on this machine while its package is configured.
printf '#!/bin/sh\nexit 101\n' >"$new/usr/sbin/policy-rc.d"; chmod 755 "$new/usr/sbin/policy-rc.d"
inside apt-get update -qq
inside apt-get install -y -qq --no-install-recommends busybox-static podman nodejs s6 cron

# Compose v2 came to Debian after bookworm: its package needs nothing but a C library that bookworm has.
echo "deb $mirror trixie main" >"$new/etc/apt/sources.list.d/later.list"
inside apt-get update -qq
inside sh -c 'cd /tmp && apt-get download docker-compose/trixie && dpkg -i docker-compose_*.deb && rm docker-compose_*.deb'
rm "$new/etc/apt/sources.list.d/later.list" "$new/usr/sbin/policy-rc.d"
inside apt-get clean
rm -rf "$new"/var/lib/apt/lists/*

# pm2 is only in npm. A machine without npm gets a template without pm2, and the scenario says so.
if command -v npm >/dev/null; then npm install --global --prefix "$new/usr/local" --no-audit --no-fund pm2 || true; fi

# Overlayfs does not stack on a host that is itself an overlay.
mkdir -p "$new/etc/docker" "$new/etc/containers" "$new/etc/systemd/network"
echo '{"storage-driver": "vfs"}' >"$new/etc/docker/daemon.json"
cat >"$new/etc/containers/storage.conf" <<'X'
[storage]
driver = "vfs"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
X

# systemd-nspawn mounts the cgroup v1 controllers read-only; Docker writes limits there.
cat >"$new/etc/systemd/system/cgroup-writable.service" <<'X'
[Unit]
Description=Make the cgroup v1 controllers writable
DefaultDependencies=no
Before=docker.service containerd.service
ConditionPathIsDirectory=/sys/fs/cgroup/memory
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'for c in /sys/fs/cgroup/*/; do mount -o remount,bind,rw "$$c" || true; done'
[Install]
WantedBy=sysinit.target
X
inside systemctl enable cgroup-writable.service systemd-networkd.service ssh.service
# Work by the clock would change files between two looks at a host.
inside systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
  fstrim.timer systemd-tmpfiles-clean.timer e2scrub_reap.service systemd-networkd-wait-online.service
inside systemctl disable nginx.service
# runsvdir would start these two over and over, against systemd's own.
inside rm -rf /etc/service/ssh /etc/service/default-syslog
# Each host makes its own at its first boot.
rm -f "$new"/etc/ssh/ssh_host_* "$new/etc/machine-id" "$new/var/lib/dbus/machine-id"
: >"$new/etc/machine-id"

touch "$new/.complete"
mv "$new" "$template"
echo "$template" >&3
