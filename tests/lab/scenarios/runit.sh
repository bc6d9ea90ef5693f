# runit: /etc/service/gui under root's runsvdir, with a log of its own; chpst gives the service to rbron, and
# each start is counted in /run. And a runsvdir of rbron's, for what he runs himself.
. "$(dirname "$0")/base.sh"
mkdir -p /etc/sv/gui/log /etc/service
printf '#!/bin/sh\necho started >>/run/starts-5056\nexec chpst -u rbron %s\n' "$(gui 5056)" >/etc/sv/gui/run
printf '#!/bin/sh\nexec cat >/dev/null\n' >/etc/sv/gui/log/run
chmod 755 /etc/sv/gui/run /etc/sv/gui/log/run
ln -sfn /etc/sv/gui /etc/service/gui
pgrep -x -u root runsvdir >/dev/null || setsid runsvdir -P /etc/service >/dev/null 2>&1 </dev/null &
as rbron "mkdir -p service/own && cd service && printf '#!/bin/sh\nexec %s\n' '$(gui 5069)' >own/run && chmod 755 own/run
  pgrep -x -u rbron runsvdir >/dev/null || setsid runsvdir -P /home/rbron/service >/dev/null 2>&1 </dev/null &"
for port in 5056 5069; do answers $port; done
