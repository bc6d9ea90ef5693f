# The second half of what spend.sh begins: burn, or spend and run.

if [ "$verb" = burn ]; then
    content="state burned
boot $boot"
else
    capped
    content="state started
boot $boot
runner $$ $(start_of $$)$entry"
    alive=$4
    shift 4
    # Room for the exit status is taken now, so that a full disk cannot lose it later.
    { true >"$own.output" && printf 'status %-12s\n' pending >"$own.exit.part"; } 2>/dev/null ||
        refuse "the spool ${file%/*} cannot be written"
fi
printf '%s\n' "$content" 2>/dev/null >"$own" || refuse "the spool ${file%/*} cannot be written"
if [ "$verb" = burn ]; then
    to_disk "$own" || refuse "the spool ${file%/*} cannot be made durable"
    spend
    echo burned
    exit 0
fi
to_disk "$own" "$own.output" "$own.exit.part" "${file%/*}" || refuse "the spool ${file%/*} cannot be made durable"
for each in $alive; do
    [ "$(start_of "${each%:*}")" = "${each#*:}" ] || refuse "process ${each%:*} has gone this very moment"
done
spend

# The listener may be gone already: so it is a small child that tells, and that the signal for it would end.
(echo "started $$ $(start_of $$)") 2>/dev/null
exec >/dev/null 2>&1 </dev/null 9>&-
umask 022
"$@" >>"$own.output" 2>&1
status=$?
umask 077
printf 'status %-12s\n' "$status" 1<>"$own.exit.part"
to_disk "$own.output" "$own.exit.part"
mv "$own.exit.part" "$own.exit"
to_disk "${file%/*}"
