# Docker: a container with a published port, and one on the host's network that only its cgroup tells from a native one.
. "$(dirname "$0")/base.sh"
. "$(dirname "$0")/image.sh"
image_in_docker
docker inspect plain >/dev/null 2>&1 || docker run -d --name plain -p 8001:8000 pypnm-api:lab >/dev/null
docker inspect hostnet >/dev/null 2>&1 ||
  docker run -d --name hostnet --network host pypnm-api:lab /bin/httpd -f -p 8002 -h /www >/dev/null
docker start plain hostnet >/dev/null # as after a reboot: they have no restart policy
for port in 8001 8002; do answers $port; done
