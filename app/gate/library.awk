# What every awk program of the gate uses besides escape.awk: records, claims, processes. A record is one line,
# `kind key=value…`; a value is an escaped word.

BEGIN {
    NEWLINE = "\n"
    GREP = "grep -a"
}

function rec(kind) { RECORD = kind }
function put(key, value) { RECORD = RECORD " " key "=" enc(value) }
# A value that is escaped already.
function put_escaped(key, value) { RECORD = RECORD " " key "=" (value == "" ? "-" : value) }
function done() { say(RECORD) }
function say(line) { print line; COUNT++ }

function blind(what, why, about) { rec("blind"); put("what", what); put("why", why); put("about", about); done() }
function identity(service, line) { rec("identity"); put("service", service); put("line", line); done() }
function identity_pid(service, pid) {
    if (pid !~ /^[1-9][0-9]*$/) return
    rec("identity"); put("service", service); put("pid", pid); done()
}
function guard(service, path) { if (path ~ /^\//) { rec("guard"); put("service", service); put("path", path); done() } }

function claims(    lines, words, count, i) {
    count = split(ENVIRON["AF_CLAIMS"], lines, NEWLINE)
    for (i = 1; i <= count; i++) {
        split(lines[i], words, " ")
        claim_service[i] = words[1]; claim_unit[i] = words[2]; claim_user[i] = words[3]
        claim_path[i] = words[4]; claim_config[i] = words[5]; claim_ports[i] = words[6]
    }
    return count
}

function first_line(file,    line) {
    if ((getline line < file) <= 0) line = ""
    close(file)
    return line
}

# Files of processes are read by grep, many at once, and never by getline: mawk ends altogether where a process goes
# away between open and read. grep puts the file's name before each line, so that no text can pass for another
# process's. busybox's grep knows no -a, and needs none; grep's own files are always there, so that one which reads
# nothing at all is busybox's, and not GNU's of processes that have gone.
function read_stats(files,    tries, command, line, seen) {
    if (files == "") files = " [0-9]*/stat"
    for (tries = 1; tries <= 2 && !seen; tries++) {
        if (tries == 2) GREP = "grep"
        command = "cd /proc; exec " GREP " \"\" /dev/null self/stat" files " 2>/dev/null"
        while ((command | getline line) > 0) { seen++; if (line !~ /^self/) take_stat(line) }
        close(command)
    }
}

# The command lines of these processes, in ARGUMENTS by pid. Arguments stand apart by NUL, which not every awk can hold:
# it becomes %01 on the way.
function read_arguments(files,    tries, command, line, seen, pid) {
    for (tries = 1; tries <= 2 && !seen; tries++) {
        if (tries == 2) GREP = "grep"
        command = "exec 2>/dev/null; cd /proc; " GREP " \"\" /dev/null self/cmdline" files " | tr \"\\000\" \"\\001\""
        while ((command | getline line) > 0) {
            seen++
            if (!match(line, /^[0-9]+\/cmdline:/)) continue
            pid = substr(line, 1, index(line, "/") - 1)
            line = substr(line, RLENGTH + 1)
            if (pid in ARGUMENTS) line = ARGUMENTS[pid] NEWLINE line
            ARGUMENTS[pid] = line
        }
        close(command)
    }
}

function take_stat(line,    cut, pid) {
    cut = index(line, "/")
    pid = substr(line, 1, cut - 1)
    line = substr(line, cut + 6)
    if (pid in STAT) line = STAT[pid] NEWLINE line
    STAT[pid] = line
    stats++
}

# Fields of /proc/PID/stat from the state on (1 state, 2 parent, 20 start), and the name. A name may hold newlines and
# ") ", which the kernel does not escape there: so the whole text is taken, and cut at its last ") ".
function read_stat(pid, fields) {
    if (!stats) read_stats("")
    if (!(pid in STAT) || !match(STAT[pid], /.*\) /)) return 0
    STAT_NAME = substr(STAT[pid], index(STAT[pid], "(") + 1, RLENGTH - index(STAT[pid], "(") - 2)
    return split(substr(STAT[pid], RLENGTH + 1), fields, " ") >= 20
}

# Takes a line `PID/cgroup:…`. v1's systemd hierarchy tells the manager, or the unified one where that says nothing.
function take_cgroup(line,    pid) {
    pid = substr(line, 1, index(line, "/") - 1)
    sub(/^[^:]*:/, "", line)
    if (line ~ /^[0-9]+:name=systemd:/) { sub(/^[^:]*:[^:]*:/, "", line); if (length(line) > 1) CGROUP[pid] = line }
    else if (line ~ /^0::/ && !(pid in CGROUP)) CGROUP[pid] = substr(line, 4)
}

# As seen from the first process: a host that is a container itself may see its own place among others before every
# path.
function cgroup_of(pid,    root, path) {
    root = CGROUP[1]
    sub(/\/init\.scope$/, "", root)
    path = CGROUP[pid]
    if (length(root) < 2 || index(path "/", root "/") != 1) return path
    return path == root ? "/" : substr(path, length(root) + 1)
}

function quoted(text) { gsub(/\047/, "\047\\\047\047", text); return "\047" text "\047" }
