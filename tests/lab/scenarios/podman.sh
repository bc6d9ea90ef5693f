# podman: a container on the host's network, beside Docker's.
. "$(dirname "$0")/base.sh"
. "$(dirname "$0")/image.sh"
podman image exists pod:lab || image | podman import -c 'CMD ["/bin/sh"]' - pod:lab >/dev/null 2>&1
# No controller may be free for podman here, so it may not set a limit.
podman container exists pod ||
  podman run -d --pids-limit 0 --name pod --network host pod:lab /bin/httpd -f -p 8003 -h /www >/dev/null
podman start pod >/dev/null
answers 8003
