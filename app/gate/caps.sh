# What an enforced host asks of a run before it is spent, whatever the server says: that the service was not restarted
# within the cooldown of the host's table (AF_COOLDOWN seconds), and that the host has not had AF_PER_HOUR restarts within
# an hour. The entries of the spool are what is counted; a lock that nobody keeps but by living is held from the counting
# to the spending, so that of many at once no more pass than may.
#
# Time is the kernel's, counted since the boot, as long as an entry is of this boot: setting the clock makes nothing
# older. Of an entry from before the boot the clock tells the age, and it is never less than the time since the boot: a
# clock that was ahead then, or was set back, bars a host for an hour after its boot at most.

capped() {
    { true >>"${file%/*/*}/lock"; } 2>/dev/null || refuse "the spool's lock ${file%/*/*}/lock cannot be written"
    exec 9>>"${file%/*/*}/lock"
    timeout 10 flock 9 2>/dev/null || refuse "the spool's lock cannot be had: another run holds it, or there is no flock"
    now=$(date +%s)
    read -r uptime text </proc/uptime
    uptime=${uptime%.*}
    answer=$(ls "${file%/*}" | FOLDER=${file%/*} NOW=$now UPTIME=$uptime BOOT=$boot awk '
        BEGIN {
            now = ENVIRON["NOW"] + 0; uptime = ENVIRON["UPTIME"] + 0
            least = ENVIRON["AF_COOLDOWN"] + 0; most = ENVIRON["AF_PER_HOUR"] + 0
        }
        /[.]/ { next }
        {
            path = ENVIRON["FOLDER"] "/" $0
            split("", entry)
            while ((getline line < path) > 0) entry[substr(line, 1, index(line, " ") - 1)] = substr(line, index(line, " ") + 1)
            close(path)
            if (entry["state"] != "started" || !("uptime" in entry)) next
            if (entry["boot"] == ENVIRON["BOOT"]) age = uptime - entry["uptime"]
            else { age = now - entry["at"]; if (age < uptime) age = uptime }
            if (age < 3600) hour++
            if (entry["service"] == ENVIRON["AF_SERVICE"] && (!is_known || age < last)) { last = age; is_known = 1 }
        }
        END {
            if (is_known && last < least)
                print "a cap: the service ran " last " s ago, and this host allows it every " least " s"
            else if (hour >= most) print "a cap: this host had " hour + 0 " runs within an hour, and allows " most
            else print "within"
        }')
    [ "$answer" = within ] || refuse "${answer:-the spool cannot be counted}"
    entry="
service $AF_SERVICE
at $now
uptime $uptime"
}

