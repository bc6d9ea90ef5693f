#!/bin/bash
# A file system with Python, PostgreSQL and nginx, as a tar file: what images are made of where no registry is reached.
#
# Built once per machine, from the mirror that its own apt uses; prints the file, $ASKFIRST_LAB_DIR/base-HASH.tar. Needs
# root on Debian 12.
set -euo pipefail
umask 022
script=$(readlink -f "$0")
lab=${ASKFIRST_LAB_DIR:-/var/tmp/askfirst-lab}
base=$lab/base-$(sha256sum "$script" | cut -c1-12).tar
mkdir -p "$lab"
exec 9>"$lab/build.lock"
flock 9
if [ -f "$base" ]; then echo "$base"; exit 0; fi
[ "$(id -u)" = 0 ] || { echo "base.sh: needs root, to make a root file system" >&2; exit 77; }
mirror=$(apt-get indextargets --format '$(CODENAME) $(LABEL) $(REPO_URI)' 'Created-By: Packages' |
  awk '$1 == "bookworm" && $2 == "Debian" { print $3; exit }')
[ -n "$mirror" ] || { echo "base.sh: apt knows no mirror of Debian's bookworm; add one to its sources" >&2; exit 1; }
new=$(mktemp -d "$lab/base-XXXXXX.new")
trap 'rm -rf --one-file-system "$new" "$base.new"' EXIT
packages=python3-venv,postgresql,nginx-light
debootstrap --variant=minbase --include=$packages bookworm "$new" "$mirror" >"$lab/base.log" 2>&1 ||
  { tail -n 20 "$lab/base.log" >&2; exit 1; }
# Without the certificate that Debian makes for tests: its key is a private key.
left_out=(var/cache/apt var/lib/apt/lists dev etc/ssl/private usr/share/{doc,man,locale})
tar -C "$new" --numeric-owner "${left_out[@]/#/--exclude=./}" -cf "$base.new" .
mv "$base.new" "$base"
echo "$base"
