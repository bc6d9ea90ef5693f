# supervisor: the program `pypnm-gui` in the group `lab`. supervisord itself is a systemd unit: the nearest one counts.
. "$(dirname "$0")/base.sh"
cat >/etc/supervisor/conf.d/gui.conf <<X
[program:pypnm-gui]
command=$(gui 5050 0.0.0.0)
directory=$code
user=rbron
autorestart=true
[group:lab]
programs=pypnm-gui
X
systemctl enable -q --now supervisor.service
for _ in $(seq 50); do [ -S /run/supervisor.sock ] && break; sleep 0.2; done
supervisorctl update >/dev/null
answers 5050
