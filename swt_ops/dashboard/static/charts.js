"use strict";
/* Charts: curves of the snapshot, drawn by Plotly in the page's own colours. */
(function () {
  const CHARTS = [
    { id: "chart-expectancy", x: "episode", curves: [["Rolling/expectancy_pips", "rolling", "blue"],
      ["Performance/expectancy_pips", "self-play", "grey"], ["Selection/expectancy_pips", "validation range", "green"]] },
    { id: "chart-pips", x: "episode", curves: [["Performance/self_play_pips", "self-play", "grey"],
      ["Selection/pips_per_session", "validation range", "green"]] },
    { id: "chart-losses", x: "episode", log: true, curves: [["Loss/total", "total", "blue"],
      ["Loss/policy", "policy", "green"], ["Loss/value", "value", "amber"], ["Loss/reward", "reward", "grey"],
      ["Loss/chance", "chance", "red"]] },
    { id: "chart-buffer", x: "episode", zero: true, curves: [["Training/buffer_sessions", "sessions", "blue"],
      ["Training/buffer_trading_share", "share with trades", "amber", "second"]] },
    { id: "chart-actions", x: "episode", curves: [["Actions/HOLD", "HOLD", "grey"],
      ["Actions/BUY", "BUY", "green"], ["Actions/SELL", "SELL", "red"],
      ["Actions/CLOSE", "CLOSE", "amber"]], percent: true },
    { id: "chart-speed", x: "episode", zero: true, curves: [["Training/episodes_per_s", "episodes/s", "blue"]] },
  ];

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  }

  function axis(extra) {
    return Object.assign({ gridcolor: colour("faint"), zerolinecolor: colour("line"), linecolor: colour("line"),
      tickfont: { size: 11 }, automargin: true, fixedrange: true }, extra);
  }

  function figure(id, traces, x, y, extra) {
    const element = document.getElementById(id);
    element.classList.remove("empty");
    if (!element.classList.contains("js-plotly-plot")) element.replaceChildren();
    const several = traces.length > 1;
    const layout = Object.assign({
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", dragmode: false, hovermode: "x unified",
      font: { family: "system-ui, sans-serif", size: 12, color: colour("muted") },
      hoverlabel: { bgcolor: colour("panel"), bordercolor: colour("line"), font: { color: colour("ink") } },
      margin: { l: 48, r: 14, t: several ? 26 : 8, b: 34 }, showlegend: several,
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 11 } },
      xaxis: axis(x), yaxis: axis(y),
    }, extra || {});
    Plotly.react(element, traces, layout, { displayModeBar: false, responsive: true, scrollZoom: false });
  }

  function empty(id, text) {
    const element = document.getElementById(id);
    if (element.classList.contains("js-plotly-plot")) Plotly.purge(element);
    element.classList.remove("js-plotly-plot");
    element.classList.add("empty");
    element.textContent = text;
  }

  function trace(course, name, colourName, extra) {
    const few = course.x.length < 40;
    return Object.assign({ x: course.x, y: course.y, name: name, type: "scatter", mode: few ? "lines+markers" : "lines",
      line: { color: colour(colourName), width: 1.8 }, marker: { size: 5, color: colour(colourName) } }, extra || {});
  }

  /* Three decades at most: a loss that has vanished must not flatten the others. */
  function logarithmic(traces) {
    const values = traces.flatMap((one) => one.y).filter((value) => value > 0);
    if (!values.length) return {};
    const high = Math.max(...values), low = Math.max(Math.min(...values), high / 1000);
    return { type: "log", range: [Math.log10(low / 1.3), Math.log10(high * 1.3)], dtick: high / low > 100 ? 1 : "D2" };
  }

  function training(courses) {
    const known = new Map(courses.map((course) => [course.name, course]));
    for (const chart of CHARTS) {
      const found = chart.curves.filter((curve) => known.has(curve[0]));
      if (!found.length) { empty(chart.id, "Nothing measured yet."); continue; }
      const traces = found.map((curve) => trace(known.get(curve[0]), curve[1], curve[2],
        curve[3] === "second" ? { yaxis: "y2" } : {}));
      const y = Object.assign({}, chart.log ? logarithmic(traces) : {},
        chart.percent ? { tickformat: ".0%" } : {}, chart.zero ? { rangemode: "tozero" } : {});
      const second = found.some((curve) => curve[3] === "second");
      figure(chart.id, traces, { title: { text: chart.x, font: { size: 11 }, standoff: 6 } }, y, second ? {
        yaxis2: axis({ overlaying: "y", side: "right", tickformat: ".0%", range: [0, 1.02], dtick: 0.25, showgrid: false }),
      } : {});
    }
  }

  function byTime(id, course, colourName, none, shape) {
    if (!course) { empty(id, none); return; }
    const shown = Object.assign({}, course, { x: course.x.map((s) => new Date(s * 1000).toISOString().slice(0, 19)) });
    figure(id, [trace(shown, "pips", colourName, { line: { color: colour(colourName), width: 1.8, shape: shape },
      fill: "tozeroy", fillcolor: "rgba(128,150,180,0.12)", hovertemplate: "%{y:+.1f} pips<extra></extra>" })],
    { type: "date", nticks: 5 }, { ticksuffix: "" });
  }

  function trading(found) {
    const none = "No trade has been closed yet. Trading is allowed by: swt live start";
    byTime("chart-equity", found.realised, "blue", none, "hv");
    byTime("chart-marked", found.marked, "green", "The trader has not decided anything yet.", "linear");
  }

  window.SWTCharts = { training: training, trading: trading };
})();
