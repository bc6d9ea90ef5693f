# runit: /etc/service/gui under runsvdir. chpst gives the service to rbron.
. "$(dirname "$0")/base.sh"
mkdir -p /etc/sv/gui /etc/service
printf '#!/bin/sh\nexec chpst -u rbron %s\n' "$(gui 5056)" >/etc/sv/gui/run
chmod 755 /etc/sv/gui/run
ln -sfn /etc/sv/gui /etc/service/gui
pgrep -x runsvdir >/dev/null || setsid runsvdir -P /etc/service >/dev/null 2>&1 </dev/null &
answers 5056
