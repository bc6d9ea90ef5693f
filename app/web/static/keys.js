// Keys for those who read all day: to move in a list, to open, to go somewhere. None of them decides anything.
// Each is an addition to what links and buttons do, and can be switched off under Settings.
"use strict";

const PLACES = { i: "/", s: "/services", h: "/hosts", y: "/history" };
const FIRST_WORDS = "main th[scope=row] a[href]";
const help = document.getElementById("keys");
let isGoing = 0;

function isTyping(target) {
  return target.isContentEditable || target.matches("input:not([type=checkbox], [type=radio]), textarea, select");
}

function move(by) {
  const rows = [...document.querySelectorAll(FIRST_WORDS)];
  if (!rows.length) return;
  const here = rows.findIndex((row) => row.closest("tr").contains(document.activeElement));
  const next = here < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, here + by));
  rows[next].focus();
}

function open() {
  const row = document.activeElement.closest("tr");
  (row?.querySelector("th[scope=row] a[href]") ?? document.createElement("a")).click();
}

const ACTS = { j: () => move(1), k: () => move(-1), o: open, "?": () => help.showModal() };

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  if (isTyping(event.target) || help.open) return;
  const place = isGoing > Date.now() ? PLACES[event.key] : undefined;
  isGoing = event.key === "g" ? Date.now() + 1500 : 0;
  if (place) { location.assign(place); return; }
  const act = ACTS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

const button = document.getElementById("show-keys");
button.hidden = false;
button.addEventListener("click", () => help.showModal());
