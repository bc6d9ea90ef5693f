# What root would run or read for a service, and somebody else can write: the file, or a folder above it, through links.
# Looked at are the paths that a fragment guards, and for a main process that runs as root on the host itself (not in a
# container) its executable and those of its arguments that are paths.

function guard_path(service, path) {
    if (path !~ /^\/[!-~]*$/ || path ~ /%/ || path ~ /\/\.\.?(\/|$)/) return
    if ((service, path) in guarded) return
    guarded[service, path] = 1
    guards++
    guard_service[guards] = service; guard_of[guards] = path
}

function guard_main(service, pid,    words, count, i) {
    if (uid[pid] != 0 || pid in inner) return
    guard_path(service, exe[pid])
    count = split(arguments(pid), words, "%00")
    for (i = 1; i <= count && i <= 40; i++) guard_path(service, words[i])
}

function say_writable(    i, list, path, command, line, step, who) {
    for (i = 1; i <= guards; i++) if (!(guard_of[i] in known_path)) { known_path[guard_of[i]] = 1; list = list " " quoted(guard_of[i]) }
    if (list == "") return
    read_groups()
    resolve(list)
    list = ""
    for (path in known_path) {
        list = list steps_of(path)
        if (path in real) list = list steps_of(real[path])
    }
    if (list == "") return
    command = "ls -ldn " list " 2>/dev/null"
    while ((command | getline line) > 0) read_mode(line)
    close(command)
    for (i = 1; i <= guards; i++) say_guard(guard_service[i], guard_of[i])
}

# Where each path leads once every link on it is followed: GNU readlink takes many at once, busybox's takes one.
function resolve(list,    command, line, count, words, i) {
    command = "for path in" list "; do [ -e \"$path\" ] && printf \"%s \" \"$path\" && readlink -f \"$path\"; done 2>/dev/null"
    while ((command | getline line) > 0) {
        if (split(line, words, " ") == 2 && words[2] ~ /^\/[!-~]*$/) { exists[words[1]] = 1; if (words[1] != words[2]) real[words[1]] = words[2] }
    }
    close(command)
}

function steps_of(path,    list) {
    for (; path != ""; sub(/\/[^\/]*$/, "", path)) if (!(path in stepped)) { stepped[path] = 1; list = list " " quoted(path) }
    if (!("/" in stepped)) { stepped["/"] = 1; list = list " /" }
    return list
}

function read_mode(line,    word, path) {
    if (!match(line, / \/[^ ]*( -> .*)?$/)) return
    path = substr(line, RSTART + 1)
    sub(/ -> .*/, "", path)
    split(line, word, " ")
    mode[path] = word[1]; owner[path] = word[3]; group[path] = word[4]
}

function read_groups(    line, word) {
    while ((getline line < "/etc/group") > 0) {
        split(line, word, ":")
        group_name[word[3]] = word[1]
        sub(/^root(,|$)/, "", word[4])
        if (word[4] != "") members[word[3]] = word[4]
    }
    close("/etc/group")
}

# Who but root can write this one file or folder, "" for nobody. In a folder with the sticky bit only owners replace things.
function writer(path, is_parent,    bits, sticky) {
    if (!(path in mode)) return ""
    bits = mode[path]
    if (bits !~ /^[-dl]/) return ""         # a masked unit is /dev/null
    if (owner[path] != 0) return user_of(owner[path])
    if (bits ~ /^l/) return ""
    sticky = is_parent && substr(bits, 10, 1) ~ /[tT]/
    if (!sticky && substr(bits, 9, 1) == "w") return "everyone"
    if (!sticky && substr(bits, 6, 1) == "w" && group[path] != 0) {
        if (group[path] in members) return "group " group_name[group[path]]
        if (primary[group[path]] != "") return primary[group[path]]
        if (bits ~ /\+$/) return "an access list"
    }
    return ""
}

function say_guard(service, path,    chain, count, i, step, who) {
    if (!(path in exists)) return
    chain = path NEWLINE (path in real ? real[path] : "")
    count = split(chain, paths, NEWLINE)
    for (i = 1; i <= count; i++)
        for (step = paths[i]; step != ""; step = step == "/" ? "" : above(step)) {
            who = writer(step, step != paths[i])
            if (who == "" || (service, step) in said_writable) continue
            said_writable[service, step] = 1
            rec("writable"); put("service", service); put("path", step); put("by", who); done()
        }
}

function above(path) { sub(/\/[^\/]*$/, "", path); return path == "" ? "/" : path }
