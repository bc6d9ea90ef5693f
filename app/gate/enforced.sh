# What an installed gate asks besides, as root, started by the door through sudo: whatever the server says, nothing runs
# that the host's own files do not allow. /etc/askfirst holds them, all root's and written by nobody else:
#
#     host        lines `name NAME`, `level enforced|sealed`, `per-hour N`, `plain-keys yes|no`
#     restarts    for each service and action a line SERVICE MANAGER UNIT ACTION USER COOLDOWN APPROVALS ARGV…
#     approvers/  of a sealed host, a file for each service (sealed.sh)
#     disabled    where it is there, nothing is run; its first line is the reason. probe, burn and result go on
#
# It is called as `gate probe`, `gate burn`, `gate result` or `gate restart SERVICE`; on its standard input a nonce, the
# data as in frame.sh, behind a warrant's lines one line `signature BASE64` for each approval, and `end`. Of a restart are
# asked, in this order: that the host's files are in order (else exit status 78), that the warrant is one (65), then (77)
# the off switch, the table, this very host, the signatures; then, as on any host, that the warrant is unspent (75) and
# not over (77) and who the service is at this moment (75); and where it is spent, the caps (77). Every decision goes into
# the host's log, but for probes, of which sudo writes a line.

AF_ETC=/etc/askfirst
AF_MOST=300000              # bytes of what is sent

af_installed() {
    AF_VERB=${1-} AF_ASKED=${2-} AF_NONCE='' AF_ID='' AF_SIGNATURES=''
    SUDO_UID=${SUDO_UID:-0} HOME=/root
    unset XDG_STATE_HOME
    af_environment
    case $AF_VERB:$# in
    probe:1 | burn:1 | result:1 | restart:2) ;;
    *) af_turn_away 64 'this is not probe, restart SERVICE, burn or result' ;;
    esac
    [ "$AF_UID" = 0 ] || af_turn_away 69 'the gate of this host works as root only'
    af_take
    AF_WHY='' AF_LEVEL=unknown
    af_read_host || AF_LEVEL=unknown
    case $AF_LEVEL:$AF_VERB in
    unknown:probe | unknown:restart)
        AF_STATUS=78 AF_COUNT=0
        af_say "askfirst-gate 1 nonce=$AF_NONCE verb=$AF_VERB gate=$AF_DIGEST level=$AF_LEVEL"
        af_refuse "$AF_WHY"
        af_end
        ;;
    esac
    af_answer
}

# Where there is no nonce yet there is no answer: the reason goes to standard error and into the log.
af_turn_away() {
    AF_STATUS=$1
    af_note "refused $1: $2"
    echo "askfirst: refused: $2" >&2
    exit "$1"
}

af_note() { [ "$AF_VERB" = probe ] && [ "$AF_STATUS" = 0 ] || af_log "$AF_VERB${AF_ASKED:+ $AF_ASKED}${AF_ID:+ $AF_ID}: $1"; }

# Reads what was sent, in a shell of its own that may not grow: whoever holds the server's key may send without end.
af_take() {
    AF_DATA=$(
        ulimit -v 200000
        ulimit -t 5
        left=$AF_MOST
        while IFS= read -r line || [ -n "$line" ]; do
            left=$((left - ${#line} - 1))
            [ "$left" -gt 0 ] || exit 1
            printf '%s\n' "$line"
        done
    ) || af_turn_away 65 'what was sent is far too long'
    AF_NONCE=${AF_DATA%%"$AF_NEWLINE"*}
    case $AF_NONCE in *[!0-9a-f]* | '') af_turn_away 65 'what was sent does not begin with a nonce' ;; esac
    [ ${#AF_NONCE} -eq 32 ] || af_turn_away 65 'what was sent does not begin with a nonce'
    AF_DATA=${AF_DATA#"$AF_NONCE"} AF_DATA=${AF_DATA#"$AF_NEWLINE"}
    case $AF_VERB:$AF_DATA in
    restart:*"${AF_NEWLINE}signature "*"${AF_NEWLINE}end")
        AF_SIGNATURES=signature${AF_DATA#*"${AF_NEWLINE}signature"}
        AF_SIGNATURES=${AF_SIGNATURES%"${AF_NEWLINE}end"}
        AF_DATA=${AF_DATA%%"${AF_NEWLINE}signature "*}${AF_NEWLINE}end
        ;;
    esac
}

af_is_number() {
    case $1 in *[!0-9]* | '' | 0?*) return 1 ;; esac
    [ ${#1} -le 6 ]
}

# Whether a file of the host's is one, and root's own. Where others may write it, af_own_files finds before a run.
af_is_own() {
    AF_WHY="$1 is missing, or is not root's own file"
    [ -f "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] && [ -r "$1" ]
}

af_read_host() {
    AF_HOST='' AF_LEVEL='' AF_PER_HOUR='' AF_PLAIN=''
    af_is_own "$AF_ETC/host" || return 1
    AF_WHY="$AF_ETC/host is not of its form"
    while read -r af_key af_value; do
        case $af_key:$af_value in
        name:?*) AF_HOST=$af_value ;;
        level:enforced | level:sealed) AF_LEVEL=$af_value ;;
        per-hour:?*) af_is_number "$af_value" && AF_PER_HOUR=$af_value || return 1 ;;
        plain-keys:yes | plain-keys:no) AF_PLAIN=$af_value ;;
        : | '#'*) ;;
        *) return 1 ;;
        esac
    done <"$AF_ETC/host"
    [ -n "$AF_HOST" ] && [ -n "$AF_LEVEL" ] && [ -n "$AF_PER_HOUR" ] && [ -n "$AF_PLAIN" ]
}

# Tells each restart of the table as a record `permitted line=…`: what is not there need not be asked for.
af_tell_permitted() {
    af_is_own "$AF_ETC/restarts" || return 0
    while IFS= read -r af_entry; do
        case $af_entry in '' | '#'* | *[!A-Za-z0-9@._:/=+,\ \\-]*) continue ;; esac
        # shellcheck disable=SC2086  # words are wanted
        set -- $af_entry
        [ $# -ge 8 ] || continue
        af_text=$1%20$2%20$3%20$4%20$5
        shift 7
        for af_value; do af_text=$af_text%20$af_value; done
        af_say "permitted line=$af_text"
    done <"$AF_ETC/restarts"
}

af_permitted() {
    export AF_SERVICE AF_COOLDOWN AF_PER_HOUR
    AF_STATUS=78
    af_own_files || return 1
    AF_STATUS=77
    af_is_on && af_in_table && af_is_here && af_signed
}

# Nobody but root may write what decides here or is called to, nor put another in its place. All of it in two looks.
af_own_files() {
    af_also=''
    for af_place in /var/lib/askfirst /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
        [ ! -d "$af_place" ] || af_also="$af_also $af_place"
    done
    af_found=$(
        PATH=/usr/sbin:/usr/bin:/sbin:/bin
        find /usr/local/lib/askfirst "$AF_ETC" -maxdepth 3 \
            \( ! -user 0 -o -type l -o -perm -002 -o -perm -020 ! -group 0 \) 2>&1
        find -H / /usr /usr/local /usr/local/lib /etc /var /var/lib $af_also -maxdepth 0 \
            \( ! -user 0 -o -perm -002 -o -perm -020 ! -group 0 \) 2>&1
    )
    af_found=${af_found%%"$AF_NEWLINE"*}
    AF_WHY="somebody else than root may write $af_found, or it is missing"
    [ -z "$af_found" ]
}

af_is_on() {
    [ -e "$AF_ETC/disabled" ] || [ -L "$AF_ETC/disabled" ] || return 0
    af_reason=''
    [ ! -f "$AF_ETC/disabled" ] || IFS= read -r af_reason <"$AF_ETC/disabled"
    AF_WHY="runs are switched off on this host${af_reason:+: $af_reason}"
    return 1
}

# The line of the table for this service and action must say what the warrant says, word for word.
af_in_table() {
    AF_WHY="the warrant is for $AF_SERVICE, and $AF_ASKED was asked for"
    [ "$AF_SERVICE" = "$AF_ASKED" ] || return 1
    af_value action
    af_table=$AF_ETC/restarts
    AF_STATUS=78
    af_is_own "$af_table" || return 1
    while IFS= read -r af_entry; do
        AF_WHY="a line of $af_table is not of its form"
        case $af_entry in '' | '#'*) continue ;; *[!A-Za-z0-9@._:/=+,\ \\-]*) return 1 ;; esac
        # shellcheck disable=SC2086  # words are wanted
        set -- $af_entry
        [ $# -ge 8 ] && af_is_number "$6" && af_is_number "$7" || return 1
        [ "$1 $4" = "$AF_SERVICE $AF_VALUE" ] || continue
        AF_STATUS=77
        AF_COOLDOWN=$6 AF_APPROVALS=$7
        AF_WHY="the manager, unit or user is not what this host's table says of $AF_SERVICE"
        [ "$2 $3 $5" = "$AF_MANAGER $AF_UNIT $AF_RUN_AS" ] || return 1
        shift 7
        AF_WHY="the command is not what this host's table says of $AF_SERVICE"
        [ "$*" = "$AF_ARGV" ]
        return
    done <"$af_table"
    AF_STATUS=77
    AF_WHY="this host's table has no $AF_VALUE of $AF_SERVICE"
    return 1
}

af_is_here() {
    af_value host
    AF_WHY="the warrant is for the host $AF_VALUE, and this is $AF_HOST"
    [ "$AF_VALUE" = "$AF_HOST" ] || return 1
    af_value host-key
    AF_WHY="the warrant is for a host with the key $AF_VALUE, which is none of this host's"
    set +f
    af_keys=$(cat /etc/ssh/ssh_host_*_key.pub 2>/dev/null | ssh-keygen -lf - 2>/dev/null)
    set -f
    case $af_keys in *" $AF_VALUE "*) ;; *) return 1 ;; esac
}
