"use strict";
/* Reads the snapshot every few seconds and draws it. Every text goes in as text: no state file can bring markup. */
(function () {
  const EVERY_MS = 5000;
  const ACTIONS = ["HOLD", "BUY", "SELL", "CLOSE"];
  const $ = (id) => document.getElementById(id);
  let last = null, lastText = "", failures = 0, busy = false;

  function el(tag, text, kind) {
    const made = document.createElement(tag);
    if (text !== undefined && text !== null) made.textContent = String(text);
    if (kind) made.className = kind;
    return made;
  }
  function number(value) {
    if (value === "Infinity") return Infinity;
    return typeof value === "number" && Number.isFinite(value) ? value : null;
  }
  function fixed(value, digits, sign) {
    const found = number(value);
    if (found === null) return "–";
    if (found === Infinity) return "∞";
    return (sign && found > 0 ? "+" : "") + found.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }
  function percent(value) { const found = number(value); return found === null ? "–" : fixed(100 * found, 0) + " %"; }
  function age(seconds) {
    const s = number(seconds);
    if (s === null) return "";
    if (s < 120) return Math.round(s) + " s ago";
    if (s < 7200) return Math.round(s / 60) + " min ago";
    if (s < 172800) return Math.round(s / 3600) + " h ago";
    return Math.round(s / 86400) + " days ago";
  }
  function utc(seconds, short) {
    const s = number(seconds);
    if (s === null || Math.abs(s) > 8e12) return "–";
    const text = new Date(s * 1000).toISOString();
    return short ? text.slice(5, 16).replace("T", " ") : text.slice(0, 16).replace("T", " ") + " UTC";
  }
  function quality(checkpoint) {
    return fixed(checkpoint.sqn, 2) + (number(checkpoint.sqn) !== null && checkpoint.sqn_reliable === false ? " (unreliable: under 30 trades)" : "");
  }
  function tone(value) { const found = number(value); return !found ? "" : found > 0 ? "up" : "down"; }
  function side(value) { return value > 0 ? "long" : value < 0 ? "short" : "flat"; }

  function table(headings, rows) {
    const made = el("table"), head = made.createTHead().insertRow(), body = made.createTBody();
    for (const heading of headings) {
      const [text, kind] = Array.isArray(heading) ? heading : [heading, ""];
      const cell = el("th", text, kind); cell.scope = "col"; head.append(cell);
    }
    for (const row of rows) {
      const line = body.insertRow();
      for (const item of row) {
        const cell = line.insertCell();
        if (item instanceof Node) cell.append(item);
        else if (Array.isArray(item)) { cell.className = item[1]; if (item[0] instanceof Node) cell.append(item[0]); else cell.textContent = item[0]; }
        else cell.textContent = item;
      }
    }
    const box = el("div", null, "scroll"); box.tabIndex = 0; box.append(made);
    return box;
  }
  function nothing(parts) {
    const made = el("p", null, "empty");
    parts.forEach((part, i) => made.append(i % 2 ? el("code", part) : part));
    return made;
  }
  function put(id, ...nodes) { $(id).replaceChildren(...nodes); }

  function alarms(view) {
    const found = view.status.alarms.map((a) => [a.source, a.text, "alarm"])
      .concat(view.problems.map((p) => [p.source, "broken state file: " + p.text, "alarm"]));
    found.sort((a, b) => (b[0] === "live") - (a[0] === "live"));  // the trader is the one that holds a position
    const nodes = found.map(([source, text, kind]) => {
      const made = el("p", null, kind); made.append(el("b", source + ": "), text); return made;
    });
    const known = view.status.daemons.some((daemon) => daemon.state !== "not yet");
    if (!nodes.length) nodes.push(known ? el("p", "No alarms.", "well")
      : nothing(["Nothing runs here yet. Start everything with ", "swt up", ", see it work with ", "swt demo", ", or name another root: ", "swt dashboard --state-dir DIR", "."]));
    put("alarms", ...nodes);
    document.title = (found.length ? "(" + found.length + ") " : "") + "SWT";
  }

  function idle(live) {
    if (live.emergency) return "EMERGENCY_STOP is set";
    if (!live.started) return "idle: swt live start allows trading";
    if (live.halt_reason) return "halted: " + live.halt_reason;
    if (!live.market_open) return "the market is closed";
    if (live.entry_refusal) return live.entry_refusal;
    if (!live.model_name) return "no model may trade: " + (live.model_refusals[0] || "no checkpoint yet");
    return short(live.model_name);
  }
  function short(name) { return name.replace(/\.safetensors$/, "").replace(/_arch-.*$/, ""); }
  function tile(title, value, more, kind) {
    const made = el("div", null, "tile");
    made.append(el("span", title), el("b", value, kind), el("span", more));
    return made;
  }
  function tiles(view) {
    const live = view.status.live, training = view.training, made = [];
    const account = $("account");
    account.textContent = live ? (live.environment === "live" ? "REAL MONEY" : live.environment + " account") : "";
    account.className = "badge" + (live && live.environment === "live" ? " live" : "");
    if (live) {
      made.push(tile("Position", live.units ? fixed(live.units, 0, true) + " units" : "flat",
        live.units ? fixed(live.equity_pips, 1, true) + " pips open" : "market " + (live.market_open ? "open" : "closed"), live.units ? tone(live.equity_pips) : ""));
      made.push(tile("Result", fixed(live.realised_pips, 1, true) + " pips", fixed(live.trades, 0) + " trades, " + (live.win_rate === null ? "–" : percent(live.win_rate)) + " of the last 20 won", tone(live.realised_pips)));
      made.push(tile("Today", fixed(live.realised_today_pips, 1, true) + " pips", "drawdown " + fixed(live.drawdown_pips, 1) + " pips", tone(live.realised_today_pips)));
      const daemon = view.status.daemons.find((d) => d.name === "live"), runs = daemon && daemon.state === "running";
      made.push(runs ? tile("Trader", live.state, idle(live), live.state === "HALTED" ? "down" : "")
        : tile("Trader", daemon ? daemon.state : "unknown", "when last heard of: " + live.state + ", " + idle(live), "warn"));
    } else {
      made.push(tile("Trader", "–", "no status yet: swt up, or swt live run"));
    }
    const episodes = number(training.figures.episode) ?? training.training.episode;
    made.push(tile("Training", fixed(episodes, 0) + " episodes", fixed(training.figures["Training/learner_sessions"], 0) + " sessions learned"));
    const best = training.training.best;
    made.push(tile("Best checkpoint", best ? "SQN " + quality(best) : "–", best ? fixed(best.expectancy_pips, 1, true) + " pips a trade, episode " + fixed(best.episode, 0) : "none yet"));
    const verdict = view.status.verdict || view.verdicts[0];
    made.push(tile("Last verdict", verdict ? verdict.decision : "–", verdict ? verdict.level + ", score " + fixed(verdict.score, 1) : "none yet: swt validate best", verdict ? verdict.decision : ""));
    if (live) made.push(tile("Market time", utc(live.time_s, true), live.feed_stale ? "feed stale" : "last price " + (age(live.tick_age_s) || "–")));
    put("tiles", ...made);
  }

  function daemons(view) {
    const rows = view.status.daemons.map((d) => [d.name, [d.state, "text " + d.state], age(d.age_s), [d.status, "wide"]]);
    put("daemons", rows.length ? table(["daemon", ["state", "text"], "heartbeat", ["doing", "text"]], rows) : el("p", "The state directories cannot be read.", "empty"));
  }

  function bar(visits) {
    const space = "http://www.w3.org/2000/svg", svg = document.createElementNS(space, "svg");
    const total = ACTIONS.reduce((sum, name) => sum + (visits[name] || 0), 0);
    svg.setAttribute("class", "visits"); svg.setAttribute("viewBox", "0 0 100 10"); svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img"); svg.setAttribute("aria-label", ACTIONS.map((name) => name + " " + (visits[name] || 0)).join(", "));
    let x = 0;
    for (const name of ACTIONS) {
      if (!total || !visits[name]) continue;
      const width = 100 * visits[name] / total, rect = document.createElementNS(space, "rect");
      rect.setAttribute("x", x); rect.setAttribute("width", width); rect.setAttribute("height", 10); rect.setAttribute("class", name);
      svg.append(rect); x += width;
    }
    return svg;
  }
  function trading(view) {
    const found = view.trading;
    SWTCharts.trading(found);
    const columns = ["bar", ["action", "text"], ["visits", "text"], "conf.", ["H / B / S / C", "text"], "value", ["done", "text"]];
    const decided = (d) => [utc(d.bar_time_s, true), [d.action, "text"], [bar(d.visits), "text"], percent(d.confidence),
      [ACTIONS.map((name) => d.visits[name] ?? "–").join(" / "), "text"], fixed(d.root_value, 1, true), [d.outcome, "text"]];
    put("decisions", found.decisions.length ? table(columns, found.decisions.slice(0, 10).map(decided))
      : nothing(["No decision yet. The trader decides once a minute while ", "swt up", " runs and trading is allowed (", "swt live start", ")."]));
    put("acted", found.acted.length ? table(columns, found.acted.slice(0, 10).map(decided)) : el("p", "None in the recent days.", "empty"));
    put("trades", found.trades.length ? table(["closed", ["side", "text"], "bars", "pips", "worst"],
      found.trades.slice(0, 10).map((t) => [utc(t.exit_time_s, true), [side(t.side), "text"], fixed(t.bars, 0), [fixed(t.pnl_pips, 1, true), tone(t.pnl_pips)], fixed(-Math.abs(t.mae_pips), 1)]))
      : el("p", "No trade has been closed yet.", "empty"));
    put("events", found.events.length ? table(["time", ["event", "text"], ["detail", "text"]],
      found.events.slice(0, 10).map((e) => [utc(e.time_s, true), [e.event.replaceAll("_", " "), "text"], [e.detail, "wide"]]))
      : el("p", "Nothing but routine.", "empty"));
    const shadow = found.shadow;
    if (!shadow) { put("shadow"); return; }
    const line = (name, s) => [[name, "wide"], fixed(s.trades, 0), [fixed(s.pips, 1, true), tone(s.pips)], fixed(s.open_pips, 1, true), percent(s.win_rate), fixed(s.profit_factor, 2), fixed(s.max_drawdown_pips, 1)];
    put("shadow", el("h3", "A candidate on paper"),
      table([["", "text"], "trades", "pips", "open", "won", "profit factor", "drawdown"], [line("trader", shadow.trader), line(shadow.name, shadow.candidate)]),
      el("p", "Since " + utc(shadow.since_s) + ": " + fixed(shadow.disagreements, 0) + " of " + fixed(shadow.compared, 0) + " decisions differ. The candidate's fills have no slippage.", "muted"));
  }

  function training(view) {
    const courses = view.courses, state = view.training.training;
    put("training-empty", ...(courses.length ? [] : [nothing(["Nothing has been measured yet. Train with ", "swt train", " or run everything with ", "swt up", "."])]));
    $("training-charts").hidden = !courses.length;
    if (courses.length) SWTCharts.training(courses);
    const row = (kind, c) => [kind, fixed(c.episode, 0), age(view.time_s - c.created_s), quality(c), fixed(c.expectancy_pips, 1, true), fixed(c.trades, 0), [c.name, "wide"]];
    const rows = [];
    if (state.best) rows.push(row("best", state.best));
    if (state.newest && (!state.best || state.newest.sha256 !== state.best.sha256)) rows.push(row("newest", state.newest));
    put("checkpoints", ...(rows.length ? [table(["", "episode", "age", "SQN", "pips a trade", "trades", ["file", "text"]], rows),
      el("p", fixed(state.checkpoints, 0) + " kept, " + fixed(view.training.protected, 0) + " of them needed by validator or trader.", "muted")]
      : [el("p", "No checkpoint yet: the first comes after the first selection on the validation range.", "empty")]));
  }

  function verdicts(view) {
    if (!view.verdicts.length) { put("verdicts", nothing(["No verdict yet. ", "swt validate best", " judges the best checkpoint; the validator of ", "swt up", " does so by itself."])); return; }
    const rows = view.verdicts.map((v) => {
      const links = el("span");
      for (const [name, path] of Object.entries(v.reports)) {
        if (!path.startsWith("/reports/")) continue;
        const link = el("a", name.replace("report.", "").replace("trades.", "")); link.href = path; link.target = "_blank"; link.rel = "noopener";
        if (links.childNodes.length) links.append(" · ");
        links.append(link);
      }
      const word = v.decision + (v.expired ? " (expired)" : v.in_force ? "" : " (superseded)");
      const why = (v.synthetic ? ["On simulated bars: never for real money."] : []).concat(v.reasons).join(" ");
      return [[word, "text " + v.decision], [v.level, "text"], fixed(v.score, 1) + " " + v.grade, fixed(v.trades, 0), [fixed(v.expectancy_pips, 1, true), tone(v.expectancy_pips)],
        fixed(v.sqn, 2), fixed(v.sharpe, 2), fixed(v.profit_factor, 2), age(view.time_s - v.created_s), [links, "text"], [short(v.checkpoint_name), "text"], [why, "wide"]];
    });
    put("verdicts", table([["verdict", "text"], ["level", "text"], "score", "trades", "pips a trade", "SQN", "Sharpe", "PF", "reached", ["report", "text"], ["checkpoint", "text"], ["why not better", "text"]], rows));
  }

  function draw(view) {
    $("root").textContent = view.status.root;
    alarms(view); tiles(view); daemons(view); trading(view); training(view); verdicts(view);
    $("control").hidden = !view.control;
  }

  async function read() {
    if (busy) return;
    busy = true;
    try {
      const answer = await fetch("/api/state", { cache: "no-store" });
      if (!answer.ok) throw new Error("HTTP " + answer.status);
      const text = await answer.text();
      last = JSON.parse(text);
      failures = 0;
      const still = text.replace(/"(time_s|age_s|ahead_s|checkpoint_age_s)": [0-9.e+]+/g, "");
      if (still === lastText) { tiles(last); daemons(last); alarms(last); } else { draw(last); lastText = still; }
      $("fresh").textContent = "read " + new Date(last.time_s * 1000).toLocaleTimeString("en-GB");
      $("fresh").className = "muted";
    } catch (error) {
      failures += 1;
      $("fresh").textContent = "not refreshed for " + failures * EVERY_MS / 1000 + " s: is swt dashboard still running?";
      $("fresh").className = "down";
    } finally { busy = false; }
  }

  function confirmed(text) {
    return new Promise((resolve) => {
      const box = $("confirm");
      $("confirm-text").textContent = text;
      const done = (yes) => { box.close(); resolve(yes); };
      $("confirm-yes").onclick = () => done(true);
      $("confirm-no").onclick = () => done(false);
      box.oncancel = () => resolve(false);
      box.showModal();
    });
  }
  async function command(name) {
    const token = $("token").value, answer = $("answer");
    if (!token) { answer.textContent = "Enter the token first."; answer.className = "warn"; $("token").focus(); return; }
    const live = last && last.status.live;
    if (name === "start" && !await confirmed("Allow trading on the " + (live ? live.environment : "configured") + " account?")) return;
    if (name === "emergency" && !await confirmed("Close the position at once and halt?")) return;
    try {
      const reply = await fetch("/control/" + name, { method: "POST", body: "{}",
        headers: { "content-type": "application/json", "x-swt-token": token } });
      const said = await reply.json();
      answer.textContent = said.text; answer.className = said.done ? "up" : "down";
    } catch (error) {
      answer.textContent = "The dashboard did not answer. The way out: swt emergency-close"; answer.className = "down";
    }
    read();
  }

  $("control-form").addEventListener("submit", (event) => event.preventDefault());
  for (const name of ["start", "stop", "emergency"]) $(name).addEventListener("click", () => command(name));
  for (const name of ACTIONS) $("visit-legend").append(el("span", null, "swatch " + name), name);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (last) draw(last); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) read(); });
  setInterval(() => { if (!document.hidden) read(); }, EVERY_MS);
  read();
})();
