# The deployment that the incident happened on: the GUI under every kind of manager, one port each, beside the API in a
# container; and the fix, pulled once everything ran, so that every process is older than its code.
. "$(dirname "$0")/base.sh"
here=$(dirname "$0")
for part in supervisor systemd systemd-user compose docker podman pm2 runit s6 by-hand script hostile; do
  sh "$here/$part.sh"
done

if grep -q 172.22.147.18 "$code/constellation.json"; then exit 0; fi # replayed after a reboot
# A commit's time is in whole seconds: the fix must be later than the last process by more than that.
sleep 1.5
as rbron "set -e
  fix=\$(mktemp -d) && git clone -q $upstream \$fix && cd \$fix
  git config user.name 'T. Weaver' && git config user.email tweaver@example.org
  echo '{\"tftp\": \"172.22.147.18\"}' >constellation.json
  git commit -qam 'Use the new TFTP server' && git push -q
  cd $code && git pull -q && rm -rf \$fix"
