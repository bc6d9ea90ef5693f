"""What the gate asks Docker, for the two managers whose containers Docker keeps.

One ``docker inspect`` tells everything about many containers. Its template prints a line for each, of fields between
tabs; free text is printed as JSON, so that no label or path can hold a tab or a newline. Environment variables are not
asked for: they hold secrets. A fragment says which containers it wants to know, and gets records and identity lines.
"""

_LABEL = '{{json (index .Config.Labels "com.docker.compose.%s")}}'
FIELDS = {
    "id": "{{.ID}}",
    "name": "{{.Name}}",
    "main": "{{.State.Pid}}",
    "state": "{{.State.Status}}",
    "started": "{{.State.StartedAt}}",
    "image-id": "{{.Image}}",
    "restarts": "{{.RestartCount}}",
    "health": "{{with .State.Health}}{{.Status}}{{end}}",
    "ports": "{{range $port, $at := .NetworkSettings.Ports}}{{range $at}}{{.HostPort}}/{{$port}},{{end}}{{end}}",
    "image": "{{json .Config.Image}}",
    "user": "{{json .Config.User}}",
    "folder": "{{json .Config.WorkingDir}}",
    "mounts": '[{{range .Mounts}}{{if eq .Type "bind"}}{{json .Source}},{{end}}{{end}}null]',
    "project": _LABEL % "project",
    "service": _LABEL % "service",
    "project-folder": _LABEL % "project.working_dir",
    "oneoff": _LABEL % "oneoff",
    "created": "{{.Created}}",
    "policy": "{{.HostConfig.RestartPolicy.Name}}",
    "project-files": _LABEL % "project.config_files",
    "project-environment": _LABEL % "project.environment_file",
}

ASKING = r"""
# Whether Docker can be asked. Where not, it says why, for the manager $1.
af_docker_answers() {
  if [ ! -S /var/run/docker.sock ]; then af_blind docker 'no Docker listens at /var/run/docker.sock' "$1"
  elif [ ! -w /var/run/docker.sock ]; then af_blind docker 'only root and the group docker may ask it' "$1"
  elif ! command -v docker >/dev/null; then af_blind docker 'the command docker is missing' "$1"
  else return 0
  fi
  return 1
}

# The containers that `docker ps` lists with these options, as `ID IMAGE` a line, for the manager $1.
af_docker_list() {
  af_manager=$1
  shift
  if af_listed=$(af_limit docker ps -a --no-trunc --format '{{.ID}} {{.Image}}' "$@" 2>&1); then return 0; fi
  af_blind docker "it did not list its containers: ${af_listed:-no answer within 5 seconds}" "$af_manager"
  return 1
}

# Prints the containers $3 (ID or name first on each line) as records of the manager $1, with $2 to say how many of all
# they are, and then the identity lines of its claims. `docker ps` shows an image by its id once its name has moved on.
# A field `pid` makes the frame look at the process: not at a thousand of them because there are a thousand containers.
af_containers() {
  af_said=''
  if [ -n "$3" ]; then
    af_said=$(printf '%s\n' "$3" | cut -d ' ' -f 1 |
      af_limit xargs docker inspect --type container --format '@TEMPLATE@' 2>&1)
    if [ $? = 124 ]; then af_blind docker 'it did not tell of its containers within 5 seconds' "$1"; return; fi
  fi
  printf '%s\n' "$3" '~' "$af_said" | awk -v manager="$1" -v scope="$2" "$AF_AWK"'
    BEGIN { keys = split("@KEYS@", key, " "); count = claims() }
    $0 == "~" { is_inspected = 1; next }
    !is_inspected { listed[$1] = $2; next }
    split($0, field, "\t") == keys { container(); next }
    $0 != "" && !/No such (container|object)/ && !/^WARN/ { blind("docker", $0, manager); is_blind = 1 }
    END {
      if (!is_blind) { rec(manager ".list"); put("scope", scope); done() }
      if (ENVIRON["AF_VERB"] == "probe") for (i = 1; i <= count; i++) say_files(claim_service[i])
    }
    function container(    i, unit) {
      for (i = 1; i <= keys; i++) value[key[i]] = field[i]
      sub(/^\//, "", value["name"])
      rec(manager ".container")
      for (i = 1; i <= keys; i++) put(key[i], value[key[i]])
      if (told++ < 100 && value["main"] > 0) put("pid", value["main"])
      put("listed-as", listed[value["id"]])
      done()
      unit = value["oneoff"] == "\"True\"" ? "" : word(value["project"]) "/" word(value["service"])
      for (i = 1; i <= count; i++)
        if (claim_unit[i] == value["name"] || claim_unit[i] == unit) identify(claim_service[i])
    }
    # The files that a project was made from: they are looked at from outside, and never read.
    function say_files(service,    n, path, list, command, line, cut, changed, newest, settings) {
      if (files[service] == "") return
      n = split(files[service], path, ",")
      for (; n > 0; n--) if (path[n] ~ /^\//) list = list " " quoted(path[n])
      n = split(environment[service], path, ",")
      for (; n > 0; n--) if (path[n] ~ /^\//) { list = list " " quoted(path[n]); is_environment[path[n]] = 1 }
      command = "exec stat -L -c \"%Y %n\"" list " 2>/dev/null"
      while ((command | getline line) > 0) {
        cut = index(line, " ")
        path[0] = substr(line, cut + 1)
        changed[path[0]] = substr(line, 1, cut - 1)
        if (path[0] in is_environment) { if (changed[path[0]] > changed[settings]) settings = path[0] }
        else if (changed[path[0]] > changed[newest]) newest = path[0]
      }
      close(command)
      rec(manager ".claim"); put("service", service)
      put("file", newest); put("files-at", changed[newest])
      put("environment", settings); put("environment-at", changed[settings])
      done()
    }
    function identify(service) {
      files[service] = word(value["project-files"])
      environment[service] = word(value["project-environment"])
      if (environment[service] == "") environment[service] = word(value["project-folder"]) "/.env"
      identity(service, "container " enc(value["id"]) " " enc(value["started"]) " " \
        enc(value["image-id"]) " " enc(value["state"]))
      identity_pid(service, value["main"])
    }
    function word(json) { return json ~ /^"[^"\\]*"$/ ? substr(json, 2, length(json) - 2) : "" }'
}

# Root runs this program for each claimed service of this manager.
af_docker_guard() {
  awk -v path="$1" "$AF_AWK"'BEGIN { for (i = claims(); i > 0; i--) guard(claim_service[i], path) }'
}
""".replace("@TEMPLATE@", "\t".join(FIELDS.values())).replace("@KEYS@", " ".join(FIELDS))
