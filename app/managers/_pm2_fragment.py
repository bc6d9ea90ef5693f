"""What the gate asks PM2's daemons: the home of each, whose that is, and its own list of applications.

PM2's client starts a daemon where there is none, so it is not used: a few lines of the daemon's own node, run as the
daemon's user, ask its socket for the list, of which names, numbers and states leave the host, and no environment. All
that is printed is that user's word.
"""

SHELL = r"""
af_watch 'PM2 v*'
facts_pm2() {
    awk "$AF_AWK$PM2_PLAN_AWK" | while read -r word god user trust home rest; do
        printf '%s\n' "$word $god $user $trust $home $rest"
        [ "$word:$trust" = daemon:- ] || continue
        af_user "$user" && [ "$AF_USER_HOME/.pm2" = "$home" ] && echo 'default'
        case $(readlink "/proc/$god/exe") in
        */node | */nodejs | */bun | */node' (deleted)' | */nodejs' (deleted)' | */bun' (deleted)') ;;
        *) continue ;;
        esac
        af_as "$user" "/proc/$god/exe" -e "$PM2_ASK" "$home/rpc.sock" </dev/null 2>/dev/null | head -c 200000
        echo
    done | awk "$AF_AWK$PM2_SAY_AWK"
}

# A call of the daemon's own method that lists its applications, as its client makes it.
PM2_ASK='
const line = require("net").connect(process.argv[1]);
const asked = ["j:" + JSON.stringify({type: "call", method: "getMonitorData", args: [{}]}), "s:askfirst:0"];
const frame = (text) => {
  const bytes = Buffer.from(text), size = Buffer.alloc(4);
  size.writeUInt32BE(bytes.length);
  return Buffer.concat([size, bytes]);
};
const word = (value) => {
  try { return encodeURIComponent(String(value === undefined || value === null ? "" : value)) || "-"; }
  catch (error) { return "-"; }
};
let told = Buffer.alloc(0);
setTimeout(() => process.exit(1), 4000);
line.on("error", () => process.exit(1));
line.write(Buffer.concat([Buffer.from([0x12])].concat(asked.map(frame))));
line.on("data", (bytes) => {
  told = Buffer.concat([told, bytes]);
  if (told.length < 5 || told.length < 5 + told.readUInt32BE(1)) return;
  const list = JSON.parse(told.slice(7, 5 + told.readUInt32BE(1)).toString()).args[0];
  for (const app of list.slice(0, 300)) {
    const its = app.pm2_env;
    console.log(["app", app.pm_id, app.name, app.pid || 0, its.exec_mode, its.status, its.unstable_restarts,
      its.pm_exec_path, its.pm_cwd].map(word).join(" "));
  }
  console.log("ended");
  process.exit(0);
});
'

# Which daemons there are, and whether their homes are theirs: `daemon PID USER TRUST HOME UID`.
PM2_PLAN_AWK='
BEGIN {
    is_probe = ENVIRON["AF_VERB"] == "probe"
    count = split(ENVIRON["AF_COMMS"], line, NEWLINE)
    for (i = 1; i <= count; i++) {
        split(line[i], word, " ")
        if (word[2] ~ /^PM2%20v/) { meet(word[1]); matters[word[1]] = 1 }
    }
    claimed = claims()
    if (claimed && is_probe) meet_everyone()
    if (mets) look()
    for (i = 1; i <= mets; i++) if (met[i] in home && met[i] in user && is_wanted(met[i])) {
        place = home[met[i]]
        doubt = place in owner ? "" : "its home " place " is not there"
        if (doubt == "" && owner[place] != uid[met[i]]) doubt = "its home " place " belongs to " owner_name[place]
        if (doubt == "" && mode[place] ~ /[2367].?$/) doubt = "others can write its home " place
        print "daemon " met[i] " " user[met[i]] " " enc(doubt) " " place " " uid[met[i]]
    }
}

# Asking one starts a node: so not those that neither stand above what matters nor can be meant by a claim.
function is_wanted(pid,    i) {
    if (pid in matters) return 1
    for (i = 1; i <= claimed; i++)
        if (claim_config[i] == home[pid] || claim_config[i] == "-" && home[pid] ~ /\/[.]pm2$/) return 1
    return 0
}

function meet(pid) { if (!(pid in is_met) && mets < 20) { is_met[pid] = 1; met[++mets] = pid } }

# The scan told of those above what matters; a daemon whose applications are down stands above nothing.
function meet_everyone(    command, line) {
    command = "cd /proc; exec grep -l \"^PM2 v\" [0-9]*/comm 2>/dev/null"
    while ((command | getline line) > 0) meet(substr(line, 1, index(line, "/") - 1))
    close(command)
}

# Its home is in what it calls itself. One of other than plain characters is not looked at.
function look(    i, lines, files, homes, command, line, word) {
    for (i = 1; i <= mets; i++) { files = files " " met[i]; lines = lines " " met[i] "/cmdline" }
    read_arguments(lines)
    for (i = 1; i <= mets; i++) {
        line = ARGUMENTS[met[i]]
        if (!match(line, /^PM2 v[^ ]* God Daemon \(\/[A-Za-z0-9@._\/+=,-]+\)/)) continue
        home[met[i]] = substr(line, index(line, "(") + 1, RLENGTH - index(line, "(") - 1)
        homes = homes " " home[met[i]]
    }
    command = "exec 2>/dev/null; cd /proc; stat -L -c \"%n %u %U %a\"" files homes
    while ((command | getline line) > 0) {
        split(line, word, " ")
        if (word[1] in is_met) { uid[word[1]] = word[2]; user[word[1]] = word[3] }
        else { owner[word[1]] = word[2]; owner_name[word[1]] = word[3]; mode[word[1]] = word[4] }
    }
    close(command)
}
'

PM2_SAY_AWK='
BEGIN { PLAIN = "^([A-Za-z0-9._~!*\047()-]|%[0-9A-F][0-9A-F])+$" }

$1 == "daemon" && NF == 6 {
    i = ++daemons
    god[i] = $2; user[i] = $3; doubt[i] = $4; home[i] = $5; is_root[i] = $6 == 0
}
$1 == "default" && daemons { is_default[daemons] = 1 }
$1 == "ended" && daemons { answered[daemons] = 1 }
$1 == "app" && NF == 9 && daemons && !answered[daemons] && apps < 300 {
    for (j = 2; j <= 9; j++) if ($j !~ PLAIN || length($j) > 1200) next
    if ($2 !~ /^[0-9]+$/ || $4 !~ /^[0-9]+$/ || $7 !~ /^[0-9]+$/) next
    j = ++apps
    of[j] = daemons; id[j] = $2; name[j] = $3; pid[j] = $4; mode[j] = $5; state[j] = $6; unstable[j] = $7
    script[j] = $8; folder[j] = $9
}

END {
    claimed = claims()
    for (i = 1; i <= daemons; i++) {
        rec("pm2.daemon")
        put("pid", god[i]); put("home", home[i]); put("user", user[i]); put_escaped("distrust", doubt[i])
        put("default", is_default[i] ? "yes" : "no"); put("answered", answered[i] ? "yes" : "no")
        done()
        stands = stands " " god[i] "/stat"
    }
    if (claimed && daemons) read_stats(stands)
    for (k = 1; k <= claimed; k++) choose(k)
    for (j = 1; j <= apps; j++) if (answered[of[j]]) say_app(j, of[j])
    for (k = 1; k <= claimed; k++)
        for (i = 1; i <= daemons; i++) if ((k, i) in meant && is_known(k, i)) say_claim(k, i)
}

# Before a run the command tells the home, and the user is the daemon`s.
function home_of(k,    word, count, n) {
    if (ENVIRON["AF_VERB"] == "probe") return claim_config[k]
    count = split(ENVIRON["AF_ARGV"], word, " ")
    for (n = 1; n <= count; n++) if (word[n] ~ /^PM2_HOME=/) return substr(word[n], 10)
    return "-"
}

# Which daemon a claim means. Where its user has none, the one that runs an application of that name as somebody else.
function choose(k,    home_named, i, own, others, other) {
    home_named = home_of(k)
    for (i = 1; i <= daemons; i++) {
        if (home_named == home[i]) meant[k, i] = 1
        if (home_named != "-" || !is_default[i]) continue
        if (claim_user[k] == user[i]) { meant[k, i] = 1; own = 1 }
        else if (is_known(k, i)) { others++; other = i }
    }
    if (!own && others == 1) meant[k, other] = 1
}

function is_known(k, i,    j) {
    for (j = 1; j <= apps && answered[i]; j++) if (of[j] == i && name[j] == claim_unit[k]) return 1
    return 0
}

# Processes are looked at where they matter: for all else a list of names is enough.
function say_app(j, i,    k, matters) {
    matters = !claimed || ENVIRON["AF_WHOLE"] || mode[j] == "cluster_mode"
    for (k = 1; k <= claimed; k++) if (name[j] == claim_unit[k] && (k, i) in meant) matters = 1
    rec("pm2.app")
    put("god", god[i]); put("id", id[j]); put_escaped("name", name[j]); put("main", pid[j])
    put_escaped("mode", mode[j]); put_escaped("state", state[j]); put("unstable", unstable[j])
    if (matters && pid[j] > 0) put("pid", pid[j])
    done()
}

function say_claim(k, i,    j, stat) {
    identity(claim_service[k], "home " home[i])
    if (read_stat(god[i], stat)) identity(claim_service[k], "daemon " god[i] " " stat[20])
    for (j = 1; j <= apps; j++) {
        if (of[j] != i || name[j] != claim_unit[k]) continue
        identity(claim_service[k], "app " name[j] " " id[j] " " mode[j] " " state[j] " " script[j])
        if (pid[j] > 0) identity_pid(claim_service[k], pid[j])
        if (is_root[i]) guard(claim_service[k], plain(script[j]))
    }
    if (is_root[i]) guard(claim_service[k], home[i])
}

# A path of plain characters as it was before node escaped it.
function plain(text) {
    gsub(/%2F/, "/", text); gsub(/%40/, "@", text); gsub(/%2B/, "+", text)
    return text ~ /^[A-Za-z0-9@._\/+-]+$/ ? text : ""
}
'
"""
