"""What the gate asks a systemd, for the two managers whose units one keeps: the system's, and those of the users.

One ``systemctl show`` tells everything about many units. A fragment says which systemd is meant, by these variables:
``SYSTEMD_KIND`` (whose records they are), ``SYSTEMD_OF`` (the user, empty for the system's), ``SYSTEMD_PID`` (its
process, which may hold ports for its units), ``SYSTEMD_BASE`` (what stands before its units in a control group),
``SYSTEMD_CONTROL`` (the words of systemctl) and ``SYSTEMD_NAMES`` (a command that prints all names of units).
"""

ASKING = r"""
SYSTEMD_AWK='
BEGIN {
    KIND = ENVIRON["SYSTEMD_KIND"]; OF = ENVIRON["SYSTEMD_OF"]
    NAMES = "Id id Names names LoadState load ActiveState active SubState sub Result result Type type " \
        "MainPID pid ControlGroup cgroup InvocationID invocation NRestarts restarts User user " \
        "WorkingDirectory dir FragmentPath fragment " \
        "DropInPaths dropins UnitFileState enabled NeedDaemonReload reload CanReload can-reload " \
        "RefuseManualStart refuse-start " \
        "RefuseManualStop refuse-stop TriggeredBy triggered-by Triggers triggers Listen listen " \
        "EnvironmentFiles environment ExecStartPre run ExecStart run ExecStartPost run ExecStop run " \
        "ExecStopPost run"
    count = split(NAMES, word, " ")
    for (i = 1; i < count; i += 2) {
        field[word[i]] = word[i + 1]
        properties = properties (i > 1 ? "," : "") word[i]
    }
    KINDS = "[.](service|socket|device|mount|automount|swap|target|path|timer|slice|scope)$"
    claimed = claims()
    for (i = 1; i <= claimed; i++) if (is_asked_here(i)) ask(claim_unit[i])
    if (ENVIRON["AF_VERB"] == "probe") {
        count = split(ENVIRON["AF_CGROUPS"], path, NEWLINE)
        for (i = 1; i <= count; i++) ask(unit_of(path[i]))
        if (holds_for_others()) asked = asked " \"*.socket\""
    }
    show()
    read_times()
    for (i = 1; i <= units; i++) say_unit(i)
    for (i = 1; i <= claimed; i++) if (is_asked_here(i)) say_claim(i)
    if (unknown && ENVIRON["AF_VERB"] == "probe") say_names()
}

# The systemd of a user knows of the units of that user.
function is_asked_here(i) { return OF == "" || claim_user[i] == OF }

# Whether systemd itself holds one of the ports in question, for a service that it starts when somebody connects.
function holds_for_others(    count, line, word, i) {
    count = split(ENVIRON["AF_HOLDERS"], line, NEWLINE)
    for (i = 1; i <= count; i++) {
        split(line[i], word, " ")
        if (word[2] == ENVIRON["SYSTEMD_PID"] && is_in_question(word[1])) return 1
    }
    return 0
}

function is_in_question(port,    count, claim, word, i) {
    if (ENVIRON["AF_WHOLE"]) return 1
    count = split(ENVIRON["AF_ALL_CLAIMS"], claim, NEWLINE)
    for (i = 1; i <= count; i++) { split(claim[i], word, " "); if (index("," word[7] ",", "," port ",")) return 1 }
    return !count
}

function ask(name) {
    if (name == "" || name ~ /%/ || name in is_asked) return
    is_asked[name] = 1
    asked = asked " " quoted(name)
}

# The unit of a control group: its first part that is no slice, below the place of this systemd. What is under user@ is
# another systemd.
function unit_of(path,    part, parts, i, base) {
    base = ENVIRON["SYSTEMD_BASE"]
    if (base != "" && !index(path, base "/")) return ""
    path = substr(path, base == "" ? 1 : index(path, base "/") + length(base))
    parts = split(path, part, "/")
    for (i = 2; i < parts && part[i] ~ /\.slice$/; i++) ;
    return part[i] ~ /\.service$/ && part[i] !~ /^user@/ ? part[i] : ""
}

function show(    command, line, cut, key, text) {
    if (asked == "") return
    command = "exec timeout 5 " ENVIRON["SYSTEMD_CONTROL"] " --no-pager --no-ask-password show -p " properties " --" \
        asked " 2>&1"
    units = 1
    while ((command | getline line) > 0) {
        if (line == "") { if (has[units]) units++; continue }
        cut = index(line, "=")
        key = substr(line, 1, cut - 1)
        if (!(key in field)) { if (!cut || line !~ /^[A-Z][A-Za-z]*=/) complaint = line; continue }
        key = field[key]
        has[units] = 1
        text = substr(line, cut + 1)
        unit[units, key] = unit[units, key] (unit[units, key] == "" ? "" : NEWLINE) text
    }
    # Where it breaks off, what it has said by then is half a view, and no view.
    if (close(command) != 0) { units = 0; if (complaint == "") complaint = "it did not answer within 5 seconds" }
    else if (!has[units]) units--
    for (i = 1; i <= units; i++) {
        cut = split(unit[i, "names"], word, " ")
        for (key = 1; key <= cut; key++) number[word[key]] = i
        number[unit[i, "id"]] = i
    }
    if (complaint != "" && !units) blind(OF == "" ? "systemctl" : "systemctl of " OF, complaint, KIND)
}

# When the files of the claimed units last changed: an edited unit is not the one that was proved. What their
# processes were given as environment is no part of the proof; it is a sign of need.
function read_times(    i, n, count, list, line, command, path, cut) {
    for (i = 1; i <= claimed; i++) {
        if (!is_asked_here(i) || !(n = unit_number(claim_unit[i]))) continue
        count = split(unit[n, "fragment"] " " unit[n, "dropins"] " " unit[n, "environment"], path, /[ \n]+/)
        for (; count > 0; count--) if (path[count] ~ /^\//) list = list " " quoted(path[count])
    }
    if (list == "") return
    command = "exec stat -L -c \"%Y %n\"" list " 2>/dev/null"
    while ((command | getline line) > 0) {
        cut = index(line, " ")
        changed[substr(line, cut + 1)] = substr(line, 1, cut - 1)
    }
    close(command)
}

function unit_number(name,    full) {
    full = name
    if (name !~ KINDS) full = name ".service"
    return number[full]
}

function say_unit(n,    i, count, word) {
    if (unit[n, "id"] in said) return
    said[unit[n, "id"]] = 1
    rec(KIND ".unit")
    if (OF != "") put("of", OF)
    count = split(NAMES, word, " ")
    for (i = 2; i <= count; i += 2)
        if (word[i] !~ /^(environment|run)$/ && unit[n, word[i]] != "") put(word[i], unit[n, word[i]])
    done()
}

function say_claim(i,    n, count, path, service, newest, newest_set) {
    service = claim_service[i]
    n = unit_number(claim_unit[i])
    if (!n) return
    if (unit[n, "load"] == "not-found") { unknown = 1; return }
    identity(service, "unit " enc(unit[n, "id"]) " " unit[n, "active"] "/" unit[n, "sub"])
    if (unit[n, "invocation"] != "") identity(service, "invocation " unit[n, "invocation"])
    identity_pid(service, unit[n, "pid"])
    count = split(unit[n, "fragment"] " " unit[n, "dropins"], path, " ")
    for (; count > 0; count--) {
        if (!(path[count] in changed)) continue
        identity(service, "fragment " enc(path[count]) " " changed[path[count]])
        if (OF == "" || OF == "root") guard(service, path[count])
        if (changed[path[count]] > changed[newest]) newest = path[count]
    }
    if (ENVIRON["AF_VERB"] != "probe") return
    count = split(unit[n, "environment"], path, /[ \n]+/)
    for (; count > 0; count--)
        if (path[count] in changed && changed[path[count]] > changed[newest_set]) newest_set = path[count]
    rec(KIND ".claim"); put("service", service); put("id", unit[n, "id"])
    put("file", newest); put("files-at", changed[newest])
    put("environment", newest_set); put("environment-at", changed[newest_set])
    done()
    if (OF != "" && OF != "root" || unit[n, "user"] != "" && unit[n, "user"] != "root") return
    # Root runs it: so what it runs and reads has to be safe from others. `{ path=/x ; argv[]=/x /etc/x.conf ; … }`
    count = split(unit[n, "environment"] NEWLINE unit[n, "run"], path, /[ \n]/)
    for (; count > 0; count--) { sub(/^(path|argv\[\])=/, "", path[count]); guard(service, path[count]) }
}

# Only where a claimed name is unknown: what names there are, so that a person can be asked which was meant.
function say_names(    command, line, word, names, seen) {
    command = ENVIRON["SYSTEMD_NAMES"]
    while ((command | getline line) > 0 && length(names) < 60000) {
        split(line, word, " ")
        if (word[1] !~ /^[!-~]+\.service$/ || word[1] in seen) continue
        seen[word[1]] = 1
        names = names (names == "" ? "" : "%20") enc(word[1])
    }
    close(command)
    rec(KIND ".names"); if (OF != "") put("of", OF); put_escaped("list", names); done()
}
'
"""
