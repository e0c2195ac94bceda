// The heat map, the lines and the Pareto front of a sweep, of whatever the reader chooses. Without it the page shows the
// heat map of the first choice, the front and all runs as tables.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("sweep-data").textContent);
  const { axes, measures, states, files, keys, shades, inks, marks } = data;
  const runs = states.length;
  const [VERIFIED, NOT_VERIFIED] = ["3", "2"];
  const ENDINGS = ["missing", "failed", "not verified", "no number"];
  const DECADE = 10; // values that span so much are shown by their logarithms
  const MOST_LINKED = 2000; // points that are links each; more are drawn as one
  const byName = new Map(measures.map((one) => [one.name, one]));

  // Numbers in words

  const raised = (power) => String(power).replace(/./g, (letter) => "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"["0123456789-".indexOf(letter)]);
  // A few digits; powers of ten where a number is very large or small.
  const brief = (value, figures = 3) => {
    if (value === 0) return "0";
    const size = Math.floor(Math.log10(Math.abs(value)));
    const small = -5 < size && size < 5;
    const words = small ? value.toFixed(Math.max(0, figures - 1 - size)) : `${(value / 10 ** size).toFixed(figures - 1)}·10${raised(size)}`;
    return words.replace(/-/g, "−");
  };
  // A number beside an axis: as short as it goes.
  const tick = (value) => {
    if (value !== 0 && !(Math.abs(value) >= 1e-3 && Math.abs(value) < 1e5)) {
      const [mantissa, power] = value.toExponential(2).split("e");
      const number = Number(mantissa);
      return `${number === 1 ? "" : `${number}·`}10${raised(Number(power))}`.replace(/^-/, "−");
    }
    return String(Number(value.toPrecision(4))).replace("-", "−");
  };
  const listed = (names) => (names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0] ?? "");

  // Elements; text is only ever set as text

  const element = (name, attributes = {}, ...children) => {
    const made = name.startsWith("svg:") ? document.createElementNS("http://www.w3.org/2000/svg", name.slice(4)) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const broken = (key) => key.split(".").flatMap((word, n, all) => (n + 1 < all.length ? [`${word}.`, element("wbr")] : [word]));
  const svg = (name, attributes, ...children) => element(`svg:${name}`, attributes, ...children);
  const percent = (share) => `${(100 * share).toFixed(2)}%`;
  const inked = (made, number) => {
    const ink = inks[number % inks.length];
    made.classList.add("ink");
    made.style.setProperty("--on-white", ink.light);
    made.style.setProperty("--on-black", ink.dark);
    return made;
  };
  const shapes = Object.values(marks);
  const shape = (number) => shapes[(number + Math.floor(number / inks.length)) % shapes.length];

  // Colours: between two shades, and the ink that is read on the mixture

  const channels = (colour) => [1, 3, 5].map((place) => Number.parseInt(colour.slice(place, place + 2), 16));
  const colours = (share) => {
    const at = Math.min(Math.max(share, 0), 1) * (shades.length - 1);
    const first = Math.min(Math.floor(at), shades.length - 2);
    const [one, other] = [channels(shades[first]), channels(shades[first + 1])];
    const mixed = one.map((channel, n) => Math.floor(channel + (other[n] - channel) * (at - first) + .5));
    const linear = mixed.map((channel) => (channel / 255 <= .04045 ? channel / 255 / 12.92 : ((channel / 255 + .055) / 1.055) ** 2.4));
    const luminance = .2126 * linear[0] + .7152 * linear[1] + .0722 * linear[2];
    return [`rgb(${mixed.join(" ")})`, luminance > .179 ? "#000000" : "#ffffff"];
  };

  // Scales: the place of a value between 0 and 1, and ticks

  const spans = (low, high) => low > 0 && high / low >= DECADE;
  const extent = (values) => { // of what is finite; of very many values, too
    let low = Infinity, high = -Infinity;
    for (const value of values) if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
    return [low, high];
  };
  const scaleOf = (values, { padded = true } = {}) => {
    let [low, high] = extent(values);
    if (low > high) [low, high] = [0, 1];
    const logarithmic = spans(low, high);
    if (logarithmic) {
      const room = padded ? (high / low) ** .06 : 1;
      [low, high] = [low / room, high * room];
    } else {
      if (padded && low > 0 && low < .5 * high) low = 0;
      const room = padded ? .06 * (high - low) || Math.abs(high) * .1 || 1 : 0;
      if (low !== 0) low -= room;
      high += room;
    }
    const place = logarithmic ? (value) => (value > 0 ? Math.log(value / low) / Math.log(high / low) : NaN) : (value) => (value - low) / (high - low);
    return { low, high, logarithmic, place };
  };
  const ticksOf = (scale, most) => {
    const { low, high } = scale;
    let found = [];
    if (scale.logarithmic) {
      const decades = Math.log10(high / low);
      const between = decades <= 1.2 ? [1, 2, 3, 5, 7] : decades <= 2.5 ? [1, 2, 5] : [1];
      for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
        for (const one of between) found.push(one * 10 ** power);
      }
      found = found.filter((value) => value >= low && value <= high);
      if (found.length > 2 * most) found = found.filter((_, n) => n % Math.ceil(found.length / most) === 0);
    } else {
      const rough = (high - low) / most;
      const size = 10 ** Math.floor(Math.log10(rough));
      const step = [1, 2, 5, 10].map((one) => one * size).find((one) => one >= rough * .999);
      for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9 * step; n++) found.push(n * step);
    }
    return found.map((value) => [scale.place(value), tick(Number(value.toPrecision(12)))]);
  };
  // Of names and numbers below an axis those that have room, cut to it.
  const roomy = (ticks, width) => {
    const kept = [];
    let free = -Infinity;
    const least = Math.min(1, extent(ticks.slice(1).map(([share], n) => share - ticks[n][0]))[0]) * width;
    for (const [share, words] of ticks) {
      const most = Math.max(4, Math.floor(least / 7) - 1);
      const text = words.length > most ? `${words.slice(0, most - 1)}…` : words;
      const half = 3.4 * text.length + 3;
      if (share * width - half < free) continue;
      free = share * width + half;
      kept.push([share, text, words]);
    }
    return kept;
  };

  // A chart: axes, what is inside, and how large it is, as those of the other pages are made

  const chart = (host, x, y, { words, role = "img", height = 320 }) => {
    const width = Math.max(host.clientWidth - 64, 120);
    const drawing = svg("svg", { role, "aria-label": words, width: "100%", height: "100%" });
    for (const [share, text] of y.ticks) {
      if (share < -1e-9 || share > 1 + 1e-9) continue;
      drawing.append(
        svg("line", { class: "grid", x1: 0, x2: "100%", y1: percent(1 - share), y2: percent(1 - share) }),
        svg("text", { class: "tick", x: 0, y: percent(1 - share), dx: -7, dy: 4, "text-anchor": "end" }, text),
      );
    }
    for (const [share, text, whole] of roomy(x.ticks, width)) {
      const words_ = svg("text", { class: "tick", x: percent(share), y: "100%", dy: 18, "text-anchor": "middle" }, text);
      if (whole !== text) words_.append(svg("title", {}, whole));
      drawing.append(svg("line", { class: "grid", x1: percent(share), x2: percent(share), y1: 0, y2: "100%" }), words_);
    }
    drawing.append(
      svg("line", { class: "axis", x1: 0, x2: "100%", y1: "100%", y2: "100%" }),
      svg("text", { class: "label", x: "100%", y: "100%", dy: 36, "text-anchor": "end" }, x.label),
      svg("text", { class: "label", x: 0, y: 0, dx: -46, dy: -10 }, y.label),
    );
    const field = svg("svg", { class: "field", viewBox: "0 0 1000 1000", preserveAspectRatio: "none", width: "100%", height: "100%" });
    drawing.append(field);
    const plot = element("div", { class: "plot" }, drawing);
    plot.style.height = `${height}px`;
    host.replaceChildren(plot);
    return { drawing, field, host, width, height };
  };
  const markAt = (x, y, number, { hollow = false, size = 1 } = {}) => inked(
    svg("svg", { x: percent(x), y: percent(1 - y), overflow: "visible" },
      svg("path", { class: hollow ? "mark hollow" : "mark", d: shape(number), ...(size === 1 ? {} : { transform: `scale(${size})` }) })),
    number,
  );
  const whisker = (x, low, high, number) => {
    const [bottom, top] = [Math.max(low, 0), Math.min(high, 1)];
    const made = inked(svg("g", {}, svg("line", { class: "whisker", x1: percent(x), x2: percent(x), y1: percent(1 - bottom), y2: percent(1 - top) })), number);
    for (const [end, inside] of [[bottom, low > 0], [top, high <= 1]]) {
      if (inside) made.append(svg("svg", { x: percent(x), y: percent(1 - end), overflow: "visible" }, svg("path", { class: "whisker", d: "M-5 0H5" })));
    }
    return made;
  };
  const path = (points) => {
    let words = "", pen = "M";
    for (const [x, y] of points) {
      if (Number.isFinite(x) && Number.isFinite(y)) {
        words += `${pen}${(1000 * x).toFixed(1)} ${(1000 * (1 - Math.max(-9, Math.min(9, y)))).toFixed(1)}`;
        pen = "L";
      } else pen = "M";
    }
    return words;
  };
  const dashed = (made, number) => {
    const { dash } = inks[number % inks.length];
    if (dash) made.setAttribute("stroke-dasharray", dash);
    return made;
  };
  const legend = (title, names, { lines = false } = {}) => {
    const list = element("ul", { class: "legend" });
    if (title) list.append(element("li", {}, `${title}:`));
    names.forEach((name, number) => {
      const sample = inked(svg("svg", { class: "sample", width: lines ? 34 : 16, height: 16, "aria-hidden": "true" }), number);
      if (lines) sample.append(dashed(svg("path", { class: "curve", d: "M1 8H33" }), number));
      sample.append(svg("g", { transform: `translate(${lines ? 17 : 8} 8)` }, svg("path", { class: "mark", d: shape(number) })));
      list.append(element("li", {}, sample, ` ${name}`));
    });
    return list;
  };

  // Means over some runs

  const choices = (form) => {
    const found = {};
    for (const one of form.elements) if (one.name) found[one.name] = one.type === "checkbox" ? one.checked : one.value;
    return found;
  };

  const absent = (endings) => {
    const told = ENDINGS.map((name, n) => [endings.filter((ending) => ending === String(n)).length, name]).filter(([count]) => count);
    if (!told.length) return "no run";
    return told.map(([count, name]) => (told.length === 1 ? name : `${count} ${name}`)).join(", ");
  };

  // The spread is that over seeds, at the same other settings, where seeds vary; else that over all that is averaged.
  const means = (measure, across, down, fixed, unverified) => {
    const others = axes.map((_, n) => n).filter((n) => n !== across && n !== down && !(n in fixed));
    const seeds = others.filter((n) => axes[n].seed);
    const grouping = seeds.length ? others.filter((n) => !axes[n].seed) : [];
    const width = axes[across].labels.length;
    const height = down === null ? 1 : axes[down].labels.length;
    const cells = Array.from({ length: width * height }, () => ({ groups: new Map(), count: 0, wanted: 0, doubtful: 0, sum: 0, endings: [] }));
    for (let run = 0; run < runs; run++) {
      if (Object.entries(fixed).some(([n, code]) => axes[n].codes[run] !== code)) continue;
      const cell = cells[(down === null ? 0 : axes[down].codes[run]) * width + axes[across].codes[run]];
      cell.wanted++;
      const value = measure.values[run];
      if (value === null || !(states[run] === VERIFIED || (unverified && states[run] === NOT_VERIFIED))) {
        cell.endings.push(unverified && states[run] === NOT_VERIFIED ? VERIFIED : states[run]);
        continue;
      }
      cell.count++;
      cell.sum += value;
      cell.doubtful += states[run] !== VERIFIED;
      const name = grouping.map((n) => axes[n].codes[run]).join();
      cell.groups.set(name, [...(cell.groups.get(name) ?? []), value]);
    }
    for (const cell of cells) {
      cell.mean = cell.count ? cell.sum / cell.count : NaN;
      let squares = 0;
      for (const values of cell.groups.values()) {
        const centre = values.reduce((sum, value) => sum + value, 0) / values.length;
        for (const value of values) squares += (value - centre) ** 2;
      }
      cell.spread = cell.count > cell.groups.size ? Math.sqrt(squares / (cell.count - cell.groups.size)) : NaN;
      cell.words = cell.count ? "" : absent(cell.endings);
    }
    const rows = Array.from({ length: height }, (_, n) => cells.slice(n * width, (n + 1) * width));
    return { rows, others, spreadOver: seeds.length ? seeds : others, seeds: seeds.length > 0 };
  };

  const told = (measure, found, fixed, unverified) => {
    const set = Object.entries(fixed).map(([n, code]) => `${axes[n].key} ${axes[n].labels[code]}`);
    const at = set.length ? `, at ${listed(set)}` : "";
    const which = unverified ? "runs with a number, † where one of them is not verified" : "verified runs";
    const names = (numbers) => listed(numbers.map((n) => axes[n].key));
    if (!found.others.length) return `${measure.title} of the ${unverified ? "run" : "verified run"} in each place${at}${unverified ? "; † is not verified" : ""}.`;
    const alike = found.seeds ? " at otherwise equal settings" : "";
    return `${measure.title}: the mean over ${names(found.others)} of the ${which}${at}; ± is the standard deviation over ${names(found.spreadOver)}${alike}, n how many runs are in a mean.`;
  };

  // The heat map and the lines

  const mapForm = document.getElementById("map-choices");
  const fixing = mapForm ? [...mapForm.querySelectorAll("[data-fixed]")] : [];

  const drawHeat = (measure, found, across, down) => {
    const cells = found.rows.flat();
    const there = cells.filter((cell) => cell.count).map((cell) => cell.mean);
    const [low, high] = extent(there);
    const logarithmic = spans(low, high);
    const share = (value) => (!(high > low) ? .5 : logarithmic ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low));
    const counted = cells.some((cell) => cell.wanted > 1);
    const table = document.getElementById("heat");
    const head = table.tHead, body = table.tBodies[0];
    head.replaceChildren();
    if (down !== null) head.append(element("tr", {}, element("td"), element("th", { scope: "colgroup", colspan: axes[across].labels.length }, axes[across].key)));
    head.append(element("tr", {}, element("th", { scope: "col", class: "corner" }, ...broken(axes[down ?? across].key)), ...axes[across].labels.map((name) => element("th", { scope: "col" }, name))));
    body.replaceChildren(...found.rows.map((row, n) => element("tr", {},
      element("th", { scope: "row" }, down === null ? "all" : axes[down].labels[n]),
      ...row.map((cell) => {
        if (!cell.count) return element("td", { class: "absent" }, element("span", {}, cell.words));
        const made = element("td", {}, element("span", {}, brief(cell.mean) + (cell.doubtful ? "†" : "")));
        if (Number.isFinite(cell.spread)) made.append(element("span", {}, `± ${brief(cell.spread, 2)}`));
        if (counted) made.append(element("span", {}, `n ${cell.count}${cell.count < cell.wanted ? ` of ${cell.wanted}` : ""}`));
        [made.style.background, made.style.color] = colours(share(cell.mean));
        return made;
      }))));
    const ramp = element("span", { class: "ramp" });
    ramp.style.background = `linear-gradient(90deg, ${shades.join(", ")})`;
    const key = document.getElementById("heat-legend");
    if (there.length > 1) key.replaceChildren(`${measure.title}: ${brief(low)}`, ramp, `${brief(high)}${logarithmic ? ", in shades of its logarithm" : ""}`);
    else key.replaceChildren();
  };

  const drawLines = (measure, found, across, down) => {
    const host = document.getElementById("lines");
    const axis = axes[across];
    const cells = found.rows.flat().filter((cell) => cell.count);
    if (!cells.length) return host.replaceChildren(element("p", { class: "note" }, "Nothing to draw: no run has this number."));
    // Numbers that span decades, and zero, would lie upon each other: they stand at equal distances, as names do.
    const crowded = axis.numbers && axis.numbers.some((one) => one <= 0) && spans(...extent(axis.numbers.filter((one) => one > 0)));
    const x = axis.numbers && !crowded ? scaleOf(axis.numbers) : null;
    if (x && !x.logarithmic) { // from the first level to the last, with a little room on both sides
      const [low, high] = extent(axis.numbers);
      const room = .04 * (high - low);
      x.place = (value) => (value - low + room) / (high - low + 2 * room);
    }
    const places = axis.labels.map((_, n) => (x ? x.place(axis.numbers[n]) : (n + .5) / axis.labels.length));
    const middle = scaleOf(cells.map((cell) => cell.mean), { padded: false });
    const reach = cells.flatMap((cell) => {
      const ends = Number.isFinite(cell.spread) ? [cell.mean - cell.spread, cell.mean, cell.mean + cell.spread] : [cell.mean];
      return middle.logarithmic ? ends.filter((end) => end > .3 * middle.low) : ends.map((end) => (middle.low > 0 ? Math.max(end, 0) : end));
    });
    const y = scaleOf(reach);
    const names = down === null ? [] : axes[down].labels;
    const drawn = chart(host,
      { ticks: places.map((place, n) => [place, axis.labels[n]]), label: axis.key + (x?.logarithmic ? " (logarithmic)" : crowded ? " (not to scale)" : "") },
      { ticks: ticksOf(y, 5), label: measure.title + (y.logarithmic ? " (logarithmic)" : "") },
      { words: `${measure.title} over ${axis.key}${names.length ? `, a line for each value of ${axes[down].key}` : ""}; the numbers are in the heat map` });
    found.rows.forEach((row, number) => {
      if (axis.numbers) drawn.field.append(dashed(inked(svg("path", { class: "curve", d: path(row.map((cell, n) => [places[n], y.place(cell.mean)])) }), number), number));
      // Names stand beside each other. Numbers stand where they are, and only their whiskers keep clear of each other.
      const apart = (step, most) => Math.max(-most, Math.min(most, step * (number - (found.rows.length - 1) / 2)));
      const [aside, clear] = axis.numbers ? [0, apart(5, 10)] : [apart(9, 40), 0];
      row.forEach((cell, n) => {
        if (!cell.count) return;
        const up = y.place(cell.mean);
        if (!Number.isFinite(up)) return;
        const group = svg("g", aside ? { transform: `translate(${aside} 0)` } : {});
        drawn.drawing.append(group);
        if (Number.isFinite(cell.spread)) {
          const bottom = y.place(cell.mean - cell.spread);
          const spread = whisker(places[n], Number.isFinite(bottom) ? bottom : -1, y.place(cell.mean + cell.spread), number);
          if (clear) spread.setAttribute("transform", `translate(${clear} 0)`);
          group.append(spread);
        }
        group.append(markAt(places[n], up, number, { hollow: cell.doubtful > 0 }));
      });
    });
    if (names.length) host.append(legend(axes[down].key, names, { lines: Boolean(axis.numbers) }));
    return undefined;
  };

  const drawMap = () => {
    const chosen = choices(mapForm);
    const across = Number(chosen.across);
    const down = chosen.down === undefined || chosen.down === "" ? null : Number(chosen.down);
    const fixed = {};
    for (const select of fixing) {
      const n = Number(select.dataset.fixed);
      select.parentElement.hidden = n === across || n === down;
      if (!select.parentElement.hidden && select.value !== "") fixed[n] = Number(select.value);
    }
    const measure = byName.get(chosen.measure);
    const found = means(measure, across, down, fixed, chosen.unverified);
    document.getElementById("map-told").textContent = told(measure, found, fixed, chosen.unverified);
    drawHeat(measure, found, across, down);
    drawLines(measure, found, across, down);
  };

  // Points and their front

  const frontForm = document.getElementById("front-choices");
  const link = (run) => (keys[run] && files[run] !== "0" ? `${data.base}${keys[run]}/${files[run] === "2" ? data.names.page : data.names.result}` : "");
  const settings = (run) => (axes.map((axis) => `${axis.key} ${axis.labels[axis.codes[run]]}`).join(", ") || data.problem[0] || "");

  const best = (places, x, y) => {
    const [one, other] = [x, y].map((measure) => (run) => (measure.more ? -1 : 1) * measure.values[run]);
    const order = [...places].sort((a, b) => one(a) - one(b) || other(a) - other(b) || a - b);
    let least = Infinity;
    return order.filter((run) => other(run) < least && ((least = other(run)), true));
  };

  const drawFront = () => {
    const chosen = choices(frontForm);
    const [x, y] = [byName.get(chosen.x), byName.get(chosen.y)];
    const colour = chosen.colour === undefined || chosen.colour === "" ? null : axes[Number(chosen.colour)];
    const there = [];
    for (let run = 0; run < runs; run++) {
      const counted = states[run] === VERIFIED || (chosen.unverified && states[run] === NOT_VERIFIED);
      if (counted && x.values[run] !== null && y.values[run] !== null) there.push(run);
    }
    const host = document.getElementById("points");
    const front = best(there.filter((run) => states[run] === VERIFIED), x, y);
    const onFront = new Set(front);
    const [across, up] = [x, y].map((measure) => scaleOf(there.map((run) => measure.values[run])));
    const kind = (run) => (colour ? colour.codes[run] : 0);
    const place = (run) => [across.place(x.values[run]), up.place(y.values[run])];
    const told = document.getElementById("front-told");
    if (!there.length) {
      host.replaceChildren(element("p", { class: "note" }, "Nothing to draw: no run has both numbers."));
      told.textContent = "";
    } else {
      const drawn = chart(host,
        { ticks: ticksOf(across, host.clientWidth < 500 ? 4 : 7), label: x.title + (across.logarithmic ? " (logarithmic)" : "") },
        { ticks: ticksOf(up, 6), label: y.title + (up.logarithmic ? " (logarithmic)" : "") },
        { words: `${y.title} against ${x.title}: ${there.length} runs, ${front.length} on the front`, role: "group", height: 380 });
      const many = there.length > MOST_LINKED;
      const size = there.length > 300 ? .6 : 1;
      if (many) {
        const paths = new Map();
        for (const run of there) {
          const [right, height] = place(run);
          paths.set(kind(run), `${paths.get(kind(run)) ?? ""}M${(1000 * right).toFixed(1)} ${(1000 * (1 - height)).toFixed(1)}h0`);
        }
        for (const [number, d] of paths) drawn.field.append(inked(svg("path", { class: "dots", d }), number));
      }
      drawn.field.append(svg("path", { class: "joined", d: path(front.map(place)) }));
      for (const run of many ? front : [...there.filter((one) => !onFront.has(one)), ...front]) {
        const [right, height] = place(run);
        const words = `run ${run + 1}: ${settings(run)}; ${x.title} ${brief(x.values[run])}, ${y.title} ${brief(y.values[run])}`;
        const mark = markAt(right, height, kind(run), { hollow: states[run] !== VERIFIED, size: onFront.has(run) ? 1 : size });
        const href = link(run);
        const made = href ? svg("a", { href, "aria-label": words, ...(onFront.has(run) ? {} : { tabindex: -1 }) }, mark) : svg("g", {}, mark);
        made.append(svg("title", {}, words));
        drawn.drawing.append(made);
      }
      const kept = [];
      for (const run of front) { // numbers where they have room; all of them are in the table below
        const [right, height] = place(run);
        const at = [right * drawn.width, height * drawn.height];
        if (kept.some(([one, other]) => Math.abs(one - at[0]) < 24 && Math.abs(other - at[1]) < 13)) continue;
        kept.push(at);
        drawn.drawing.append(svg("text", { class: "numbered", x: percent(right), y: percent(1 - height), dx: -7, dy: 16, "text-anchor": "end" }, String(run + 1)));
      }
      if (colour) host.append(legend(colour.key, colour.labels));
      const better = [x, y].filter((one) => one.more).map((one) => one.title);
      told.textContent = `${there.length.toLocaleString("en")} runs, ${front.length} of them on the front: joined, and numbered as in the tables. `
        + `${better.length ? `More is better of ${listed(better)}, less of anything else.` : "Less is better of both."}`
        + (many ? " Points of the front alone are links." : " Every point leads to its run's report, or to its result where it has none.");
    }
    const table = document.getElementById("front-table");
    const heads = table.tHead.rows[0].cells;
    [heads[2].textContent, heads[3].textContent] = [x.title, y.title];
    table.tBodies[0].replaceChildren(...front.map((run) => element("tr", {},
      element("th", { scope: "row" }, link(run) ? element("a", { href: link(run) }, String(run + 1)) : String(run + 1)),
      ...[settings(run), brief(x.values[run]), brief(y.values[run])].map((words) => element("td", {}, words)))));
  };

  // What the reader does

  const drawAll = () => { if (mapForm) drawMap(); if (frontForm) drawFront(); };
  if (mapForm) {
    for (const select of fixing) axes[Number(select.dataset.fixed)].labels.forEach((name, n) => select.append(element("option", { value: n }, name)));
    const { across, down } = mapForm.elements;
    let before = [across.value, down?.value];
    mapForm.addEventListener("change", (event) => {
      if (down && across.value === down.value) { // the two change places
        if (event.target === across) down.value = before[0];
        else across.value = before[1] === "" ? String(axes.findIndex((_, n) => String(n) !== down.value)) : before[1];
      }
      before = [across.value, down?.value];
      drawMap();
    });
    mapForm.addEventListener("submit", (event) => event.preventDefault());
    mapForm.hidden = false;
  }
  if (frontForm) {
    frontForm.addEventListener("change", drawFront);
    frontForm.addEventListener("submit", (event) => event.preventDefault());
    frontForm.hidden = false;
  }
  let waiting = 0, width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(drawAll);
  });
  document.documentElement.classList.add("js");
  drawAll();
})();
