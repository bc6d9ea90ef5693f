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
    if (uid[pid] != 0 || pid in is_inner) return
    guard_path(service, exe[pid])
    count = split(arguments_of(pid), words, "%00")
    for (i = 1; i <= count && i <= 40; i++) guard_path(service, words[i])
}

function say_writable(    i, round) {
    if (!guards) return
    read_groups()
    for (i = 1; i <= guards; i++) target[i] = guard_of[i]
    # Each round looks at what is not known yet, then follows the first link on each path.
    for (round = 1; round <= 8; round++) {
        for (i = 1; i <= guards; i++) want(target[i])
        if (wanted == "") break
        read_modes()
        for (i = 1; i <= guards; i++) target[i] = followed(target[i])
    }
    for (i = 1; i <= guards; i++) {
        say_guard(guard_service[i], guard_of[i], target[i])
        if (target[i] != guard_of[i]) say_guard(guard_service[i], target[i], target[i])
    }
}

function want(path) {
    for (; ; path = above(path)) {
        if (!(path in looked_at)) { looked_at[path] = 1; wanted = wanted " " quoted(path) }
        if (path == "/") return
    }
}

function read_modes(    command, line, word, path) {
    command = "exec ls -ldn" wanted " 2>/dev/null"
    wanted = ""
    while ((command | getline line) > 0) {
        if (!match(line, / \/[^ ]*( -> .*)?$/)) continue
        path = substr(line, RSTART + 1)
        split(line, word, " ")
        if (word[1] ~ /^l/) {
            leads_to[substr(path, 1, index(path, " -> ") - 1)] = substr(path, index(path, " -> ") + 4)
            path = substr(path, 1, index(path, " -> ") - 1)
        }
        mode[path] = word[1]; owner[path] = word[3]; group[path] = word[4]
    }
    close(command)
}

# The path with its first link replaced by where that leads; without any, the path itself.
function followed(path,    step, first) {
    for (step = path; step != "/"; step = above(step)) if (step in leads_to) first = step
    if (first == "") return path
    step = leads_to[first]
    if (step !~ /^\//) step = (above(first) == "/" ? "" : above(first)) "/" step
    step = step substr(path, length(first) + 1)
    while (sub(/\/\.(\/|$)/, "/", step) || sub(/\/[^\/]+\/\.\.(\/|$)/, "/", step) || sub(/^\/\.\.(\/|$)/, "/", step)) ;
    if (length(step) > 1) sub(/\/$/, "", step)
    return step ~ /^\/[!-~]*$/ ? step : path
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

# Who but root can write this one file or folder, "" for nobody. In a folder with the sticky bit only owners replace
# things.
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

function say_guard(service, path, end,    step, who) {
    if (!(end in mode)) return
    for (step = path; ; step = above(step)) {
        who = writer(step, step != path)
        if (who != "" && !((service, step) in said_writable)) {
            said_writable[service, step] = 1
            rec("writable"); put("service", service); put("path", step); put("by", who); done()
        }
        if (step == "/") return
    }
}

function above(path) { sub(/\/[^\/]*$/, "", path); return path == "" ? "/" : path }
