"""What the gate asks about supervisors of service directories, for the two managers that have one for each directory.

``directories_of KIND PROGRAM`` tells of every such supervisor that matters: its directory as the kernel knows it, whose
that is, what it says of its service, and which claims mean it. A fragment gives the function ``KIND_state USER
DIRECTORY``, which prints ``PID STATE`` as USER may read it; ``runit`` has a second service in ``log`` under one
supervisor. A claim means a directory by its path, whatever links lead there, or one of root's services by its name.
"""

ASKING = r"""
directories_of() {
    export DIRECTORIES_KIND=$1 DIRECTORIES_PROGRAM=$2
    awk "$AF_AWK$DIRECTORIES_PLAN_AWK" | while read -r word pid place user trust dir rest; do
        state='- -'
        [ "$word:$trust" != service:- ] || state=$("$1_state" "$user" "$dir" </dev/null)
        printf '%s\n' "$word $pid $place $user $trust $dir $rest ${state:-- -}"
    done | awk "$AF_AWK$DIRECTORIES_SAY_AWK"
}

# Which supervisors there are, which of them matter, and what stands in their directories. A line for each service, and
# for each claim: `service PID PLACE USER TRUST DIRECTORY NAME RUN`, `claim SERVICE PID/PLACE…`.
DIRECTORIES_PLAN_AWK='
BEGIN {
    program = ENVIRON["DIRECTORIES_PROGRAM"]
    is_probe = ENVIRON["AF_VERB"] == "probe"
    count = split(ENVIRON["AF_COMMS"], line, NEWLINE)
    for (i = 1; i <= count; i++) {
        split(line[i], word, " ")
        if (word[2] == program) { meet(word[1]); if (is_probe) wanted[word[1]] = 1 }
    }
    claimed = claims()
    if (claimed && is_probe) meet_everyone()
    if (mets) look()
    for (i = 1; i <= claimed; i++) match_claim(i)
    find_places()
    for (i = 1; i <= mets; i++) if (met[i] in dir) { say_service(met[i], "."); say_service(met[i], "log") }
    for (i = 1; i <= claimed; i++) print claim_line[i]
    for (i = 1; i <= mets; i++) if (uid[met[i]] == 0 && given[met[i]] !~ /^\/?$/) say_name(given[met[i]])
}

function say_name(name) { if (!(name in said)) { said[name] = 1; print "name " enc(name) } }

function meet(pid) { if (!(pid in is_met) && mets < 200) { is_met[pid] = 1; met[++mets] = pid } }

# The scan told of those above what matters; a service that is down stands above nothing.
function meet_everyone(    command, line) {
    command = "cd /proc; exec grep -lx " program " [0-9]*/comm 2>/dev/null"
    while ((command | getline line) > 0) meet(substr(line, 1, index(line, "/") - 1))
    close(command)
}

function look(    i, files, lines, command, line) {
    for (i = 1; i <= mets; i++) {
        files = files " " met[i] " " met[i] "/cwd" (ENVIRON["DIRECTORIES_KIND"] == "runit" ? " " met[i] "/cwd/log" : "")
        lines = lines " " met[i] "/cmdline"
    }
    for (i = 1; i <= claimed; i++) if (unit_of(i) ~ /^\//) files = files " " quoted(unit_of(i))
    command = "exec 2>/dev/null; cd /proc; stat -L -c \"%n %u %U %d:%i\"" files
    while ((command | getline line) > 0) {
        split(line, word, " ")
        key[word[1]] = word[4]
        if (word[1] in is_met) { uid[word[1]] = word[2]; user[word[1]] = word[3] }
    }
    close(command)
    read_arguments(lines)
    for (i = 1; i <= mets; i++) {
        if (split(ARGUMENTS[met[i]], word, "\001") < 2) continue
        sub(/\/+$/, "", word[2])
        given[met[i]] = word[2]
    }
}

# The unit that a claim names; before a run, the directory that its command will name.
function unit_of(i,    word) {
    return is_probe ? claim_unit[i] : word[split(ENVIRON["AF_ARGV"], word, " ")]
}

function match_claim(i,    unit, j, pid, found, unseen) {
    unit = unit_of(i)
    for (j = 1; j <= mets; j++) {
        pid = met[j]
        if (!((pid "/cwd") in key)) { unseen = 1; continue }
        if (is_meant(unit, pid, key[pid "/cwd"], given[pid])) { found = found " " pid "/."; wanted[pid] = 1 }
        if (!is_meant(unit, pid, key[pid "/cwd/log"], given[pid] "/log")) continue
        found = found " " pid "/log"
        wanted[pid] = 1
    }
    if (found == "" && unseen)
        claim_line[i] = "blind " claim_service[i]
    else
        claim_line[i] = "claim " claim_service[i] found
}

function is_meant(unit, pid, where, called) {
    return where != "" && (unit ~ /^\// ? key[unit] == where : unit == called && uid[pid] == 0)
}

# The directories by name, as far as a name is plain, and how they and what is in them stand.
function find_places(    i, pids, command, line, word, files) {
    for (i = 1; i <= mets; i++) if (met[i] in wanted) pids = pids " " met[i]
    if (pids == "") return
    command = "cd /proc; for p in" pids "; do d=$(cd $p/cwd && pwd -P);" \
        " case $d in *[!A-Za-z0-9@._:/+=,-]* | \"\") ;; /*) echo \"$p $d\" ;; esac; done 2>/dev/null"
    while ((command | getline line) > 0) {
        split(line, word, " ")
        dir[word[1]] = word[2]
        files = files files_in(word[2]) files_in(word[2] "/log")
    }
    close(command)
    if (files == "") return
    command = "exec stat -L -c \"%n %u %U %a %d:%i %Y %s\"" files " 2>/dev/null"
    while ((command | getline line) > 0) {
        split(line, word, " ")
        owner[word[1]] = word[2]; owner_name[word[1]] = word[3]; mode[word[1]] = word[4]; place[word[1]] = word[5]
        content[word[1]] = word[6] "." word[7]
    }
    close(command)
}

function files_in(folder) { return " " folder " " folder "/supervise " folder "/run" }

# What the kernel says of where the supervisor stands and what that name leads to must be one thing: a supervisor may
# stand in another root.
function say_service(pid, what,    folder, called) {
    folder = what == "." ? dir[pid] : dir[pid] "/log"
    if (place[folder] == "" || place[folder] != key[pid "/cwd" (what == "." ? "" : "/log")]) return
    if (place[folder "/supervise"] == "" && what == "log") return
    called = uid[pid] == 0 && given[pid] !~ /^\// && given[pid] != "" ? given[pid] (what == "." ? "" : "/log") : folder
    print "service " pid " " what " " user[pid] " " enc(distrust(pid, folder)) " " folder " " enc(called) " " \
        (content[folder "/run"] == "" ? "-" : content[folder "/run"]) " " uid[pid]
}

# Who but root and the supervisor can write where it keeps its list.
function distrust(pid, folder,    i, each) {
    for (i = 1; i <= 2; i++) {
        each = i == 1 ? folder : folder "/supervise"
        if (owner[each] != 0 && owner[each] != uid[pid]) return each " belongs to " owner_name[each]
        if (mode[each] ~ /[2367].?$/) return "others can write " each
    }
    return ""
}
'

DIRECTORIES_SAY_AWK='
BEGIN { kind = ENVIRON["DIRECTORIES_KIND"] }

$1 == "service" && NF >= 11 {
    i = ++services
    id[i] = $2 "/" $3; above[i] = $2; trust[i] = $5; dir[i] = $6; called[i] = $7; content[i] = $8; is_roots[i] = $9 == 0
    listed[i] = $10 ~ /^[1-9][0-9]*$/ ? $10 : ""
    state[i] = $11
    for (j = 12; j <= NF && j < 20; j++) state[i] = state[i] " " $j
    of[id[i]] = i
}
$1 == "claim" || $1 == "blind" {
    line[++lines] = $1 " " $2
    for (j = 3; j <= NF && $j ~ /^[0-9]+\//; j++) line[lines] = line[lines] " " $j
}
$1 == "name" { names = names (names == "" ? "" : "%20") $2 }

END {
    find_mains()
    for (i = 1; i <= services; i++) {
        rec(kind ".service")
        put("supervisor", above[i]); put_escaped("name", called[i]); put("dir", dir[i]); put("listed", listed[i])
        put("state", state[i] == "-" ? "" : state[i]); put_escaped("distrust", trust[i])
        put("pid", main[i] == "" ? above[i] : main[i]); put("is-up", main[i] == "" ? "no" : "yes")
        done()
    }
    for (j = 1; j <= lines; j++) say_claim(split(line[j], word, " "))
    if (missed && names != "") { rec(kind ".names"); put_escaped("list", names); done() }
}

function say_claim(count,    k, i) {
    if (word[1] == "blind") {
        blind(kind " services", ENVIRON["AF_NAME"] " may not see in which directories they run", word[2])
        return
    }
    rec(kind ".claim"); put("service", word[2])
    found = ""
    for (k = 3; k <= count; k++) if (word[k] in of) found = found (found == "" ? "" : " ") dir[of[word[k]]]
    put("dirs", found)
    done()
    if (found == "") missed = 1
    for (k = 3; k <= count; k++) if (word[k] in of) identify(word[2], of[word[k]])
}

function identify(service, i,    stat) {
    identity(service, "directory " enc(dir[i]))
    identity(service, "run " content[i])
    if (read_stat(above[i], stat)) identity(service, "supervisor " above[i] " " stat[20])
    if (main[i] != "") identity_pid(service, main[i])
    if (!is_roots[i]) return
    guard(service, dir[i] "/run"); guard(service, dir[i] "/finish"); guard(service, dir[i] "/control")
    guard(service, dir[i] "/supervise")
}

# The main process of a service. What only waits for what it runs as another user stands for that: its one child.
function find_mains(    i, files, pid, command, text, cut, waits, stat, children, child) {
    for (i = 1; i <= services; i++) {
        if (listed[i] != "" && state[i] ~ /^run/) { main[i] = listed[i]; files = files " " listed[i] "/comm" }
        stands = stands " " above[i] "/stat"
    }
    if (files != "") {
        command = "cd /proc; exec grep \"\" /dev/null" files " 2>/dev/null"
        while ((command | getline text) > 0)
            if (text ~ /^[0-9]+\/comm:(su|sudo|runuser|doas)$/) waits[substr(text, 1, index(text, "/") - 1)] = 1
        close(command)
    }
    for (pid in waits) some = 1
    if (stands != "") read_stats(some ? "" : stands)
    if (!some) return
    for (pid in STAT) if (read_stat(pid, stat) && stat[2] in waits) { children[stat[2]]++; child[stat[2]] = pid }
    for (i = 1; i <= services; i++) if (children[main[i]] == 1) main[i] = child[main[i]]
}
'
"""
