# systemd: a plain unit (and its alias), a template's instance, a socket, a masked unit, a unit whose port a person took.
. "$(dirname "$0")/base.sh"
units=/etc/systemd/system

unit() { # name, user, command, further lines of [Service]
  printf '[Unit]\nDescription=PyPNM GUI (%s)\n[Service]\nUser=%s\nWorkingDirectory=%s\n%sExecStart=%s\n[Install]\nWantedBy=multi-user.target\n' \
    "$1" "$2" "$code" "${4:-}" "$3" >"$units/$1"
}

unit gui-5054.service rbron "$(gui 5054)" 'Type=notify
'
unit gui-5060.service rbron "$(gui 5060)" 'Type=notify
'
unit guitpl@.service rbron "$(gui %i)"
unit lazy.service rbron "/usr/bin/gunicorn app:app --chdir $code"
printf '[Unit]\nDescription=PyPNM GUI, when somebody asks\n[Socket]\nListenStream=127.0.0.1:5059\n[Install]\nWantedBy=sockets.target\n' >"$units/lazy.socket"
ln -sf "$units/gui-5054.service" "$units/gui-alias.service"
ln -sf /dev/null "$units/ghost-masked.service"
# Root runs what rbron may rewrite.
install -m 755 -o rbron -g rbron /dev/null /srv/serve-5066
printf '#!/bin/sh\nexec /usr/bin/python3 -m http.server --bind 127.0.0.1 5066\n' >/srv/serve-5066
unit gui-5066.service root /srv/serve-5066
sed -i 's|^WorkingDirectory=.*|WorkingDirectory=/srv|' "$units/gui-5066.service"

systemctl daemon-reload
systemctl enable -q --now gui-5054.service gui-5066.service lazy.socket
systemctl enable -q --now guitpl@5061.service
ss -Hltn 'sport = :5060' | grep -q . || as rbron "setsid $(gui 5060) >/dev/null 2>&1 </dev/null &"
for port in 5054 5060 5061 5066; do answers $port; done
