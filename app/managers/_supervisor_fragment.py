"""What the gate asks a supervisord: its pid and all its programs, by one call, and how its files stand.

It believes nothing: who answered, and who could have put the socket there, goes into the record, and is judged
elsewhere.
"""

_PART = (
    "<value><struct><member><name>methodName</name><value><string>supervisor.{}</string></value></member>"
    "<member><name>params</name><value><array><data></data></array></value></member></struct></value>"
)
_PARTS = "".join(map(_PART.format, ("getPID", "getAllProcessInfo")))
_QUESTION = (
    "<methodCall><methodName>system.multicall</methodName><params><param><value><array><data>"
    f"{_PARTS}</data></array></value></param></params></methodCall>"
)

_SHELL = r"""
af_watch supervisord
facts_supervisor() {
    # The places where supervisorctl looks when it is told none, in its order.
    for default in /usr/local/etc/supervisord.conf /etc/supervisord.conf /etc/supervisor/supervisord.conf ''; do
        [ -f "$default" ] && break
    done
    configs=$AF_NEWLINE
    IFS=$AF_NEWLINE
    for claim in $AF_CLAIMS; do
        config=${claim% *} config=${config##* }
        case $configs in *"$AF_NEWLINE$config$AF_NEWLINE"*) ;; *) configs=$configs$config$AF_NEWLINE ;; esac
    done
    unset IFS
    case $AF_VERB$configs in probe* | *"$AF_NEWLINE-$AF_NEWLINE"*) supervisor_of "$default" yes ;; esac
    for config in $configs; do
        [ "$config" = - ] || [ "$config" = "$default" ] || supervisor_of "$config" no
    done
}

# One supervisord, by its configuration: asked over its socket (by perl, or curl), else through supervisorctl. The
# system's own configuration lies where only root puts files; another's owner could make reading it hang.
supervisor_of() {
    config=$1 is_default=$2 limited=af_limit
    if [ ! -f "$config" ] || [ ! -r "$config" ]; then
        supervisor_blind "$AF_NAME finds no configuration of its that can be read"
        return
    fi
    [ "$is_default" = no ] || limited=''
    said=$($limited awk -v here="${config%/*}" "$SUPERVISOR_CONFIG_AWK" "$config")
    socket=${said%%"$AF_NEWLINE"*}
    by='' answer='' complaint=''
    [ -z "$socket" ] || supervisor_answers || complaint="$? $answer"
    case $complaint:$answer in
    ':'*'<methodResponse>'*'</methodResponse>'*) daemon=${answer#*<int>} daemon=${daemon%%<*} ;;
    '124 '* | '142 '*)
        supervisor_blind "it did not answer $AF_NAME within 5 seconds"
        return
        ;;
    *)
        # Its code may be read from where the configuration says: so never as anyone but the owner of the configuration.
        by=supervisorctl owner=$(stat -c %U "$config")
        # What it complains of may quote a file that only root reads: that stays here.
        answer=$(af_as "$owner" supervisorctl -c "$config" status 2>/dev/null
            printf 'pid ' && af_as "$owner" supervisorctl -c "$config" pid 2>/dev/null)
        case $answer in
        *"${AF_NEWLINE}pid "[1-9]*) daemon=${answer##*"${AF_NEWLINE}pid "} ;;
        *)
            supervisor_blind "it did not answer $AF_NAME: ${complaint:-$answer}"
            return
            ;;
        esac
        ;;
    esac
    case $daemon in *[!0-9]*) daemon=0 ;; esac
    {
        supervisor_files "$config" "/proc/$daemon" ${socket:+"$socket" "${socket%/*}"}
        printf '%s\n' "$answer"
    } | SUPERVISOR_CONFIG=$config SUPERVISOR_SOCKET=$socket SUPERVISOR_BY=$by SUPERVISOR_PID=$daemon \
        SUPERVISOR_DEFAULT=$is_default awk "$AF_AWK$SUPERVISOR_AWK"
}

# Most of what this costs is to start the program that asks: perl takes a third of curl's time. Neither waits for more
# than 5 seconds.
supervisor_answers() {
    if command -v perl >/dev/null; then
        by=perl
        answer=$(perl -e "$SUPERVISOR_PERL" "$socket" '@QUESTION@' 2>&1)
    elif command -v curl >/dev/null; then
        by=curl
        answer=$(af_limit curl -q -sS --noproxy '*' --unix-socket "$socket" -H 'Content-Type: text/xml' \
            --data-binary '@QUESTION@' http://localhost/RPC2 2>&1)
    fi
}

SUPERVISOR_PERL='
    alarm 5;
    socket(S, 1, 1, 0) && connect(S, pack("Sa*", 1, $ARGV[0])) or die "$!\n";
    my $head = "POST /RPC2 HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: " . length($ARGV[1]) . "\r\n\r\n";
    syswrite(S, $head . $ARGV[1]);
    for (my $room = 4e6; $room > 0 && sysread(S, my $part, 65536); $room -= length $part) { print $part }
'

# How these files stand, and those that a configuration of root's, or of the one who looks, includes: their names are
# of plain characters only, so that none can pass for a line about another file.
supervisor_files() {
    if [ "$is_default" = yes ] || [ -O "$config" ]; then
        case $said in *"$AF_NEWLINE"*) set +f; set -- "$@" ${said#*"$AF_NEWLINE"}; set -f ;; esac
    fi
    for file; do
        shift
        case $file in *[!A-Za-z0-9@._:/=+,-]*) ;; *) set -- "$@" "$file" ;; esac
    done
    stat -L -c 'file %u %a %Y %n' "$@"
}

# Says it of the services that this supervisord is claimed to run, and not of those of another.
supervisor_blind() {
    SUPERVISOR_CONFIG=$config SUPERVISOR_DEFAULT=$is_default SUPERVISOR_WHY=$1 awk "$AF_AWK$SUPERVISOR_BLIND_AWK"
}

SUPERVISOR_BLIND_AWK='
BEGIN {
    config = ENVIRON["SUPERVISOR_CONFIG"]
    what = "supervisord" (config == "" ? "" : " of " config)
    claimed = claims()
    for (i = 1; i <= claimed; i++) {
        if (claim_config[i] != config && (claim_config[i] != "-" || ENVIRON["SUPERVISOR_DEFAULT"] != "yes")) continue
        blind(what, ENVIRON["SUPERVISOR_WHY"], claim_service[i])
    }
    if (!claimed && config != "") blind(what, ENVIRON["SUPERVISOR_WHY"], "supervisor")
}
'

# The socket, if it can be asked without a password; then what files it includes, a line each.
SUPERVISOR_CONFIG_AWK='
    /^\[/ { section = $0; sub(/\].*/, "]", section); key = ""; next }
    /^[;#]/ { next }
    /^[^ \t=]+[ \t]*[=:]/ { key = section $1; sub(/[=:].*/, "", key); sub(/^[^=:]*[=:]/, "") }
    { sub(/[ \t]+;.*/, ""); gsub(/%\(here\)s/, here) }
    key == "[unix_http_server]file" { gsub(/^[ \t]+|[ \t]+$/, ""); file = file $0 }
    key ~ /^\[unix_http_server\](username|password)$/ { locked = 1 }
    key == "[include]files" { for (i = 1; i <= NF; i++) included[++count] = $i }
    END {
        print locked || file !~ /^\/[A-Za-z0-9\/._-]+$/ ? "" : file
        for (i = 1; i <= count; i++)
            if (included[i] ~ /^[A-Za-z0-9\/._*?-]+$/) print included[i] ~ /^\// ? included[i] : here "/" included[i]
    }
'

SUPERVISOR_AWK='
# How the files stand first, then the answer, of which no line looks so: XML begins by "<", a status by a name and its
# state.
/^file [0-9]+ [0-7]+ [0-9]+ \// && text == "" {
    owner[$5] = $2; mode[$5] = $3; changed[$5] = $4
    if (!is_about_the_daemon($5) && $4 > changed[newest]) newest = $5
    next
}
{ text = text $0 NEWLINE }

END {
    config = ENVIRON["SUPERVISOR_CONFIG"]
    daemon = ENVIRON["SUPERVISOR_PID"]
    if (ENVIRON["SUPERVISOR_BY"] == "supervisorctl") from_status(); else from_answer()
    look_at_files()
    rec("supervisor.daemon")
    put("config", config); put("default", ENVIRON["SUPERVISOR_DEFAULT"]); put("pid", daemon)
    put("socket", ENVIRON["SUPERVISOR_SOCKET"]); put("is-own", is_own); put("by", ENVIRON["SUPERVISOR_BY"])
    put("newest", newest); put("newest-at", changed[newest])
    done()
    for (i = 1; i <= programs; i++) {
        rec("supervisor.program")
        put("config", config); put("name", name[i]); put("state", state[i]); put("pid", pid[i])
        put("error", error[i])
        done()
        number[name[i]] = i
        number[alias[i]] = i
    }
    claimed = claims()
    for (i = 1; i <= claimed; i++)
        if (claim_config[i] == config || claim_config[i] == "-" && ENVIRON["SUPERVISOR_DEFAULT"] == "yes") say_claim(i)
}

# The answers of getPID and getAllProcessInfo; every text in them is escaped by XML, so a tag is a tag.
function from_answer(    struct, member, i, j, members, key, value, field) {
    programs = split(text, struct, "<struct>") - 1
    for (i = 1; i <= programs; i++) {
        split("", field)
        members = split(struct[i + 1], member, "<member>")
        for (j = 2; j <= members; j++) {
            key = member[j]; sub(/^[^<]*<name>/, "", key); sub(/<.*/, "", key)
            value = member[j]; sub(/^.*<value>(<[a-z0-9]+>)?/, "", value); sub(/<\/.*/, "", value)
            field[key] = plain_text(value)
        }
        take(i, field["group"], field["name"], field["statename"], field["pid"], field["spawnerr"])
    }
}

function plain_text(value) {
    gsub(/&lt;/, "<", value); gsub(/&gt;/, ">", value); gsub(/&quot;/, "\"", value); gsub(/&amp;/, "\\&", value)
    return value
}

# The lines of `supervisorctl status`, and `pid N` behind them.
function from_status(    line, word, count, i, cut, own_name, group_name) {
    STATES = "^(RUNNING|STARTING|STOPPED|STOPPING|BACKOFF|EXITED|FATAL|UNKNOWN)$"
    count = split(text, line, NEWLINE)
    for (i = 1; i <= count; i++) {
        if (split(line[i], word, /[ ,]+/) < 2 || word[2] !~ STATES) continue
        cut = index(word[1], ":")
        own_name = substr(word[1], cut + 1)
        group_name = cut ? substr(word[1], 1, cut - 1) : own_name
        take(++programs, group_name, own_name, word[2], word[3] == "pid" ? word[4] : 0, "")
    }
}

function take(i, group_name, own_name, state_name, process, failure) {
    name[i] = group_name == own_name ? own_name : group_name ":" own_name
    alias[i] = group_name ":" own_name
    state[i] = state_name; pid[i] = process; error[i] = failure
}

function is_about_the_daemon(file,    socket) {
    socket = ENVIRON["SUPERVISOR_SOCKET"]
    return file ~ /^\/proc\// || socket != "" && index(socket, file) == 1
}

# Whether the socket is the one of that daemon: of the same user, or where only that user or root puts files.
function look_at_files(    socket, folder) {
    socket = folder = ENVIRON["SUPERVISOR_SOCKET"]
    sub(/\/[^\/]*$/, "", folder)
    user = owner["/proc/" daemon]
    is_own = user == "" ? "no" : "yes"
    if (socket == "" || owner[socket] == user) return
    if (owner[folder] != 0 && owner[folder] != user || mode[folder] ~ /[2367].?$/) is_own = "no"
}

function say_claim(i,    service, n) {
    service = claim_service[i]
    if (!(claim_unit[i] in number)) return
    n = number[claim_unit[i]]
    identity(service, "program " enc(name[n]) " " enc(state[n]))
    identity(service, "config " enc(config) " " changed[config])
    identity_pid(service, pid[n])
    if (user == 0) guard(service, config)
}
'
"""

ASKING = _SHELL.replace("@QUESTION@", _QUESTION)
