/** The plain page at `/`: a shell without data. Its script reads the API as any client does, with the same rights. */

/** Everything comes from this server; nothing inline, so that an escaped mistake could still not run. */
export const PAGE_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export const PAGE_HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>checkoutd</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/page.css">
<script src="/page.js" defer></script>
</head>
<body>
<header>
  <h1>checkoutd</h1>
  <p id="connection" class="connection" role="status" data-state="connecting">connecting</p>
  <nav><a href="/openapi.json">API</a> <a href="/readyz">Health</a></nav>
</header>
<main>
  <p id="error" class="error" role="alert" hidden></p>
  <form id="key-form" hidden>
    <label for="key">This service asks for an API key.</label>
    <input id="key" type="password" autocomplete="off" required>
    <button>Show checkouts</button>
  </form>
  <section id="checkouts" aria-labelledby="checkouts-title">
    <h2 id="checkouts-title">Checkouts <span id="count"></span></h2>
    <div id="loading" class="empty">Loading…</div>
    <div id="empty" class="empty" hidden>
      <p><strong>No checkouts yet.</strong></p>
      <p>They appear here the moment one starts: <code>POST /orchestration/checkout/initiate</code></p>
    </div>
    <div class="scroll" id="table" hidden>
      <table>
        <thead><tr><th>Checkout</th><th>Status</th><th>State</th><th class="number">Transitions</th><th>Updated</th></tr></thead>
        <tbody id="rows"></tbody>
      </table>
    </div>
  </section>
  <section id="journal" aria-labelledby="journal-title" hidden>
    <h2 id="journal-title">Journal of <code id="journal-id"></code></h2>
    <p id="summary" class="summary"></p>
    <div class="scroll">
      <table>
        <thead><tr><th class="number">#</th><th>Time</th><th>Event</th><th>To</th></tr></thead>
        <tbody id="entries"></tbody>
      </table>
    </div>
  </section>
  <noscript><p class="error">This page needs JavaScript. The same data is at <code>/orchestration/checkout</code>.</p></noscript>
</main>
</body>
</html>
`;

export const PAGE_CSS = `
:root {
  --page: #f6f7f9; --card: #fff; --text: #1b1f27; --muted: #5c6573; --line: #e1e5eb; --accent: #2f5bd7; --hover: #eef2fc;
  --good: #14713d; --good-bg: #dff5e7; --wait: #7a4d00; --wait-bg: #fdeecb; --bad: #a11d2b; --bad-bg: #fce1e4; --run: #2347a8; --run-bg: #e2eafd;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12151b; --card: #1a1f28; --text: #e6e9ef; --muted: #9aa4b4; --line: #2c3340; --accent: #8fb0ff; --hover: #222a38;
    --good: #7fe0a7; --good-bg: #153524; --wait: #f5c76a; --wait-bg: #3a2d10; --bad: #ff9da7; --bad-bg: #41191f; --run: #a9c2ff; --run-bg: #1c2a4d;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 20px; padding: 14px 24px; background: var(--card); border-bottom: 1px solid var(--line); }
h1 { margin: 0; font-size: 18px; letter-spacing: -0.01em; }
h2 { margin: 0; padding: 16px 20px 12px; font-size: 15px; }
h2 span { color: var(--muted); font-weight: 400; }
nav { margin-left: auto; display: flex; gap: 16px; }
a { color: var(--accent); }
main { display: grid; gap: 20px; max-width: 1200px; margin: 24px auto; padding: 0 24px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; min-width: 0; }
code, .mono { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.connection { margin: 0; color: var(--muted); font-size: 13px; }
.connection::before { content: ""; display: inline-block; width: 8px; height: 8px; margin-right: 7px; border-radius: 50%; background: var(--muted); }
.connection[data-state="live"]::before { background: var(--good); }
.connection[data-state="lost"]::before { background: var(--bad); }
.error { margin: 0; padding: 12px 20px; border-radius: 10px; background: var(--bad-bg); color: var(--bad); }
form { display: flex; flex-wrap: wrap; align-items: center; gap: 12px; padding: 16px 20px; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
input, form button { padding: 7px 12px; border: 1px solid var(--line); border-radius: 6px; background: var(--page); color: inherit; font: inherit; }
form button { border-color: var(--accent); background: var(--accent); color: var(--card); cursor: pointer; }
.empty { padding: 28px 20px 36px; color: var(--muted); text-align: center; }
.empty p { margin: 4px 0; }
.scroll { overflow-x: auto; max-height: 60vh; }
table { width: 100%; border-collapse: collapse; white-space: nowrap; }
th { position: sticky; top: 0; background: var(--card); color: var(--muted); font-size: 12px; font-weight: 600; text-align: left; }
th, td { padding: 8px 20px; border-bottom: 1px solid var(--line); }
tbody tr:last-child td { border-bottom: 0; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
#rows tr:hover, #rows tr[aria-selected="true"] { background: var(--hover); }
#rows button { padding: 0; border: 0; background: none; color: var(--accent); cursor: pointer; font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.chip { display: inline-block; padding: 1px 9px; border-radius: 20px; background: var(--run-bg); color: var(--run); font-size: 12px; font-weight: 600; }
.chip[data-status="CONFIRMED"] { background: var(--good-bg); color: var(--good); }
.chip[data-status="AWAITING_PAYMENT"], .chip[data-status="ROLLING_BACK"] { background: var(--wait-bg); color: var(--wait); }
.chip[data-status="ROLLED_BACK"], .chip[data-status="NEEDS_ATTENTION"] { background: var(--bad-bg); color: var(--bad); }
.summary { margin: 0; padding: 0 20px 12px; color: var(--muted); }
time { color: var(--muted); font-variant-numeric: tabular-nums; }
`;
