"use strict";
// What a row of the table contains, drawn when the row is opened.
const INK = "#1c2126", BLUE = "#0072B2", ORANGE = "#D55E00", GREY = "#767676";
const FONT = { family: "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif", size: 12, color: INK };
const LEGEND = { orientation: "h", x: 0, y: -0.24, yanchor: "top", font: { size: 11 } };
const CONFIG = {
  displaylogo: false, scrollZoom: false,
  modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]],
};

function readJson(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

function drawChart(place, figure) {
  const axis = { gridcolor: "#e3e7ea", zeroline: false, linecolor: INK, ticks: "outside", automargin: true };
  const layout = {
    font: FONT, margin: { l: 52, r: 12, t: 8, b: 44 }, paper_bgcolor: "#fff", plot_bgcolor: "#fff",
    width: place.clientWidth, height: place.clientHeight, hovermode: "closest",
    legend: LEGEND,
    ...figure.layout, xaxis: { ...axis, ...figure.layout.xaxis }, yaxis: { ...axis, ...figure.layout.yaxis },
  };
  return Plotly.newPlot(place, figure.data, layout, CONFIG);
}

function escapeTags(text) { // Plotly reads tags in its texts
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function decode({ kind, base64 }) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return Array.from(new { uint16: Uint16Array, int16: Int16Array, int32: Int32Array }[kind](bytes.buffer));
}

function addChart(parent, size, title, words, figure) {
  const frame = make("figure");
  const place = make("div", undefined, `chart ${size}`);
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", `${title}. ${words}`);
  frame.append(make("h3", title), place, make("figcaption", words));
  parent.append(frame);
  drawChart(place, figure);
}

function addRaster(parent, raster) {
  const times = decode(raster.times).map((tick) => tick / raster.ticks * raster.duration_s);
  const data = [{
    x: times, y: decode(raster.electrodes), mode: "markers",
    marker: { symbol: "line-ns-open", size: 5, color: INK, line: { width: 1 } },
    hovertemplate: "electrode %{y}, %{x:.3f} s<extra></extra>",
  }];
  const layout = {
    xaxis: { title: { text: "time (s)" }, range: [0, raster.duration_s] },
    yaxis: { title: { text: "electrode (number)" }, range: [raster.n_electrodes - 0.5, -0.5] },
  };
  const words = raster.drawn < raster.spikes
    ? `${raster.drawn} of ${raster.spikes} spikes drawn, evenly picked in the order of time.`
    : `All ${raster.spikes} spikes.`;
  addChart(parent, "wide", "Raster", `${words} Drag to zoom, double click to go back.`, { data, layout });
}

function addMap(parent, map, electrodes) {
  const data = [{
    z: map.grid, text: electrodes, type: "heatmap", colorscale: "Viridis", reversescale: true, xgap: 1, ygap: 1, hoverongaps: false,
    colorbar: { title: { text: map.unit, side: "right" }, thickness: 12, outlinewidth: 0 },
    hovertemplate: `electrode %{text} (row %{y}, column %{x}): %{z} ${map.unit}<extra></extra>`,
  }];
  const ticks = { dtick: 2, showgrid: false };
  const layout = {
    xaxis: { title: { text: "column of the grid" }, constrain: "domain", ...ticks },
    yaxis: { title: { text: "row of the grid" }, autorange: "reversed", scaleanchor: "x", constrain: "domain", ...ticks },
  };
  addChart(parent, "square", `Electrode map: ${map.name}`, "The darker, the more. White: no electrode.", { data, layout });
}

function addTraces(parent, traces, side, title, words) {
  const data = [], shapes = [];
  traces.forEach((trace, number) => {
    const time = (sample) => trace.start_s + sample / trace.sampling_rate_hz;
    const samples = decode(trace[side].samples);
    const values = decode(trace[side].tenths_uv).map((tenths) => tenths / 10);
    const known = new Map(samples.map((sample, index) => [sample, values[index]]));
    const peaks = decode(trace.peaks);
    const colour = [BLUE, ORANGE][number], axis = number ? "y2" : "y";
    data.push({ x: samples.map(time), y: values, mode: "lines", line: { color: colour, width: 1 }, name: escapeTags(trace.name), yaxis: axis });
    data.push({
      x: peaks.map(time), y: peaks.map((peak) => known.get(peak)), mode: "markers", yaxis: axis,
      name: `its peaks (threshold ±${trace.threshold_uv.toFixed(1)} µV)`,
      marker: { symbol: ["circle-open", "square-open"][number], size: 8, color: INK },
    });
    [-1, 1].forEach((sign) => shapes.push({
      type: "line", xref: "x domain", x0: 0, x1: 1, yref: axis, y0: sign * trace.threshold_uv, y1: sign * trace.threshold_uv,
      line: { color: GREY, width: 1, dash: "dash" },
    }));
  });
  const layout = {
    shapes,
    legend: { ...LEGEND, y: -0.36 },
    xaxis: { title: { text: "time (s)" }, anchor: traces.length > 1 ? "y2" : "y" },
    yaxis: { title: { text: "µV" }, domain: traces.length > 1 ? [0.55, 1] : [0, 1] },
    yaxis2: { title: { text: "µV" }, domain: [0, 0.45], gridcolor: "#e3e7ea", zeroline: false, linecolor: INK },
  };
  addChart(parent, "wide", title, words, { data, layout });
}

function addChunks(parent, chunks) {
  const own = (correct) => chunks.percent.map((value, index) => (chunks.correct[index] === correct ? value : null));
  const mark = (correct, name, symbol, colour) => ({
    x: chunks.middle_s, y: own(correct), mode: "markers", name, text: chunks.predicted.map(escapeTags),
    marker: { symbol, size: 8, color: colour }, hovertemplate: "%{x:.1f} s: %{y:.1f} %, predicted %{text}<extra></extra>",
  });
  const data = [
    { x: chunks.middle_s, y: chunks.percent, mode: "lines", line: { color: GREY, width: 1 }, showlegend: false, hoverinfo: "skip" },
    mark(true, `predicted ${escapeTags(chunks.label)}`, "circle", BLUE), mark(false, "predicted otherwise", "x", ORANGE),
  ];
  const layout = {
    xaxis: { title: { text: "time (s)" } },
    yaxis: { title: { text: "probability of its label (%)" }, range: [-4, 104] },
  };
  const words = `Probability of its label, ${chunks.label}, in each chunk, from the model that held it out.`;
  addChart(parent, "wide", "Predictions of its chunks", words, { data, layout });
}

function addImage(parent, words, source) {
  const frame = make("figure", undefined, "image wide");
  const image = make("img");
  image.src = source;
  image.alt = words;
  frame.append(make("h3", words), image);
  parent.append(frame);
}

// Of many recordings, each detail is a script beside the page: it calls receiveDetail with what it holds.
const waiting = new Map();
window.receiveDetail = (number, detail) => waiting.get(String(number))(detail);

window.fillDetail = (row, cell) => {
  const { number, detail } = row.dataset;
  if (detail === "inside") {
    drawDetail(row, cell, readJson(`data-${number}`));
    return;
  }
  if (detail === "none") {
    cell.append(makeProperties(JSON.parse(row.dataset.properties)));
    cell.append(make("p", "Not drawn: of so many recordings only those are whose prediction is wrong or least confident. Name this one in report.show, and run dvc repro report.", "note"));
    return;
  }
  const script = document.createElement("script");
  waiting.set(number, (found) => drawDetail(row, cell, found));
  script.src = `details/${number}.js`;
  script.onerror = () => cell.append(make("p", `details/${number}.js is not beside this page: copy the whole folder.`, "note"));
  document.head.append(script);
};

function drawDetail(row, cell, { properties, raster, electrodes, maps, traces, chunks }) {
  const attribution = document.getElementById(`attribution-${row.dataset.number}`);
  cell.append(makeProperties([...JSON.parse(row.dataset.properties), ...properties]));
  const charts = make("div", undefined, "charts");
  cell.append(charts);
  addRaster(charts, raster);
  addMap(charts, maps[0], electrodes);
  addChunks(charts, chunks);
  if (maps[1]) addMap(charts, maps[1], electrodes);
  if (traces.length) {
    addTraces(charts, traces, "before", "Traces before spike detection, with peaks", "The two busiest electrodes in their busiest quarter of a second, as recorded; dashed: the detection threshold.");
    addTraces(charts, traces, "after", "Traces after spike detection, with peaks", "The same, with everything but the spikes set to 0.");
  }
  if (attribution) addImage(charts, "Attributions", attribution.querySelector("img").src);
  const missing = [];
  if (!traces.length) missing.push("No traces: the file contains spike times.");
  if (!attribution) missing.push("No attributions: mea explain NAME computes them.");
  cell.append(make("p", missing.join(" "), "note"));
}
