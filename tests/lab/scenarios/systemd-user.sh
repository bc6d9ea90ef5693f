# systemd --user: a unit of rbron's own manager, which lingers.
. "$(dirname "$0")/base.sh"
uid=$(id -u rbron)
loginctl enable-linger rbron
for _ in $(seq 100); do [ -S "/run/user/$uid/bus" ] && break; sleep 0.2; done
install -d -o rbron -g rbron /home/rbron/.config /home/rbron/.config/systemd /home/rbron/.config/systemd/user
printf '[Unit]\nDescription=PyPNM GUI of rbron\n[Service]\nWorkingDirectory=%s\nExecStart=%s\n[Install]\nWantedBy=default.target\n' \
  "$code" "$(gui 5052)" >/home/rbron/.config/systemd/user/gui.service
chown rbron:rbron /home/rbron/.config/systemd/user/gui.service
as rbron "export XDG_RUNTIME_DIR=/run/user/$uid; systemctl --user daemon-reload; systemctl --user enable -q --now gui.service"
answers 5052
