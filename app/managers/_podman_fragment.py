"""What the gate asks a podman: each user has one of their own, root too, and it is asked as that user.

podman has no daemon to be asked: its first call after a boot puts a user's state in order, which is a change. So it is
only asked where it already runs (root's has been called since the boot, a user's holds its user namespace). The newest
image of a name is read from podman's own list of images, since ``podman image`` writes temporary files.
"""

FIELDS = {
    "id": "{{.ID}}",
    "name": "{{.Name}}",
    "main": "{{.State.Pid}}",
    "conmon": "{{.State.ConmonPid}}",
    "state": "{{.State.Status}}",
    "started": '{{.State.StartedAt.Format "2006-01-02T15:04:05.999999999Z07:00"}}',
    "created": '{{.Created.Format "2006-01-02T15:04:05.999999999Z07:00"}}',
    "image-id": "{{.Image}}",
    "restarts": "{{.RestartCount}}",
    "health": "{{with .State.Health}}{{.Status}}{{end}}",
    "ports": "{{range $port, $at := .NetworkSettings.Ports}}{{range $at}}{{.HostPort}}/{{$port}},{{end}}{{end}}",
    "policy": "{{.HostConfig.RestartPolicy.Name}}",
    "image": "{{json .ImageName}}",
    "user": "{{json .Config.User}}",
    "folder": "{{json .Config.WorkingDir}}",
    "mounts": '[{{range .Mounts}}{{if eq .Type "bind"}}{{json .Source}},{{end}}{{end}}null]',
    "systemd-unit": '{{json (index .Config.Labels "PODMAN_SYSTEMD_UNIT")}}',
    "place": "{{.OCIConfigPath}}",
}

ASKING = r"""
PODMAN_FORMAT='@TEMPLATE@'
PODMAN_KEYS='@KEYS@'

# One user's podman, AF_USER's. Where nothing is claimed of it, only what runs is wanted.
podman_of() {
    why='' scope='' ids='' said='' images='' status=0
    claimed=$(printf '%s\n' "$AF_UNITS" | awk -F / -v of="$AF_USER" 'NF && (NF > 1 ? $1 : "root") == of')
    if [ "$AF_NAME" != "$AF_USER" ] && [ "$AF_UID" != 0 ]; then why="$AF_NAME may not ask it"
    elif ! command -v podman >/dev/null; then why='the command podman is missing'
    elif ! podman_runs; then why='it has not run since the host is up, and asking it would change that'
    elif [ "$AF_VERB" = restart ]; then scope=one ids=${AF_UNITS##*/}
    elif [ -n "$claimed" ]; then scope=all; ids=$(podman_as ps -a -q --no-trunc 2>&1) || status=$?
    else scope=running; ids=$(podman_as ps -q --no-trunc 2>&1) || status=$?
    fi
    if [ "$status" != 0 ]; then why="it did not list its containers: ${ids:-no answer within 5 seconds}"; fi
    # Warnings stand among them, and are no arguments.
    [ "$scope" = one ] || ids=$(printf '%s\n' "$ids" | grep -xE '[0-9a-f]{64}')
    if [ -z "$why" ] && [ -n "$ids" ]; then
        said=$(podman_as inspect --type container --format "$PODMAN_FORMAT" $ids 2>&1) || status=$?
        [ "$status" != 124 ] || why='it did not tell of its containers within 5 seconds'
    fi
    # Where its images are, as the folder of each container tells: …/vfs-containers/ID/… beside …/vfs-images/.
    if [ -n "$said" ] && [ "$scope" = all ]; then
        place=${said##*	}
        images=$(podman_as_words head -c 4000000 "${place%-containers/*}-images/images.json")
    fi
    printf '%s\n' "$said" '~' "$images" | PODMAN_OF=$AF_USER PODMAN_UID=$AF_USER_UID PODMAN_WHY=$why \
        PODMAN_SCOPE=$scope PODMAN_STATUS=$status PODMAN_KEYS=$PODMAN_KEYS PODMAN_PROGRAM=$(command -v podman) \
        awk "$AF_AWK$PODMAN_AWK"
}

podman_as() { podman_as_words podman "$@"; }
podman_as_words() { af_as "$AF_USER" env USER="$AF_USER" LOGNAME="$AF_USER" "$@"; }

podman_runs() {
    [ "$AF_USER" != root ] || { [ -e /run/libpod/alive.lck ]; return; }
    pause=$(podman_as_words head -c 10 "/run/user/$AF_USER_UID/libpod/tmp/pause.pid")
    case $pause in *[!0-9]* | '') return 1 ;; esac
    grep -qs "^Uid:[[:space:]]*${AF_USER_UID}[[:space:]]" "/proc/$pause/status"
}

PODMAN_AWK='
BEGIN {
    keys = split(ENVIRON["PODMAN_KEYS"], key, " ")
    why = ENVIRON["PODMAN_WHY"]
    of = ENVIRON["PODMAN_OF"]
    count = claims()
}
$0 == "~" { in_images = 1; next }
in_images { read_images($0); next }
split($0, field, "\t") == keys { line[++lines] = $0; next }
$0 != "" && !/^time=/ && !/[Nn]o such container/ { complaint = $0 }
END {
    if (why == "" && ENVIRON["PODMAN_STATUS"] > 0 && complaint != "") why = complaint
    rec("podman.user"); put("of", of); put("uid", ENVIRON["PODMAN_UID"]); put("scope", ENVIRON["PODMAN_SCOPE"])
    put("why", why)
    done()
    for (i = 1; i <= lines; i++) say_container(line[i])
    # Root runs this program for each service of the podman of root.
    for (i = 1; i <= count; i++)
        if (of == "root" && !index(claim_unit[i], "/")) guard(claim_service[i], ENVIRON["PODMAN_PROGRAM"])
}

# The id that each name of an image stands for now.
function read_images(text,    entry, entries, i, name, names, j) {
    entries = split(text, entry, "[{]\"id\":\"")
    for (i = 2; i <= entries; i++) {
        if (!match(entry[i], /"names":\[[^]]*\]/)) continue
        names = split(substr(entry[i], RSTART + 9, RLENGTH - 9), name, "\"")
        for (j = 2; j <= names; j += 2) newest[name[j]] = substr(entry[i], 1, 64)
    }
}

function say_container(text,    i, unit, name) {
    split(text, field, "\t")
    for (i = 1; i <= keys; i++) value[key[i]] = field[i]
    rec("podman.container"); put("of", of)
    for (i = 1; i <= keys; i++) if (key[i] != "place") put(key[i], value[key[i]])
    if (told++ < 100 && value["main"] > 0) put("pid", value["main"])
    name = substr(value["image"], 2, length(value["image"]) - 2)
    if (newest[name] != "" && newest[name] != value["image-id"]) put("listed-as", "sha256:" newest[name])
    done()
    unit = (of == "root" ? "" : of "/") value["name"]
    for (i = 1; i <= count; i++) if (claim_unit[i] == unit) {
        identity(claim_service[i], "container " enc(value["id"]) " " enc(value["started"]) " " \
            enc(value["image-id"]) " " enc(value["state"]))
        identity_pid(claim_service[i], value["main"])
    }
}
'
""".replace("@TEMPLATE@", "\t".join(FIELDS.values())).replace("@KEYS@", " ".join(FIELDS))
