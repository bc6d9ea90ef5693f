# The first look: the host, its listening TCP sockets, who holds them, which processes tell of a manager. Input: what
# af_processes and af_sockets print. Output: lines that begin with '~' are for the frame and its last step, the others are records.

BEGIN {
    MOST = 2000             # listening sockets; more are said to be unseen
    is_probe = ENVIRON["AF_VERB"] == "probe"
    read_watches()
    read_claims()
    # While this reads the sockets, whose tables are long, the other programs are at work.
    if (is_probe && (getline line) > 0) {
        say_host(line)
        listeners("/proc/net/tcp")
        listeners("/proc/net/tcp6")
    }
}

/^[0-9]+\/stat:/ { take_stat($0); next }
/^[0-9]+\/cgroup:/ { take_cgroup($0); next }
/^[0-9]+\/fd\// { open_file($0) }

END {
    if (!stats) read_stats("")
    if (sockets && !opened) by_ls()
    if (is_probe) { say_unheld(); under_paths() }
    for (pid in STAT) look_at(pid)
    if (is_probe && ENVIRON["AF_WHOLE"]) say_tops()
    for (pid in matters) relate(pid, relevant)
    for (pid in holding) relate(pid, told)
    for (pid in relevant) told[pid] = 1
    for (pid in told) say_stat(pid)
    for (pid in watched) if (!claims_all || pid in relevant) say_watched(pid)
    if (is_probe) say_cgroups()
}

# MANAGER NAME, a line each.
function read_watches(    i, cut) {
    watches = split(ENVIRON["AF_WATCH"], watch, NEWLINE)
    for (i = 1; i <= watches; i++) {
        cut = index(watch[i], " ")
        caller[i] = substr(watch[i], 1, cut - 1)
        watch[i] = substr(watch[i], cut + 1)
        if (watch[i] == "") watches = i - 1
    }
}

function read_claims(    claim, word, part, i, j) {
    claims_all = is_probe && !ENVIRON["AF_WHOLE"] ? split(ENVIRON["AF_ALL_CLAIMS"], claim, NEWLINE) : 0
    for (i = 1; i <= claims_all; i++) {
        split(claim[i], word, " ")
        if (word[7] == "-" && word[5] != "-") path_claimed[++paths] = word[5]
        for (j = split(word[7], part, ","); j > 0; j--) port_claimed[part[j]] = 1
    }
}

# What was started by something that starts services, listening or not: the children of the first process, and of those
# that tell of a manager. The kernel's own threads are children of another.
function say_tops(    pid) {
    for (pid in parent) if (parent[pid] == 1 || parent[pid] in watched) { matters[pid] = 1; print "~look " pid }
}

# Adds a process and its ancestors to a set.
function relate(pid, set) {
    for (; pid in parent && !(pid in set); pid = parent[pid]) set[pid] = 1
}

# So that the last step need not look again.
function say_stat(pid,    stat) {
    if (read_stat(pid, stat)) print "~stat " pid " " stat[2] " " stat[20] " " enc(STAT_NAME)
}

function look_at(pid,    stat, i) {
    if (!read_stat(pid, stat)) return
    parent[pid] = stat[2]
    for (i = 1; i <= watches; i++) if (fits(STAT_NAME, watch[i])) watched[pid] = watched[pid] " " caller[i]
    if (pid in watched) comm[pid] = STAT_NAME
}

# Which managers this process tells of. Where nothing is claimed, all processes of the host can tell of one.
function say_watched(pid,    count, manager, i) {
    print "~comm " pid " " enc(comm[pid])
    count = split(watched[pid], manager, " ")
    for (i = 1; i <= count; i++) if (!(manager[i] in called)) { called[manager[i]] = 1; print "~call " manager[i] }
}

function say_cgroups(    pid, group, said) {
    for (pid in relevant) {
        group = cgroup_of(pid)
        if (group == "" || group in said) continue
        said[group] = 1
        print "~cgroup " enc(group)
    }
}

function fits(name, pattern,    stem) {
    if (pattern !~ /\*$/) return name == pattern
    stem = substr(pattern, 1, length(pattern) - 1)
    return substr(name, 1, length(stem)) == stem
}

# `now` and the time since boot are read one right after the other: their difference turns clock ticks into epoch
# seconds.
function say_host(now,    up, stat, ticks) {
    split(first_line("/proc/uptime"), up, " ")
    if (now !~ /^[0-9]+\.[0-9]+$/) sub(/[^0-9].*/, "", now)
    # Ticks in a second: 100 but on the oldest of machines, as this young process's own start tells.
    split(first_line("/proc/self/stat"), stat, " ")
    ticks = up[1] > 0 ? stat[22] / up[1] : 100
    ticks = ticks > 1000 && ticks < 1050 ? 1024 : 100
    printf "~born %.3f\n~ticks %d\n", now - up[1], ticks
    rec("host")
    put("name", first_line("/proc/sys/kernel/hostname"))
    put("now", sprintf("%.3f", now))
    put("uid", ENVIRON["AF_UID"]); put("user", ENVIRON["AF_NAME"])
    done()
}

function listeners(file,    line, word, inode, port) {
    while ((getline line < file) > 0) {
        if (line !~ / 0A /) continue
        split(line, word, " ")
        if (word[4] != "0A") continue
        inode = word[10]
        if (++sockets > MOST) { if (sockets == MOST + 1) blind("listeners", "there are more than " MOST); continue }
        port = number(substr(word[2], index(word[2], ":") + 1))
        port_of[inode] = port
        rec("listen")
        put("port", port); put("addr", address(substr(word[2], 1, index(word[2], ":") - 1)))
        put("uid", word[8]); put("inode", inode)
        done()
    }
    close(file)
}

function number(hex,    i, value) {
    for (i = 1; i <= length(hex); i++) value = value * 16 + index("0123456789ABCDEF", substr(hex, i, 1)) - 1
    return value
}

# Addresses stand there as 32-bit words in the host's byte order; every Linux host we know of that has systemd and
# Docker in use is little-endian but s390x, which shows its addresses reversed and nothing else.
function address(hex,    i, word, out) {
    if (length(hex) == 8) return dotted(hex)
    if (hex ~ /^0+$/) return "::"
    if (hex ~ /^0+01000000$/) return "::1"
    if (substr(hex, 1, 24) == "0000000000000000FFFF0000") return "::ffff:" dotted(substr(hex, 25))
    for (i = 1; i <= 32; i += 8) {
        word = substr(hex, i + 6, 2) substr(hex, i + 4, 2) ":" substr(hex, i + 2, 2) substr(hex, i, 2)
        out = out (out == "" ? "" : ":") tolower(word)
    }
    return out
}

function dotted(hex) {
    return number(substr(hex, 7, 2)) "." number(substr(hex, 5, 2)) "." number(substr(hex, 3, 2)) "." \
        number(substr(hex, 1, 2))
}

function open_file(line,    part, inode) {
    opened++
    if (!match(line, /\[[0-9]+\]$/)) return
    inode = substr(line, RSTART + 1, RLENGTH - 2)
    if (inode in port_of) { split(line, part, "/"); hold(part[1], inode) }
}

function by_ls(    command, line, pid) {
    command = "cd /proc && exec ls -ln [0-9]*/fd 2>/dev/null"
    while ((command | getline line) > 0) {
        if (line ~ /^[0-9]+\/fd:$/) pid = substr(line, 1, index(line, "/") - 1)
        else if (match(line, / -> socket:\[[0-9]+\]$/)) open_file(pid "/ " substr(line, RSTART))
    }
    close(command)
}

function say_unheld(    inode, missing) {
    for (inode in port_of) if (!(inode in held)) missing = missing (missing == "" ? "" : " ") port_of[inode]
    if (missing != "")
        blind("who holds ports " missing, ENVIRON["AF_UID"] == 0 ? \
              "no process has the socket open" : "only root can see the open files of others", "ports")
}

function hold(pid, inode) {
    if ((pid, inode) in holds) return
    holds[pid, inode] = held[inode] = 1
    holding[pid] = 1
    rec("holder"); put("inode", inode); put("pid", pid); done()
    print "~holder " port_of[inode] " " pid
    if (!claims_all || port_of[inode] in port_claimed) { matters[pid] = 1; print "~seed " pid }
}

# Processes that stand in a claimed path, for claims that name no port.
function under_paths(    i, command, line, cut, target, pid) {
    if (!paths || !claims_all) return
    command = "cd /proc && exec ls -ldn [0-9]*/cwd 2>/dev/null"
    while ((command | getline line) > 0) {
        if (!match(line, /[0-9]+\/cwd -> \//)) continue
        cut = index(line, "/cwd -> ")
        target = substr(line, cut + 8) "/"
        pid = substr(line, RSTART, cut - RSTART)
        for (i = 1; i <= paths; i++)
            if (index(target, path_claimed[i] "/") == 1) { matters[pid] = 1; print "~seed " pid }
    }
    close(command)
}
