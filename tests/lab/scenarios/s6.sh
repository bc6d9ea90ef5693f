# s6: /srv/s6/gui under s6-svscan. Root holds the loop, rbron the service.
. "$(dirname "$0")/base.sh"
mkdir -p /srv/s6/gui
printf '#!/bin/sh\nexec su -s /bin/sh rbron -c "exec %s"\n' "$(gui 5057)" >/srv/s6/gui/run
chmod 755 /srv/s6/gui/run
pgrep -x s6-svscan >/dev/null || setsid s6-svscan /srv/s6 >/dev/null 2>&1 </dev/null &
answers 5057
