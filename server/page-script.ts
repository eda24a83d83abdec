/**
 * The page's script, as text: it runs in the browser, where our types do not reach, and so it stays small.
 * Whatever comes from the API is put on the page as text, never as markup.
 */
export const PAGE_SCRIPT = String.raw`"use strict";
const CHECKOUTS = "/orchestration/checkout";
const RECONNECT_MS = 2000;
const REFRESH_MS = 250;
const JOURNAL_ROWS_MAX = 1000;
const byId = (id) => document.getElementById(id);
let apiKey = sessionStorage.getItem("checkoutd.key");
let journal = { id: null, lastSeq: 0, isReading: false };

async function request(path, signal) {
  const headers = apiKey === null ? {} : { Authorization: "Bearer " + apiKey };
  const response = await fetch(path, { headers, signal, cache: "no-store" });
  byId("key-form").hidden = response.status !== 401;
  byId("checkouts").hidden = response.status === 401;
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const error = new Error(problem.detail ?? "The service answered " + response.status + ".");
  throw Object.assign(error, { next: response.status === 410 ? problem.next : undefined });
}

// Of an old checkout the first entries are gone; the answer says where the others begin.
async function historyPage(path) {
  try {
    return await (await request(path)).json();
  } catch (error) {
    if (error.next === undefined) throw error;
    return { entries: [], next: error.next };
  }
}

function showError(message) {
  byId("error").textContent = message ?? "";
  byId("error").hidden = message === null;
}

function element(tag, text, attributes = {}) {
  const created = document.createElement(tag);
  if (text !== null) created.textContent = text;
  for (const [name, value] of Object.entries(attributes)) created.setAttribute(name, value);
  return created;
}

function cell(content, className) {
  const created = element("td", null, className === undefined ? {} : { class: className });
  created.append(content);
  return created;
}

function instant(text) {
  const parsed = new Date(text);
  return element("time", parsed.toLocaleTimeString(), { datetime: text, title: parsed.toLocaleString() });
}

function chip(status) {
  return element("span", status.replaceAll("_", " ").toLowerCase(), { class: "chip", "data-status": status });
}

function checkoutRow(checkout) {
  const id = checkout.executionContextId;
  const row = element("tr", null, { "aria-selected": String(id === journal.id) });
  const button = element("button", id, { type: "button" });
  button.addEventListener("click", () => { location.hash = id; });
  row.append(cell(button), cell(chip(checkout.status)), cell(checkout.state, "mono"), cell(String(checkout.seq), "number"), cell(instant(checkout.updatedAt)));
  return row;
}

async function refreshList() {
  const { checkouts } = await (await request(CHECKOUTS)).json();
  const focused = document.activeElement?.closest("#rows") ? document.activeElement.textContent : null;
  byId("rows").replaceChildren(...checkouts.map(checkoutRow));
  for (const button of byId("rows").querySelectorAll("button")) if (button.textContent === focused) button.focus();
  byId("count").textContent = checkouts.length === 0 ? "" : String(checkouts.length);
  byId("loading").hidden = true;
  byId("empty").hidden = checkouts.length > 0;
  byId("table").hidden = checkouts.length === 0;
  showSummary(checkouts.find((checkout) => checkout.executionContextId === journal.id));
}

function showSummary(checkout) {
  if (checkout === undefined) return;
  const began = " began " + new Date(checkout.createdAt).toLocaleString();
  byId("summary").replaceChildren(chip(checkout.status), " in ", element("code", checkout.state), "," + began);
}

async function refreshJournal() {
  const current = journal;
  if (current.id === null || current.isReading) return;
  current.isReading = true;
  try {
    let next = CHECKOUTS + "/" + encodeURIComponent(current.id) + "/history?after=" + current.lastSeq + "&limit=500";
    while (next !== null && current === journal) {
      const page = await historyPage(next);
      if (current !== journal) return;
      for (const entry of page.entries) {
        const row = element("tr", null);
        row.append(cell(String(entry.seq), "number"), cell(instant(entry.at)), cell(entry.event, "mono"), cell(entry.to, "mono"));
        byId("entries").append(row);
        current.lastSeq = entry.seq;
      }
      while (byId("entries").childElementCount > JOURNAL_ROWS_MAX) byId("entries").firstElementChild.remove();
      next = page.next;
    }
  } finally {
    current.isReading = false;
  }
}

let refreshTimer = null;
function refreshSoon() {
  refreshTimer ??= setTimeout(() => { refreshTimer = null; void refresh(); }, REFRESH_MS);
}

async function refresh() {
  try {
    await refreshList();
    await refreshJournal();
    showError(null);
  } catch (error) {
    byId("loading").hidden = true;
    if (!byId("key-form").hidden) showError(apiKey === null ? null : "The service does not know this key.");
    else showError(error instanceof TypeError ? "The service does not answer. Trying again." : error.message);
  }
}

function openJournal() {
  const id = decodeURIComponent(location.hash.slice(1));
  journal = { id: id === "" ? null : id, lastSeq: 0, isReading: false };
  byId("journal").hidden = journal.id === null;
  byId("journal-id").textContent = id;
  byId("summary").replaceChildren();
  byId("entries").replaceChildren();
  void refresh();
}

function showConnection(state, text) {
  byId("connection").dataset.state = state;
  byId("connection").textContent = text;
}

let watching = new AbortController();
async function watch() {
  watching.abort();
  const mine = (watching = new AbortController());
  while (!mine.signal.aborted) {
    try {
      // fetch rather than EventSource, which can't send an Authorization header.
      const { body } = await request("/orchestration/watch", mine.signal);
      showConnection("live", "live");
      refreshSoon();
      for (const reader = body.getReader(); !(await reader.read()).done; ) refreshSoon();
      showConnection("lost", "connecting again");
    } catch {
      if (mine.signal.aborted) return;
      showConnection("lost", byId("key-form").hidden ? "connecting again" : "API key needed");
      if (!byId("key-form").hidden) return;
      void refresh();
    }
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
  }
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  apiKey = byId("key").value.trim();
  sessionStorage.setItem("checkoutd.key", apiKey);
  byId("key").value = "";
  void refresh();
  void watch();
});
addEventListener("hashchange", openJournal);
openJournal();
void watch();
`;
