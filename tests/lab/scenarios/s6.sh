# s6: /srv/s6/gui under s6-svscan, with a log of its own. Root holds the loop and a `su`, rbron the service; each
# start is counted in /run.
. "$(dirname "$0")/base.sh"
mkdir -p /srv/s6/gui/log
printf '#!/bin/sh\necho started >>/run/starts-5057\nexec su -s /bin/sh rbron -c "exec %s"\n' "$(gui 5057)" >/srv/s6/gui/run
printf '#!/bin/sh\nexec cat >/dev/null\n' >/srv/s6/gui/log/run
chmod 755 /srv/s6/gui/run /srv/s6/gui/log/run
pgrep -x s6-svscan >/dev/null || setsid s6-svscan /srv/s6 >/dev/null 2>&1 </dev/null &
answers 5057
