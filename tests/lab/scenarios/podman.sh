# podman: root's containers, on the host's network and with a published port, and one of rbron's own.
. "$(dirname "$0")/base.sh"
. "$(dirname "$0")/image.sh"
podman image exists pod:lab || image | podman import -c 'CMD ["/bin/sh"]' - pod:lab >/dev/null 2>&1
# No controller may be free for podman here, so it may not set a limit.
podman container exists pod ||
  podman run -d --pids-limit 0 --name pod --network host pod:lab /bin/httpd -f -p 8003 -h /www >/dev/null
podman start pod >/dev/null
answers 8003

podman container exists published ||
  podman run -d --pids-limit 0 --name published -p 8004:8000 pod:lab /bin/httpd -f -p 8000 -h /www >/dev/null
podman start published >/dev/null
answers 8004

podman container exists idle || podman create --pids-limit 0 --name idle pod:lab /bin/httpd -f -p 8000 -h /www >/dev/null

# A user's needs a systemd of his own, and user ids of his own only where the tools for them are there.
uid=$(id -u rbron)
loginctl enable-linger rbron
for _ in $(seq 100); do [ -S "/run/user/$uid/bus" ] && break; sleep 0.2; done
command -v newuidmap >/dev/null || sed -i '/^rbron:/d' /etc/subuid /etc/subgid
own() { as rbron "cd / && export XDG_RUNTIME_DIR=/run/user/$uid && podman --log-level fatal $1"; }
if ! own 'container exists web'; then
  image | own "import -c 'CMD [\"/bin/sh\"]' - pod:lab" >/dev/null 2>&1
  own 'run -d --pids-limit 0 --name web --network host pod:lab /bin/httpd -f -p 8013 -h /www' >/dev/null 2>&1
fi
own 'start web' >/dev/null
answers 8013
