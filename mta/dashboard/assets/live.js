import { ask } from "./ask.js";

// Keeps parts of a page up to date: <section id="x" data-live="delivered deferred"> is fetched anew when
// one of these kinds of events has happened ("*": any), at the most every data-every seconds (default 2).

let source = null;
const parts = [];

export function follow(root) {
  for (const part of root.querySelectorAll("[data-live]")) {
    parts.push({ id: part.id, kinds: part.dataset.live.split(" "), every: 1000 * (part.dataset.every || 2), due: false, at: 0, asked: 0, shown: 0 });
  }
  for (const list of root.querySelectorAll("[data-log]")) {
    lines(list);
    parts.push({ id: list.id, kinds: [], every: 0, due: false, at: 0, asked: 0, shown: 0 });
  }
  if (parts.length || root.querySelector("[data-log]")) open();
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
}

function open() {
  if (source || document.hidden || !(parts.length || document.querySelector("[data-log]"))) return;
  const log = document.querySelector("[data-log]");
  const query = log ? `?lines=1${log.dataset.log ? `&${log.dataset.log}` : ""}` : "";
  source = new EventSource(`/dashboard/live${query}`);
  source.addEventListener("open", () => {
    state(true);
    // What has happened since the page was made, or while there was no connection.
    for (const part of parts) renew(part);
  });
  source.addEventListener("error", () => {
    state(false);
    // It does not try again by itself: signed out meanwhile, or too many are open.
    if (source?.readyState === EventSource.CLOSED) signedOut();
  });
  source.addEventListener("happened", (event) => {
    const what = JSON.parse(event.data);
    for (const part of parts) {
      if (part.kinds.some((kind) => kind === "*" || kind in what.counts)) renew(part);
    }
    document.dispatchEvent(new CustomEvent("happened", { detail: what }));
  });
}

async function signedOut() {
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html", "x-live": "1" } });
    if (answer.redirected) location.reload();
  } catch {
    // The page is being left, or nobody answers: it stays as it is.
  }
}

function close() {
  source?.close();
  source = null;
}

function state(live) {
  for (const mark of document.querySelectorAll("[data-state]")) {
    mark.classList.toggle("on", live);
    mark.textContent = live ? "live" : "waiting for the server";
  }
}

function renew(part) {
  if (part.due) return;
  part.due = true;
  const wait = Math.max(0, part.at + part.every - Date.now());
  setTimeout(async () => {
    part.at = Date.now();
    // What happens from now on may be missing in the answer, so it asks again.
    part.due = false;
    const turn = ++part.asked;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html", "x-live": "1" } });
      if (answer.redirected) {
        // Signed out meanwhile.
        location.reload();
        return;
      }
      if (!answer.ok || turn < part.shown) return;
      part.shown = turn;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById(part.id);
      const old = document.getElementById(part.id);
      // What somebody is just using stays.
      if (fresh && old && !old.contains(document.activeElement) && !old.querySelector("input:checked")) {
        const opened = [...old.querySelectorAll("details")].map((one) => one.open);
        old.replaceChildren(...fresh.childNodes);
        [...old.querySelectorAll("details")].forEach((one, at) => (one.open = opened[at] ?? one.open));
        ask(old);
        document.dispatchEvent(new CustomEvent("renewed", { detail: old }));
        announce(old);
      }
    } catch {
      // The next event tries again.
    }
  }, wait);
}

// Who does not see a part change is told of it, but not with every event.
let announced = Date.now();

function announce(part) {
  const place = document.getElementById("announced");
  if (!place || !part.ariaLabel || Date.now() - announced < 30000) return;
  announced = Date.now();
  place.textContent = `${part.ariaLabel}: updated`;
}

function lines(list) {
  const most = Number(list.dataset.most || 500);
  document.addEventListener("happened", (event) => {
    const box = list.closest(".table, .log") || list;
    if (document.querySelector("[data-pause]:checked")) return;
    for (const line of event.detail.lines || []) {
      const made = document.createElement("li");
      made.className = line.tone;
      const time = document.createElement("time");
      time.dateTime = line.iso;
      time.title = line.exact;
      time.textContent = line.time;
      const kind = document.createElement("span");
      kind.className = `badge ${line.tone}`;
      kind.textContent = line.kind;
      const words = line.path ? document.createElement("a") : document.createElement("span");
      if (line.path) words.href = line.path;
      words.textContent = line.words;
      made.append(time, kind, words);
      list.prepend(made);
    }
    while (list.children.length > most) list.lastElementChild.remove();
    box.scrollTop = 0;
  });
}
