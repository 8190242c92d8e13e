"use strict";
(async () => {
  const holder = document.getElementById("data");
  if (!holder || !window.DecompressionStream) return;
  const bytes = Uint8Array.from(atob(holder.textContent.trim()), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const content = JSON.parse(await new Response(stream).text());
  const { models, losses, menu, stops, specs } = content;
  if (!stops.length) return; // every run diverged before it was measured

  const rowsOf = (columns) => {
    const keys = Object.keys(columns);
    return (columns[keys[0]] ?? []).map((_, at) => {
      const row = Object.fromEntries(keys.map((key) => [key, columns[key][at]]));
      if ("loss" in row) row.name = losses[row.loss];
      return row;
    });
  };
  const tables = Object.fromEntries(
    Object.entries(content.tables).map(([name, columns]) => [name, rowsOf(columns)]));
  const place = (row) => [row.model, row.loss, row.seed, row.epoch, row.after].join();
  const placed = new Map(tables.rows.map((row) => [place(row), row]));
  for (const bin of tables.bins) {
    const row = placed.get(place(bin));
    bin.ece = row?.top_label_ece ?? null;
    bin.temperature = row?.temperature ?? null;
  }

  const state = { metric: 0, after: 0, stop: stops.length - 1, off: new Set() };
  const read = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    if (![...asked.keys()].some((key) => ["metric", "epoch", "after", "off"].includes(key))) return false;
    const found = menu.findIndex((choice) => choice.metric === asked.get("metric"));
    state.metric = Math.max(found, 0);
    state.after = asked.get("after") === "1" ? 1 : 0;
    const stop = stops.indexOf(Number(asked.get("epoch")));
    state.stop = stop < 0 ? stops.length - 1 : stop;
    state.off = new Set((asked.get("off") ?? "").split(",").filter(Boolean).map(Number));
    return true;
  };
  const write = () => {
    const off = [...state.off].sort((one, other) => one - other).join();
    const asked = new URLSearchParams({
      epoch: stops[state.stop], metric: menu[state.metric].metric, after: state.after,
      ...(off ? { off } : {}),
    });
    history.replaceState(null, "", `#${asked}`);
  };
  const signals = () => {
    const choice = menu[state.metric];
    const [low, high] = choice.limits[state.after];
    return {
      metric: choice.metric, label: choice.label, scale: choice.scale,
      digits: `.${choice.digits}f`, after: state.after, epoch: stops[state.stop],
      low, high, hidden: [...state.off], early: content.early,
    };
  };

  const sized = (spec, chart, width) => {
    const room = Math.max(width - (content.margins[chart] ?? 60), 120);
    if (spec.vconcat) spec.vconcat.forEach((strip) => { strip.width = room; });
    else if (spec.facet) spec.columns = Math.max(1, Math.floor(width / content.facet));
    else spec.width = room;
    return spec;
  };
  const places = [...document.querySelectorAll(".live[data-chart]")];
  const views = new Map();
  const said = [];
  const name = (at) => at.querySelector("svg")?.setAttribute(
    "aria-label", `${at.dataset.label}. ${said[Number(at.dataset.model)]}`);
  const draw = async (place) => {
    const { chart, model } = place.dataset;
    const spec = sized(structuredClone(specs[chart]), chart, place.clientWidth);
    const now = signals();
    const used = (spec.params ?? []).map((param) => param.name);
    for (const param of spec.params ?? []) if (param.name in now) param.value = now[param.name];
    const own = Object.entries(tables).map(([name, rows]) =>
      [name, rows.filter((row) => row.model === Number(model))]);
    spec.datasets = { ...spec.datasets, ...Object.fromEntries(own) };
    views.get(place)?.result.finalize();
    const result = await vegaEmbed(place, spec, {
      ast: true, actions: false, renderer: "svg", mode: "vega-lite", defaultStyle: false,
      tooltip: { disableDefaultStyle: true }, logLevel: 1,
    });
    views.set(place, { result, used, width: place.clientWidth });
    name(place);
  };

  const digits = (value, choice) => (choice.scale * value).toFixed(choice.digits).replace("-", "−");
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const known = (rows, key) => rows.map((row) => row[key]).filter((value) => value !== null && value !== undefined);
  const told = (rows, key, scale, places) => {
    const values = known(rows, key);
    if (!values.length) return "–";
    const spell = (value) => (scale * value).toFixed(places).replace("-", "−");
    const half = (Math.max(...values) - Math.min(...values)) / 2;
    return spell(mean(values)) + (values.length > 1 ? ` ± ${spell(half)}` : "");
  };
  const cell = (tag, text, scope) => {
    const made = document.createElement(tag);
    made.textContent = text;
    if (scope) made.scope = scope;
    return made;
  };
  const numbers = () => {
    const body = document.querySelector("#at-epoch tbody");
    if (!body) return;
    const choice = menu[state.metric];
    const epoch = stops[state.stop];
    const here = tables.rows.filter((row) => row.epoch === epoch && row.after === state.after && !row.diverged);
    const stage = state.after ? "after temperature" : "as trained";
    const lines = [];
    const lowest = [];
    models.forEach((model, at) => {
      const floor = tables.floors.find((row) => row.model === at && row.epoch === epoch && row.after === state.after);
      const values = [];
      losses.forEach((loss, place) => {
        const rows = here.filter((row) => row.model === at && row.loss === place);
        if (!rows.length || state.off.has(place)) return;
        const line = document.createElement("tr");
        line.append(cell("th", loss, "row"), cell("td", model),
          cell("td", told(rows, choice.metric, choice.scale, choice.digits)),
          cell("td", floor?.[choice.metric] == null ? "–" : digits(floor[choice.metric], choice)),
          cell("td", told(rows, "temperature", 1, 2)), cell("td", told(rows, "nll", 1, 3)),
          cell("td", told(rows, "error_rate", 100, 2)));
        lines.push(line);
        const found = known(rows, choice.metric);
        if (found.length) values.push({ value: mean(found), loss });
      });
      const spell = ({ value, loss }) => `${loss} ${digits(value, choice)}`;
      said[at] = `Epoch ${epoch}, ${stage}, ${choice.label}: ${values.map(spell).join("; ")}.`;
      if (values.length) {
        const best = values.reduce((one, other) => (other.value < one.value ? other : one));
        lowest.push(`${model}: lowest for ${best.loss} (${digits(best.value, choice)}${choice.unit ? ` ${choice.unit}` : ""})`);
      }
    });
    body.replaceChildren(...lines);
    document.querySelector("#at-epoch thead .chosen").textContent = choice.label;
    document.getElementById("now").textContent =
      `Epoch ${epoch} of ${content.epochs}, ${stage}. ` +
      `${choice.name}, ${lowest.join("; ")}.`;
    const term = document.getElementById("term");
    term.textContent = `What is ${choice.name}?`;
    term.href = `#term-${choice.term}`;
  };

  // Charts out of sight wait until they are scrolled to.
  const near = new Set();
  const stale = new Set();
  const refresh = async (place) => {
    stale.delete(place);
    const view = views.get(place);
    if (!view || Math.abs(place.clientWidth - view.width) > 8) return draw(place);
    const now = signals();
    for (const name of view.used) view.result.view.signal(name, now[name]);
    await view.result.view.runAsync();
    return name(place);
  };
  let working = Promise.resolve();
  const work = () => {
    working = working.then(async () => {
      for (const place of [...stale]) if (near.has(place)) await refresh(place);
    });
    return working;
  };
  const update = () => {
    numbers();
    for (const place of places) stale.add(place);
    return work();
  };

  const panel = document.getElementById("controls");
  const slider = panel.querySelector("#epoch");
  const metric = panel.querySelector("#metric");
  const after = panel.querySelector("#after");
  const show = () => {
    slider.value = state.stop;
    slider.setAttribute("aria-valuetext", `epoch ${stops[state.stop]}`);
    panel.querySelector("output").textContent = stops[state.stop];
    metric.value = menu[state.metric].metric;
    after.checked = Boolean(state.after);
    document.querySelectorAll("button[data-loss]").forEach((button) =>
      button.setAttribute("aria-pressed", String(!state.off.has(Number(button.dataset.loss)))));
  };
  const changed = () => { show(); write(); update(); };
  slider.max = stops.length - 1;
  slider.addEventListener("input", () => { state.stop = Number(slider.value); changed(); });
  metric.addEventListener("change", () => {
    state.metric = menu.findIndex((choice) => choice.metric === metric.value);
    changed();
  });
  after.addEventListener("change", () => { state.after = Number(after.checked); changed(); });
  document.querySelectorAll("#figure-1 .legend li[data-loss]").forEach((item) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.loss = item.dataset.loss;
    button.append(...item.childNodes);
    item.append(button);
    const place = Number(item.dataset.loss);
    button.addEventListener("click", () => {
      if (!state.off.delete(place)) state.off.add(place);
      changed();
    });
    button.addEventListener("dblclick", () => {
      state.off = new Set(losses.keys());
      state.off.delete(place);
      changed();
    });
  });
  document.getElementById("all-losses").addEventListener("click", () => { state.off.clear(); changed(); });

  read();
  document.documentElement.classList.add("live-page");
  show();
  numbers();
  const observer = new IntersectionObserver((seen) => {
    for (const { target, isIntersecting } of seen) {
      if (isIntersecting) near.add(target); else near.delete(target);
    }
    work().then(() => { document.documentElement.dataset.ready = "yes"; });
  }, { rootMargin: "300px" });
  for (const place of places) { stale.add(place); observer.observe(place); }
  window.addEventListener("hashchange", () => { if (read()) { show(); update(); } });
  let pause;
  window.addEventListener("resize", () => {
    clearTimeout(pause);
    pause = setTimeout(update, 200);
  });
})();
