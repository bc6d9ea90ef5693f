# The file system of the lab's container image, as a tar stream: busybox and one page. Nothing is pulled from anywhere.
# shellcheck shell=sh
image() {
  files=$(mktemp -d)
  mkdir "$files/bin" "$files/www"
  cp /bin/busybox "$files/bin/busybox"
  for applet in sh httpd sleep; do ln -s busybox "$files/bin/$applet"; done
  echo ok >"$files/www/health"
  chmod -R a+rX "$files"
  tar -C "$files" -c .
  rm -r "$files"
}

# Import it once: a second import would be a new image, and every container of the first would look outdated.
image_in_docker() {
  until docker info >/dev/null 2>&1; do sleep 0.5; done
  docker image inspect pypnm-api:lab >/dev/null 2>&1 ||
    image | docker import -c 'CMD ["/bin/httpd", "-f", "-p", "8000", "-h", "/www"]' - pypnm-api:lab >/dev/null
}
