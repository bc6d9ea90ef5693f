# Docker compose: the project `pypnm-gui-lab` with the service `pypnm-api`, from the checkout's own file.
. "$(dirname "$0")/base.sh"
. "$(dirname "$0")/image.sh"
image_in_docker
cd "$code"
docker compose up -d 2>/dev/null
answers 8000
