# Process records: what procfs says of each process that matters, and of all its ancestors. A process that has gone is not there.

BEGIN { MOST_PROCESSES = 400 }

function need(pid) {
    if (pid !~ /^[1-9][0-9]*$/ || pid in needed) return
    needed[pid] = 1
    queue[++queued] = pid
}

# The same, and what it has loaded is looked at too.
function need_main(pid) { need(pid); main_process[pid] = 1 }

function read_processes() {
    while (taken < queued && taken < MOST_PROCESSES) read_process(queue[++taken])
    if (taken == queued || is_full) return
    blind("processes", "there are more than " MOST_PROCESSES " that matter")
    is_full = 1
}

function read_process(pid,    stat) {
    if (!read_stat(pid, stat)) return
    parent[pid] = stat[2]; start[pid] = stat[20]; name[pid] = STAT_NAME
    read_status(pid)
    cgroup[pid] = read_cgroup(pid)
    present[++presents] = pid
    need(stat[2])
}

function read_status(pid,    file, line, word, count) {
    file = "/proc/" pid "/status"
    while ((getline line < file) > 0) {
        if (line ~ /^Uid:/) { split(line, word); uid[pid] = word[3] }
        else if (line ~ /^NSpid:/) { count = split(line, word); if (count > 2) inner[pid] = word[count]; break }
    }
    close(file)
    wanted_uid[uid[pid]] = 1
}

# Arguments stand apart by NUL. busybox awk ends a line there, so that each argument is a line of its own (and one that holds
# a newline looks like two); the others keep NUL inside the line.
function arguments(pid,    file, line, out, parts, size) {
    file = "/proc/" pid "/cmdline"
    while (size < CAP && (getline line < file) > 0) {
        out = out (parts++ ? (KEEPS_NUL ? "%0A" : "%00") : "") (line == "" ? "" : enc(line))
        size += length(line) + 1
    }
    close(file)
    sub(/%00$/, "", out)
    return out
}

# What only commands can tell, by one shell: where links lead, whose the executables are and whether they still have a name,
# and, for a probe, which mapped code was replaced. GNU's `ls -b` escapes every hostile byte; busybox's prints '?' for them.
# Each line is told by its beginning, which no process can choose.
function read_links(    i, links, executables, maps, line, command, pid) {
    if (!presents) return
    for (i = 1; i <= presents; i++) {
        pid = present[i]
        links = links " " pid "/exe " pid "/cwd"
        executables = executables " " pid "/exe"
        if (pid in main_process) maps = maps " " pid "/maps"
    }
    command = "exec 2>/dev/null; cd /proc; ls -ldnb" links
    if (is_probe) command = command "; stat -L -c \"%n %u %h\"" executables
    if (is_probe && claimed && maps != "") command = command "; exec grep -aHE \"^[^ ]+ r.x.* /.*[(]deleted[)]$\"" maps
    while ((command | getline line) > 0) {
        if (line ~ /^l/) read_link(line, 1)
        else if (line ~ /^[0-9]+\/exe /) read_owner(line)
        else if (line ~ /^[0-9]+\/maps:/) read_map(line)
    }
    close(command)
    if (links_read) return
    command = "cd /proc; exec ls -ldn" links " 2>/dev/null"
    while ((command | getline line) > 0) if (line ~ /^l/) read_link(line, 0)
    close(command)
}

function read_link(line, is_escaped,    path, target) {
    if (!match(line, / [0-9]+\/(exe|cwd) -> /)) return
    links_read++
    split(substr(line, RSTART + 1, RLENGTH - 5), path, "/")
    target = substr(line, RSTART + RLENGTH)
    target = is_escaped ? from_ls(target) : enc(target)
    if (path[2] == "cwd") { cwd[path[1]] = target; return }
    if (sub(/%20\(deleted\)$/, "", target)) is_removed[path[1]] = 1
    exe[path[1]] = target
}

function read_owner(line,    word) {
    split(line, word, /[ \/]/)
    exe_uid[word[1]] = word[3]
    if (word[4] == 0) is_removed[word[1]] = 1
}

# Code that is still mapped although its file was replaced or removed. What programs make and unlink themselves is no sign.
function read_map(line,    pid) {
    pid = substr(line, 1, index(line, "/") - 1)
    sub(/^[^:]*:[^\/]*/, "", line)
    sub(/ \(deleted\)$/, "", line)
    if (line ~ /^\/(memfd:|dev\/|tmp\/|var\/tmp\/|run\/|SYSV|anon_hugepage)/ || (pid, line) in said_deleted) return
    said_deleted[pid, line] = 1
    line = enc(line)
    if (line != exe[pid]) deleted[pid] = deleted[pid] (deleted[pid] == "" ? "" : "%00") line
}

# From the escapes of `ls -b` to ours.
function from_ls(text,    out, cut, next_byte) {
    while (cut = index(text, "\\")) {
        out = out plain(substr(text, 1, cut - 1))
        next_byte = substr(text, cut + 1, 1)
        if (next_byte ~ /[0-3]/) {
            out = out sprintf("%%%02X", next_byte * 64 + substr(text, cut + 2, 1) * 8 + substr(text, cut + 3, 1))
            text = substr(text, cut + 4)
            continue
        }
        cut = cut + 2
        out = out (next_byte in LS ? LS[next_byte] : ESCAPED[next_byte])
        text = substr(text, cut)
    }
    return out plain(text)
}

function plain(text) { return text == "" ? "" : enc(text) }

function read_users(    line, word, id, missing, command) {
    while ((getline line < "/etc/passwd") > 0) {
        split(line, word, ":")
        if (!(word[3] in user_name)) user_name[word[3]] = word[1]
        primary[word[4]] = primary[word[4]] == "" && word[3] != 0 ? word[1] : primary[word[4]]
    }
    close("/etc/passwd")
    for (id in wanted_uid) if (id ~ /^[0-9]+$/ && !(id in user_name)) missing = missing " " id
    if (missing == "") return
    command = "timeout 5 getent passwd" missing " 2>/dev/null"
    while ((command | getline line) > 0) { split(line, word, ":"); user_name[word[3]] = word[1] }
    close(command)
}

function user_of(id) { return id in user_name ? user_name[id] : id }

function say_processes(    i, pid) {
    for (i = 1; i <= presents; i++) {
        pid = present[i]
        if (is_removed[pid]) deleted[pid] = exe[pid] (deleted[pid] == "" ? "" : "%00" deleted[pid])
        rec("process")
        put("pid", pid); put("ppid", parent[pid]); put("start", start[pid])
        put("started", sprintf("%.2f", ENVIRON["AF_BORN"] + start[pid] / ENVIRON["AF_TICKS"]))
        put("uid", uid[pid]); put("user", user_of(uid[pid]))
        put("comm", name[pid]); put("cgroup", cgroup[pid]); put_escaped("argv", arguments(pid))
        if (pid in exe) put_escaped("exe", exe[pid])
        if (pid in exe_uid) put("exe-uid", exe_uid[pid])
        if (pid in cwd) put_escaped("cwd", cwd[pid])
        if (pid in inner) put("inner", inner[pid])
        if (deleted[pid] != "") put_escaped("deleted", deleted[pid])
        done()
    }
}

BEGIN {
    KEEPS_NUL = length(sprintf("a%cb", 0)) == 3
    LS["n"] = "%0A"; LS["t"] = "%09"; LS["r"] = "%0D"; LS["a"] = "%07"; LS["b"] = "%08"; LS["f"] = "%0C"; LS["v"] = "%0B"
    LS["\\"] = "\\"; LS[" "] = "%20"
}
