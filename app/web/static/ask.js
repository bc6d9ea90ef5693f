// What a page does while it is open: times in the reader's own zone, countdowns, and following what changes.
// Everything here is an addition: without it each page still does its whole work, and reloads by itself where it waits.
"use strict";

const zone = new Intl.DateTimeFormat(undefined, { timeZoneName: "short" })
  .formatToParts(new Date()).find((part) => part.type === "timeZoneName").value;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hour12: false });

// The server's clock, so that a wrong clock here shortens no countdown.
const drift = () => Number(document.documentElement.dataset.drift || 0);
const now = () => Date.now() / 1000 + drift();

function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 100) return `${whole} s`;
  for (const [unit, size, lesser, part] of [["d", 86400, "h", 3600], ["h", 3600, "min", 60], ["min", 60, "s", 1]]) {
    if (whole < size) continue;
    const rest = Math.floor((whole % size) / part);
    return `${Math.floor(whole / size)} ${unit}` + (rest ? ` ${rest} ${lesser}` : "");
  }
  return `${whole} s`;
}

function tellTime(time) {
  const at = Date.parse(time.dateTime) / 1000;
  if (Number.isNaN(at)) return;
  if ("left" in time.dataset) { write(time, span(at - now())); return; }
  const then = new Date(at * 1000);
  if ("short" in time.dataset) { write(time, clock.format(then)); return; }
  const isToday = then.toDateString() === new Date().toDateString();
  const told = `${(isToday ? clock : day).format(then)} ${zone}`;
  write(time, "ago" in time.dataset ? `${span(now() - at)} ago (${told})` : told);
}

function write(node, text) { if (node.textContent !== text) node.textContent = text; }

function tellTimes(root) {
  for (const time of root.querySelectorAll("time")) tellTime(time);
  for (const word of root.querySelectorAll("[data-zone]")) write(word, zone);
}

// --- Following ---------------------------------------------------------------------------------------------------------

async function renew() {
  const answer = await fetch(location.href, { headers: { "X-Renew": "1" } });
  if (answer.redirected) { location.reload(); return; }
  if (!answer.ok) throw new Error(`renewed with status ${answer.status}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.title = fresh.title;
  for (const old of document.querySelectorAll("[data-live]")) {
    const next = fresh.querySelector(`[data-live="${old.dataset.live}"]`);
    if (next && !isKept(old, next)) replace(old, next);
  }
  const said = fresh.getElementById("state-next");
  const told = document.getElementById("announce");
  if (said && told) write(told, `${fresh.querySelector(".sub .chip")?.textContent.trim() ?? ""}. ${said.textContent}`);
}

// The log is fed line by line and never replaced, so that nobody's scroll is moved.
function isKept(old, next) {
  return next.dataset.keep !== undefined && old.querySelector(next.dataset.keep) && next.querySelector(next.dataset.keep);
}

function replace(old, next) {
  const focus = old.contains(document.activeElement) ? document.activeElement.id : "";
  const typed = new Map([...old.querySelectorAll("textarea, input:not([type=hidden])")].map((field) => [field.id, field.value]));
  const opened = [...old.querySelectorAll("details[open]")].map((one) => one.id).filter(Boolean);
  const node = document.importNode(next, true);
  for (const field of node.querySelectorAll("textarea, input:not([type=hidden])")) if (typed.has(field.id)) field.value = typed.get(field.id);
  for (const id of opened) node.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
  tellTimes(node);
  if (node.outerHTML === old.outerHTML) return;
  const log = old.querySelector(".log");
  const at = log && !isAtEnd(log) ? log.scrollTop : null;
  old.replaceWith(node);
  for (const fresh of node.querySelectorAll(".log")) {
    begin(fresh);
    if (at !== null) fresh.scrollTop = at;
  }
  if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
}

// Of all pages that a server was away from, each asks at a moment of its own, and less often the longer it lasts.
async function renewLater() {
  for (let seconds = 4; ; seconds = Math.min(2 * seconds, 60)) {
    await new Promise((done) => { setTimeout(done, seconds * (500 + 500 * Math.random())); });
    try { await renew(); return; } catch { /* It is still away. */ }
  }
}

let stream;

// A line that was cut the browser takes up itself; what a status ended, or a page that did not come, is begun anew here.
async function follow(address) {
  stream = new EventSource(address);
  await new Promise((lost) => {
    const update = () => { renew().catch(lost); };
    stream.addEventListener("changed", update);
    stream.addEventListener("lines", (event) => { addLines(JSON.parse(event.data)); });
    stream.addEventListener("ended", () => { stream.close(); });
    stream.addEventListener("error", () => {
      if (stream.readyState === EventSource.CLOSED) lost();
      else stream.addEventListener("open", update, { once: true });
    });
  });
  stream.close();
  await renewLater();
  follow(address);
}

// --- Output ------------------------------------------------------------------------------------------------------------

const MOST_LINES = 5000;
let unread = 0;

function addLines({ first, lines }) {
  const log = document.querySelector(".log");
  if (!log) return;
  const atEnd = isAtEnd(log);
  const list = log.querySelector("ol");
  let added = 0;
  lines.forEach((text, index) => {
    const number = first + index;
    if (number < Number(log.dataset.next)) return;
    const item = document.createElement("li");
    const at = document.createElement("a");
    const words = document.createElement("span");
    item.id = `L${number}`;
    at.className = "at";
    at.href = `#L${number}`;
    at.textContent = number;
    words.textContent = text;
    item.append(at, words);
    list.append(item);
    log.dataset.next = number + 1;
    added += 1;
  });
  if (!added) return;
  log.querySelector(".quiet")?.remove();
  if (atEnd) {
    while (list.childElementCount > MOST_LINES) list.firstElementChild.remove();
    log.scrollTop = log.scrollHeight;
  } else {
    unread += added;
    offer(log);
  }
}

function isAtEnd(log) { return log.scrollHeight - log.scrollTop - log.clientHeight < 4; }

function offer(log) {
  const more = log.parentElement.querySelector(".more");
  more.hidden = unread === 0;
  write(more.querySelector("span"), `${unread} new ${unread === 1 ? "line" : "lines"}`);
}

function begin(log) {
  unread = 0;
  if (!location.hash.startsWith("#L")) log.scrollTop = log.scrollHeight;
  log.addEventListener("scroll", () => {
    if (isAtEnd(log)) { unread = 0; offer(log); }
  }, { passive: true });
  log.parentElement.querySelector(".more").addEventListener("click", () => { log.scrollTop = log.scrollHeight; });
}

// --- Begin -------------------------------------------------------------------------------------------------------------

// A second click on the same button is one click.
addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) event.preventDefault();
  else if (form.method === "post") form.dataset.sent = "1";
});
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.forms) delete form.dataset.sent;
});

function openTarget() {
  const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
}

document.documentElement.dataset.drift = Number(document.body.dataset.now) - Date.now() / 1000;
tellTimes(document);
setInterval(() => { tellTimes(document); }, 1000);
for (const log of document.querySelectorAll(".log")) begin(log);
document.querySelector("[autofocus]")?.focus();
addEventListener("hashchange", openTarget);
openTarget();
addEventListener("pagehide", () => { stream?.close(); });
const followed = document.getElementById("main").dataset.follow;
if (followed) follow(followed);
