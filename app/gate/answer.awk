# The last step of a probe: reads the records of the scan and of the fragments, adds process records for every pid that
# they name, turns what fragments said of claims into identity lines and writable paths, and counts. For a restart
# (AF_VERB) it prints the identity lines of the one claim, as they are, and nothing else.

{
    if (/^~fragments$/) { in_fragments = 1; read_known(); next }
    if (/^~stat /) { take_known(substr($0, 7)); next }
    if (/^~seed /) { need_main(substr($0, 7)); next }
    if (/^~look /) { need(substr($0, 7)); next }
    if (!/^[a-z][a-z0-9-]*([.][a-z][a-z0-9-]*)?( [a-z][a-z0-9-]*=[!-~]+)+$/) { malformed++; next }
    if ($1 == "identity") { identity_record(); next }
    if ($1 == "guard") { guard_path(value("service"), value("path")); next }
    if (in_fragments && $1 !~ /[.]/ && $1 != "blind" && $1 != "code") { malformed++; next }
    if (!is_probe) next
    say($0)
    pid = value("pid")
    if ($1 == "holder") holds[pid] = 1
    else if (pid != "") need(pid)
}

function value(key,    i) {
    for (i = 2; i <= NF; i++) if (index($i, key "=") == 1) return substr($i, length(key) + 2)
    return ""
}

function identity_record(    service, pid) {
    service = value("service"); pid = value("pid")
    if (pid != "") {
        if (index(mains[service] " ", " " pid " ")) return
        mains[service] = mains[service] " " pid
        is_main[pid] = 1
        need_main(pid)
        return
    }
    if (value("line") != "") { marks[service] = marks[service] " " value("line"); return }
    malformed++
}

# While the fragments are at work: what is known to matter by now. The rest is read in the end.
function read_known() { read_processes(); read_files() }

# Holders of other ports matter where they descend from a main process: a service may hold more than was claimed.
function need_descendants(    pid, step) {
    for (pid in holds) {
        if (pid in needed) continue
        for (step = pid; step in parent && !(step in is_main); ) step = parent[step]
        if (step in is_main) need(pid)
    }
}

END {
    read_processes()
    if (is_probe) { need_descendants(); read_processes() }
    read_files()
    read_users()
    if (!is_probe) { say_identity(words[1]); exit }
    say_processes()
    for (i = 1; i <= claimed; i++) {
        split(claim[i], words, " ")
        say_identity(words[1])
    }
    say_writable()
    if (is_cut) blind("processes", "what stands of them in /proc could not be read to its end")
    if (too_many) blind("processes", "there are more than " MOST_PROCESSES " that matter")
    if (malformed) blind("gate", malformed " lines of a fragment were no records")
    print "end nonce=" ENVIRON["AF_NONCE"] " count=" COUNT + ENVIRON["AF_COUNT"]
}

# boot, then the processes by pid, then the manager's own marks in byte order.
function say_identity(service,    lines, count, pids, i) {
    if (mains[service] == "" && marks[service] == "") return
    say_line(service, "boot%20" first_line("/proc/sys/kernel/random/boot_id"))
    count = split(mains[service], pids, " ")
    sort(pids, count, 1)
    for (i = 1; i <= count; i++) {
        if (!(pids[i] in uid)) continue
        guard_main(service, pids[i])
        say_line(service, "process%20" pids[i] "%20" start[pids[i]] "%20" \
                 enc(enc(user_of(uid[pids[i]]))) "%20" (pids[i] in cwd ? enc(cwd[pids[i]]) : "-"))
    }
    count = split(marks[service], lines, " ")
    sort(lines, count, 0)
    for (i = 1; i <= count; i++) say_line(service, lines[i])
}

function say_line(service, line) {
    if (is_probe) { say("identity service=" service " line=" line); return }
    gsub(/%20/, " ", line); gsub(/%25/, "%", line)
    print line
}

function sort(list, count, by_number,    i, j, item) {
    for (i = 2; i <= count; i++) {
        item = list[i]
        for (j = i - 1; j > 0 && (by_number ? list[j] + 0 > item + 0 : list[j] "" > item ""); j--) list[j + 1] = list[j]
        list[j + 1] = item
    }
}

BEGIN {
    is_probe = ENVIRON["AF_VERB"] == "probe"
    claimed = split(ENVIRON["AF_ALL_CLAIMS"], claim, NEWLINE)
    split(claim[1], words, " ")
}
