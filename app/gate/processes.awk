# Process records: what procfs says of each process that matters, and of all its ancestors. A process that has gone is
# not there.

BEGIN { MOST_PROCESSES = 400 }

function need(pid) {
    if (pid !~ /^[1-9][0-9]*$/ || pid in needed) return
    needed[pid] = 1
    queue[++queued] = pid
}

# The same, and what it has loaded is looked at too.
function need_main(pid) { need(pid); main_process[pid] = 1 }

# A line of the scan's: PID PARENT START NAME.
function take_known(line,    word) {
    split(line, word, " ")
    parent[word[1]] = word[2]; start[word[1]] = word[3]; name[word[1]] = word[4]
}

# In rounds: what the scan did not tell is read, then what that has above it. For a restart ancestors do not matter.
function read_processes(    files) {
    for (;;) {
        files = ""
        for (; taken < queued; taken++) {
            pid = queue[taken + 1]
            if (pid in parent) settle(pid)
            else if (!(pid in asked)) { asked[pid] = 1; files = files " " pid "/stat"; later[++laters] = pid }
        }
        if (files == "") return
        read_stats(files)
        for (; laters > 0; laters--) learn(later[laters])
    }
}

function learn(pid,    stat) {
    if (!read_stat(pid, stat)) return
    parent[pid] = stat[2]; start[pid] = stat[20]; name[pid] = enc(STAT_NAME)
    settle(pid)
}

function settle(pid) {
    if (presents >= MOST_PROCESSES) { too_many = 1; return }
    present[++presents] = pid
    if (is_probe) need(parent[pid])
}

# What stands in further files, by one shell: uid, whether it is a container's, control group, arguments, where links
# lead, whose the executables are and whether they still have a name, and, for a probe, which mapped code was
# replaced. Each line is told by its beginning, which no process can choose: GNU's `ls -b` escapes every hostile byte,
# busybox's prints '?' for them. It is called again for what came later.
function read_files(    pid, facts, arguments, links, executables, maps, command, line, tries, is_whole) {
    links_read = 0
    for (; filed < presents; ) {
        pid = present[++filed]
        facts = facts " " pid "/status " pid "/cgroup"
        arguments = arguments " " pid "/cmdline"
        links = links " " pid "/exe " pid "/cwd"
        executables = executables " " pid "/exe"
    }
    for (pid in main_process) if (pid in parent && !(pid in mapped)) { mapped[pid] = 1; maps = maps " " pid "/maps" }
    command = "exec 2>/dev/null; cd /proc"
    if (facts != "")
        command = command "; grep -E \"^(Uid|NSpid):|:name=systemd:|^0::\" /dev/null 1/cgroup" facts "; ls -ldnb" links
    if (is_probe && facts != "")
        command = command "; " GREP " \"\" /dev/null" arguments " | tr \"\\000\" \"\\001\"" \
            "; stat -L -c \"%n %u %h\"" executables
    if (is_probe && claimed && maps != "")
        command = command "; " GREP " -HE \"^[^ ]+ r.x.* /.*[(]deleted[)]$\"" maps
    if (command ~ /proc$/) return
    # A shell that could not start all of these tells less, and nothing that it did not tell is absent.
    command = command "; echo whole"
    for (tries = 1; tries <= 2 && !is_whole; tries++) {
        if (tries == 2) forget(arguments)
        while ((command | getline line) > 0) if (line == "whole") is_whole = 1; else take_line(line)
        close(command)
    }
    if (!is_whole) is_cut = 1
    if (links_read || links == "") return
    command = "cd /proc; exec ls -ldn" links " 2>/dev/null"
    while ((command | getline line) > 0) if (line ~ /^l/) read_link(line, 0)
    close(command)
}

function forget(files,    count, word, i) {
    count = split(files, word, " ")
    for (i = 1; i <= count; i++) delete argv[substr(word[i], 1, index(word[i], "/") - 1)]
}

function take_line(line,    cut, pid, file) {
    if (line ~ /^l/) { read_link(line, 1); return }
    if (line ~ /^[0-9]+\/exe /) { read_owner(line); return }
    if (!match(line, /^[0-9]+\/[a-z]+:/)) return
    cut = index(line, "/")
    pid = substr(line, 1, cut - 1)
    file = substr(line, cut + 1, RLENGTH - cut - 1)
    if (file == "cgroup") { take_cgroup(line); return }
    line = substr(line, RLENGTH + 1)
    if (file == "status") read_status(pid, line)
    else if (file == "cmdline") { if (pid in argv) line = argv[pid] NEWLINE line; argv[pid] = line }
    else if (file == "maps") read_map(pid, line)
}

function read_status(pid, line,    word, count) {
    count = split(line, word)
    if (word[1] == "Uid:") { uid[pid] = word[3]; wanted_uid[word[3]] = 1 }
    else if (count > 2) is_inner[pid] = 1
}

# Arguments stand apart by NUL, which not every awk can hold: it has become %01 on the way here.
function arguments_of(pid,    text) {
    text = argv[pid]
    sub(/\001$/, "", text)
    text = text == "" ? "" : enc(text)
    gsub(/%01/, "%00", text)
    return text
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

# Code that is still mapped although its file was replaced or removed. What programs make and unlink themselves is no
# sign.
function read_map(pid, line) {
    sub(/^[^\/]*/, "", line)
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
    command = "exec timeout 5 getent passwd" missing " 2>/dev/null"
    while ((command | getline line) > 0) { split(line, word, ":"); user_name[word[3]] = word[1] }
    close(command)
}

function user_of(id) { return id in user_name ? user_name[id] : id }

function say_processes(    i, pid) {
    for (i = 1; i <= presents; i++) {
        pid = present[i]
        if (!(pid in uid)) continue
        if (is_removed[pid]) deleted[pid] = exe[pid] (deleted[pid] == "" ? "" : "%00" deleted[pid])
        rec("process")
        put("pid", pid); put("ppid", parent[pid]); put("start", start[pid])
        put("started", sprintf("%.2f", ENVIRON["AF_BORN"] + start[pid] / ENVIRON["AF_TICKS"]))
        put("uid", uid[pid]); put("user", user_of(uid[pid]))
        put_escaped("comm", name[pid]); put("cgroup", cgroup_of(pid)); put_escaped("argv", arguments_of(pid))
        if (pid in exe) put_escaped("exe", exe[pid])
        if (pid in exe_uid) put("exe-uid", exe_uid[pid])
        if (pid in cwd) put_escaped("cwd", cwd[pid])
        if (deleted[pid] != "") put_escaped("deleted", deleted[pid])
        done()
    }
}

BEGIN {
    LS["n"] = "%0A"; LS["t"] = "%09"; LS["r"] = "%0D"; LS["a"] = "%07"
    LS["b"] = "%08"; LS["f"] = "%0C"; LS["v"] = "%0B"
    LS["\\"] = "\\"; LS[" "] = "%20"
}
