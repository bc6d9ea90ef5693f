# What every awk program of the gate uses: records and their escaping. All text is bytes (LC_ALL=C), whatever a host prints.
# A record is one line, `kind key=value…`; a value is printable ASCII without '%' and blank, all else %XX, and '-' is empty.

BEGIN {
    for (code = 0; code < 256; code++) {
        byte = sprintf("%c", code)
        ESCAPED[byte] = code > 32 && code < 127 && byte != "%" ? byte : sprintf("%%%02X", code)
    }
    CAP = 4096              # bytes of one value; what is cut ends in an ellipsis
    NEWLINE = "\n"
}

function enc(text,    out, cut) {
    if (text == "") return "-"
    if (text == "-") return "%2D"
    if (text !~ /[^!-~]|%/) return length(text) > CAP ? substr(text, 1, CAP) "%E2%80%A6" : text
    if (length(text) > CAP) { text = substr(text, 1, CAP); cut = "%E2%80%A6" }
    while (match(text, /[^!-~]|%/)) {
        out = out substr(text, 1, RSTART - 1) ESCAPED[substr(text, RSTART, 1)]
        text = substr(text, RSTART + 1)
    }
    return out text cut
}

function rec(kind) { RECORD = kind }
function put(key, value) { RECORD = RECORD " " key "=" enc(value) }
# A value that is escaped already.
function put_escaped(key, value) { RECORD = RECORD " " key "=" (value == "" ? "-" : value) }
function done() { say(RECORD) }
function say(line) { print line; COUNT++ }

function blind(what, why, about) { rec("blind"); put("what", what); put("why", why); put("about", about); done() }
function identity(service, line) { rec("identity"); put("service", service); put("line", line); done() }
function identity_pid(service, pid) { if (pid ~ /^[1-9][0-9]*$/) { rec("identity"); put("service", service); put("pid", pid); done() } }
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

# All of a small file of procfs, its lines joined as they were.
function whole(file,    line, text, lines) {
    while ((getline line < file) > 0) { text = lines++ ? text NEWLINE line : line; if (length(text) > 65536) break }
    close(file)
    return text
}

# Fields of /proc/PID/stat from the state on (1 state, 2 parent, 20 start), and the name. A name may hold newlines and ") ",
# which the kernel does not escape there: so the whole file is read, and cut at its last ") ".
function read_stat(pid, fields,    text) {
    text = whole("/proc/" pid "/stat")
    if (!match(text, /.*\) /)) return 0
    STAT_NAME = substr(text, index(text, "(") + 1, RLENGTH - index(text, "(") - 2)
    return split(substr(text, RLENGTH + 1), fields, " ") >= 20
}

# The cgroup that tells the manager: v1's systemd hierarchy, or the unified one where that says nothing.
function read_cgroup(pid,    file, line, named, unified) {
    file = "/proc/" pid "/cgroup"
    while ((getline line < file) > 0) {
        if (line ~ /^[0-9]+:name=systemd:/) { sub(/^[^:]*:[^:]*:/, "", line); named = line }
        else if (line ~ /^0::/) unified = substr(line, 4)
    }
    close(file)
    return length(named) > 1 ? named : unified
}

function quoted(text) { gsub(/\047/, "\047\\\047\047", text); return "\047" text "\047" }
