// The explorer. What the sliders say is asked of the server: one question at a time, the latest one next.
(() => {
  const $ = (id) => document.getElementById(id);
  const token = document.querySelector('meta[name="token"]').content;
  const address = new URLSearchParams(location.search);
  const STRUCTURE = ["noise", "horizon", "pieces", "width"];
  const SVG = "http://www.w3.org/2000/svg";

  // What is asked about: a problem, its settings, weights. What is shown: the last scene, tracks by key, a moment.
  const state = {
    problem: null, opened: null, settings: {}, controls: null, edits: 0,
    piece: 0, neuron: 0, scene: null, tracks: {}, known: "", hidden: new Set(), at: 1, runs: [], shown: new Set(), status: null,
  };

  const complain = (text, good = false) => {
    const line = $("message");
    line.textContent = text;
    line.hidden = !text;
    line.classList.toggle("good", good);
  };

  const ask = async (path, question, kind = "json") => {
    const options = { headers: { "X-Token": token } };
    if (question !== undefined) {
      options.method = "POST";
      options.headers["Content-Type"] = "application/json";
      options.body = JSON.stringify(question);
    }
    let reply;
    try { reply = await fetch(path, options); } catch { throw new Error("the explorer does not answer any more; start it again with `controlsde explore`"); }
    if (!reply.ok) throw new Error((await reply.json()).error);
    return kind === "json" ? reply.json() : reply.text();
  };
  const link = (path, more = "") => `${path}?token=${encodeURIComponent(token)}${more}`;

  // One question of a kind in flight; what comes meanwhile waits, and only the last of it is asked.
  const latestFirst = (answer, rested = () => {}) => {
    let flying = false, waiting = null;
    return async (question) => {
      waiting = question;
      if (flying) return;
      flying = true;
      while (waiting) {
        const next = waiting;
        waiting = null;
        try { await answer(next, () => waiting !== null); } catch (error) { complain(error.message); }
      }
      flying = false;
      rested();
    };
  };

  // --- previews

  const question = () => ({ problem: state.problem, settings: state.settings, controls: state.controls });
  // What the reference's own tracks depend on; the exact drift, which only a line draws as a curve, on the noise, too.
  const referenceOf = (asked) => JSON.stringify([asked.problem, { ...asked.settings, width: 0, ...(state.opened.dimension > 1 && { noise: 0 }) }]);

  let following = 0; // particles follow when the sliders rest
  const previewing = latestFirst(async (began, overtaken) => {
    const asked = question();
    const edits = state.edits;
    const known = referenceOf(asked);
    const runs = [...state.shown];
    if (state.known !== known && state.scene?.kind === "images") for (const number of runs) delete state.tracks[`r${number}`];
    const wanted = runs.filter((number) => !state.tracks[`r${number}`]);
    const scene = await ask("/preview", { ...asked, runs, wanted, reference: state.known !== known });
    if (asked.problem !== state.problem) return;
    for (const [key, track] of Object.entries(scene.tracks)) {
      for (const part of [track, track.drift]) if (part?.codes !== undefined) drawing.decode(part, scene.top);
      state.tracks[key] = track;
    }
    state.known = known;
    state.scene = scene;
    if (state.edits === edits) {
      const before = state.controls;
      state.controls = scene.controls;
      if (!before || before.b.length !== scene.controls.b.length || before.b[0].length !== scene.controls.b[0].length) buildWeights();
    }
    show();
    if (!state.complaint) complain("");
    document.dispatchEvent(new CustomEvent("drawn", { detail: { began, settings: asked.settings } }));
    clearTimeout(following);
    following = setTimeout(() => { if (!overtaken()) followParticles(performance.now()); }, 120);
  }, () => { document.body.dataset.settled = "yes"; });
  const refresh = () => {
    document.body.dataset.settled = "no";
    previewing(performance.now());
  };

  const followParticles = latestFirst(async (_began, overtaken) => {
    const asked = question();
    const drawn = await ask("/particles", asked);
    if (overtaken() || asked.problem !== state.problem) return;
    state.dots = drawn.dots && drawn;
    $("particles").innerHTML = drawn.chart ?? "";
    $("particles-section").hidden = !drawn.chart;
    showMoment();
  });

  // --- drawing

  const show = () => {
    const scene = state.scene;
    const plane = scene.kind === "images";
    const last = scene.times.length - 1;
    const slider = $("time");
    slider.max = last;
    slider.value = Math.round(state.at * last);
    $("headline").textContent = `Preview, not verified: L² error at T ${scene.numbers.l2_final}, largest ${scene.numbers.l2_sup}, root mean square ${scene.numbers.l2_rms}`;
    if (plane) buildPanels(scene); else $("density").innerHTML = scene.density.chart;
    $("drift-section").hidden = plane;
    $("drift").innerHTML = plane ? "" : scene.drift.chart;
    $("error").innerHTML = scene.error.chart;
    $("error-legend").innerHTML = scene.error.legend;
    $("shading").hidden = !plane;
    if (plane) $("shading").textContent = `Darker is denser, in shades of the root, up to ${scene.peak}. Arrows: the drift; beside the reference the exact drift v*.`;
    $("weights").innerHTML = scene.weights.map((one) => `<h3>${one.title}</h3>${one.chart}`).join("");
    showTracks(scene);
    showChosen();
    showMoment();
  };

  const showTracks = (scene) => {
    const names = JSON.stringify(scene.legend);
    const place = $("tracks");
    if (place.dataset.names === names) return;
    place.dataset.names = names;
    place.replaceChildren(...scene.legend.map((one) => {
      const label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: !state.hidden.has(one.key) });
      box.dataset.switch = one.key;
      box.addEventListener("change", () => {
        state.hidden[box.checked ? "delete" : "add"](one.key);
        if (state.scene.kind === "images") buildPanels(state.scene);
        showMoment();
      });
      label.append(box);
      label.insertAdjacentHTML("beforeend", ` ${one.sample} `);
      label.append(`${one.name} `);
      const error = Object.assign(document.createElement("span"), { className: "error" });
      error.dataset.error = one.key;
      label.append(error);
      return label;
    }));
  };

  const buildPanels = (scene) => {
    const keys = scene.legend.map((one) => one.key).filter((key) => !state.hidden.has(key));
    const place = $("density");
    const names = JSON.stringify([keys, scene.ratio]);
    if (place.dataset.names === names && place.querySelector(".planes")) return;
    place.dataset.names = names;
    const planes = Object.assign(document.createElement("div"), { className: "planes" });
    for (const key of keys) {
      const name = scene.legend.find((one) => one.key === key).name;
      planes.insertAdjacentHTML("beforeend", `<figure class="panel" data-panel="${key}"><div class="picture" style="--ratio:${1 / scene.ratio}"><img alt="">
        <svg class="arrows" viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true"><path class="under"/><path class="over"/></svg>
        <svg class="dots" viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true"><path/></svg></div><figcaption></figcaption></figure>`);
      planes.lastElementChild.querySelector("figcaption").textContent = name;
    }
    place.replaceChildren(planes);
  };

  const moment = () => state.scene.times[Number($("time").value)];
  const shown = (key) => !state.hidden.has(key) && state.tracks[key] && state.scene.legend.some((one) => one.key === key);

  const showMoment = () => {
    const scene = state.scene;
    if (!scene) return;
    const index = Number($("time").value), last = scene.times.length - 1, t = moment();
    const words = drawing.clock(t, scene.digits) + (index === 0 ? ` (${scene.ends[0]})` : index === last ? ` (${scene.ends[1]})` : "");
    const told = [words];
    for (const { key, name } of scene.legend) {
      const track = state.tracks[key];
      if (!track) continue;
      if (scene.kind === "lines") drawLines(scene, key, track, t); else drawPanel(key, track, t, name, words);
      if (track.errors) {
        const error = `L² error ${track.errors.words[drawing.nearest(track.errors.times, t)]}`;
        const place = document.querySelector(`[data-error="${key}"]`);
        if (place) place.textContent = error;
        if (shown(key)) told.push(`${name}: ${error}`);
      }
    }
    document.querySelector('output[for="time"]').textContent = words;
    $("time").setAttribute("aria-valuetext", told.join(", "));
    if (scene.kind === "lines") {
      $("density").querySelector('[role="img"]').setAttribute("aria-label", `Density against x at ${told.join("; ")}`);
      $("drift").querySelector('[role="img"]').setAttribute("aria-label", `Drift against x at ${words}`);
    }
    mark("error", t / scene.error.until);
    for (const plot of ["particles", "weights"]) mark(plot, t / scene.horizon);
  };

  const drawLines = (scene, key, track, t) => {
    for (const [id, part, step] of [["density", track, false], ["drift", track.drift, track.drift?.constant]]) {
      const curve = $(id).querySelector(`[data-key="${key}"]`), area = $(id).querySelector(`[data-area="${key}"]`);
      if (!curve) continue;
      const { low, high } = scene[id];
      let drawn = "";
      if (part && shown(key)) {
        const values = step ? drawing.frame(part, drawing.before(part.times, t), scene.points) : drawing.between(part, t, scene.points);
        drawn = drawing.path(values, low, high, scene.field);
      }
      curve.setAttribute("d", drawn);
      if (area) area.setAttribute("d", drawn && `${drawn}V${drawing.ground(low, high, scene.field)}H0Z`);
    }
  };

  const drawPanel = (key, track, t, name, words) => {
    const panel = $("density").querySelector(`[data-panel="${key}"]`);
    if (!panel) return;
    const k = drawing.nearest(track.times, t), image = panel.querySelector("img");
    image.src = track.images[k];
    image.alt = `${name} at ${words}`;
    const halves = state.scene.arrows[key]?.[drawing.nearest(state.scene.times, t)] ?? [];
    const drawn = halves.map((half, n) => arrow(state.scene.places[n], half)).join("");
    for (const arrows of panel.querySelectorAll(".arrows path")) arrows.setAttribute("d", drawn);
    const dots = key === "now" && state.dots ? state.dots.dots[drawing.nearest(state.dots.times, t)] : [];
    panel.querySelector(".dots path").setAttribute("d", dots.map(([x, y]) => `M${(1000 * x).toFixed(0)} ${(1000 * (1 - y)).toFixed(0)}h0`).join(""));
  };

  // An arrow about its place, by half of it: a shaft and two strokes of the head.
  const arrow = ([x, y], [right, up]) => {
    const length = Math.hypot(right, up);
    if (length < 2) return "";
    const tip = [x + right, 1000 - y - up], size = Math.min(0.7, 20 / length);
    const ear = (side) => `${(tip[0] - size * (right + side * 0.6 * up)).toFixed(0)} ${(tip[1] + size * (up - side * 0.6 * right)).toFixed(0)}`;
    return `M${x - right} ${1000 - y + up}L${tip[0]} ${tip[1]}M${ear(1)}L${tip[0]} ${tip[1]}L${ear(-1)}`;
  };

  // A thin line at the moment that is shown.
  const mark = (id, share) => {
    for (const plot of $(id).querySelectorAll(".plot > svg")) {
      let line = plot.querySelector(".moment");
      if (!line) {
        line = document.createElementNS(SVG, "line");
        line.setAttribute("class", "moment");
        line.setAttribute("y1", "0");
        line.setAttribute("y2", "100%");
        plot.append(line);
      }
      for (const end of ["x1", "x2"]) line.setAttribute(end, `${100 * share}%`);
    }
  };

  // The piece that the sliders of single weights move.
  const showChosen = () => {
    const times = state.controls?.times;
    if (!times) return;
    for (const plot of $("weights").querySelectorAll(".plot > svg")) {
      let area = plot.querySelector(".chosen");
      if (!area) {
        area = document.createElementNS(SVG, "rect");
        area.setAttribute("class", "chosen");
        area.setAttribute("y", "0");
        area.setAttribute("height", "100%");
        plot.prepend(area);
      }
      const end = times.at(-1), k = Math.min(state.piece, times.length - 2);
      area.setAttribute("x", `${100 * times[k] / end}%`);
      area.setAttribute("width", `${100 * (times[k + 1] - times[k]) / end}%`);
    }
  };

  // --- time

  let playing = 0;
  const stop = () => { cancelAnimationFrame(playing); playing = 0; $("play").textContent = "Play"; };
  const play = () => {
    const first = state.at >= 1 ? 0 : state.at;
    let began = null;
    const step = (now) => {
      began ??= now;
      state.at = Math.min(1, first + (now - began) / 5000);
      const index = String(Math.round(state.at * Number($("time").max)));
      if (index !== $("time").value) { $("time").value = index; showMoment(); }
      if (state.at >= 1) stop(); else playing = requestAnimationFrame(step);
    };
    $("play").textContent = "Pause";
    playing = requestAnimationFrame(step);
  };
  $("play").addEventListener("click", () => (playing ? stop() : play()));
  $("time").addEventListener("input", () => { stop(); state.at = Number($("time").value) / Number($("time").max); showMoment(); });
  $("clock").addEventListener("submit", (event) => event.preventDefault());

  // --- sliders

  const output = (id, text) => { document.querySelector(`output[for="${id}"]`).textContent = text; $(id).setAttribute("aria-valuetext", text); };
  const short = (value) => String(Math.abs(value) < 1e-9 ? 0 : Number(value.toPrecision(3))).replace("-", "−");
  const horizonAt = (place) => state.opened.settings.horizon * 2 ** Number(place);

  const readSettings = () => {
    state.settings = {
      noise: Number($("noise").value),
      horizon: Number($("horizon").value) === 0 ? state.opened.settings.horizon : Number(horizonAt($("horizon").value).toPrecision(6)),
      pieces: Number($("pieces").value),
      width: Number($("width").value),
    };
    if ($("lengths").value) state.settings.lengths = $("lengths").value;
    if ($("lengths").value === "own") {
      delete state.settings.lengths;
      if (state.settings.pieces !== state.opened.settings.pieces) { $("lengths").value = "equal"; state.settings.lengths = "equal"; }
    }
    output("noise", short(state.settings.noise));
    output("horizon", short(state.settings.horizon));
    output("pieces", String(state.settings.pieces));
    output("width", String(state.settings.width));
  };
  const setSettings = (settings) => {
    $("noise").max = Math.max(2, settings.noise);
    $("noise").value = settings.noise;
    $("horizon").value = Math.log2(settings.horizon / state.opened.settings.horizon);
    $("pieces").max = Math.max(32, settings.pieces);
    $("pieces").value = settings.pieces;
    $("width").max = Math.max(8, settings.width);
    $("width").value = settings.width;
    const lengths = $("lengths");
    lengths.querySelector('[value="own"]')?.remove();
    if (settings.lengths === null) lengths.prepend(Object.assign(document.createElement("option"), { value: "own", textContent: "as in the file" }));
    lengths.value = settings.lengths ?? "own";
    readSettings();
  };
  for (const id of [...STRUCTURE, "lengths"]) {
    $(id).addEventListener("input", () => { readSettings(); refresh(); });
  }

  // Sliders of the weights of one neuron on one piece.
  const weightAt = (name, i) => {
    const { A, W, b } = state.controls;
    return name === "A" ? A[state.piece][i][state.neuron] : name === "W" ? W[state.piece][state.neuron][i] : b[state.piece][state.neuron];
  };
  const setWeight = (name, i, value) => {
    const { A, W, b } = state.controls;
    if (name === "A") A[state.piece][i][state.neuron] = value;
    else if (name === "W") W[state.piece][state.neuron][i] = value;
    else b[state.piece][state.neuron] = value;
  };
  const buildWeights = () => {
    if (!state.controls) return;
    const pieces = state.controls.b.length, width = state.controls.b[0].length;
    const dimension = state.controls.A[0].length;
    state.piece = Math.min(state.piece, pieces - 1);
    state.neuron = Math.min(state.neuron, width - 1);
    $("piece").max = pieces;
    $("piece").value = state.piece + 1;
    $("neuron").max = width;
    $("neuron").value = state.neuron + 1;
    $("neuron-row").hidden = width === 1;
    output("piece", `${state.piece + 1} of ${pieces}`);
    output("neuron", `${state.neuron + 1} of ${width}`);
    const flat = { A: state.controls.A.flat(2), W: state.controls.W.flat(2), b: state.controls.b.flat() };
    const rows = [];
    for (const name of ["A", "W", "b"]) {
      const most = Math.min(state.opened.bounds[name], Math.max(3, 1.5 * Math.max(...flat[name].map(Math.abs))));
      for (let i = 0; i < (name === "b" ? 1 : dimension); i++) {
        const row = Object.assign(document.createElement("div"), { className: "slider" });
        const id = `weight-${name}-${i}`;
        const axis = name === "b" || dimension === 1 ? "" : ` ${"xyz"[i]}`;
        const meaning = { A: "output", W: "input", b: "offset" }[name];
        row.innerHTML = `<label for="${id}">${name}${axis}, ${meaning}</label><input type="range" id="${id}" data-weight="${name}" min="${-most}" max="${most}" step="${most / 200}"><output for="${id}"></output>`;
        const slider = row.querySelector("input"), told = row.querySelector("output");
        slider.value = weightAt(name, i);
        told.textContent = short(weightAt(name, i));
        slider.setAttribute("aria-valuetext", told.textContent);
        slider.addEventListener("input", () => {
          state.edits++;
          setWeight(name, i, Number(slider.value));
          told.textContent = short(Number(slider.value));
          slider.setAttribute("aria-valuetext", told.textContent);
          refresh();
        });
        rows.push(row);
      }
    }
    $("single").replaceChildren(...rows);
    showChosen();
  };
  $("piece").addEventListener("input", () => { state.piece = Number($("piece").value) - 1; buildWeights(); });
  $("neuron").addEventListener("input", () => { state.neuron = Number($("neuron").value) - 1; buildWeights(); });

  const take = (controls) => { state.edits++; state.controls = controls; buildWeights(); refresh(); };
  const fit = async () => {
    document.body.dataset.fitted = "no";
    $("fit").disabled = true;
    $("fit").textContent = "Fitting…";
    const asked = question();
    try {
      const found = await ask("/fit", asked);
      if (asked.problem === state.problem) take(found.controls);
    } catch (error) { complain(error.message); }
    $("fit").disabled = false;
    $("fit").textContent = "Fit to the exact drift";
    document.body.dataset.fitted = "yes";
  };
  $("fit").addEventListener("click", fit);
  $("rest").addEventListener("click", () => take(null));

  // --- problems

  const adopt = (opened) => {
    Object.assign(state, { problem: opened.key, opened, controls: null, scene: null, tracks: {}, known: "", piece: 0, neuron: 0, dots: null });
    state.edits++;
    state.shown.clear();
    state.hidden.clear();
    for (const id of ["density", "drift", "error", "particles", "weights", "single"]) $(id).replaceChildren();
    delete $("density").dataset.names;
    $("description").textContent = `${opened.name}: ${opened.description || "no description"}`;
    $("formulas").innerHTML = opened.formulas.map((one) => `<li>${one}</li>`).join("");
    $("solver").replaceChildren(...opened.solvers.map((name) => new Option(name, name, name === opened.solver, name === opened.solver)));
    const given = opened.drift !== null;
    for (const id of ["fit", "rest", "solve"]) $(id).disabled = given;
    document.title = `${opened.name}: controlsde explorer`;
    complain(given ? "This problem gives its own drift, which is shown; remove the key drift from the file to steer by a network." : "");
    setSettings(opened.settings);
    refresh();
    listRuns();
    if (!given) fit();
  };
  const open = async (question) => {
    try { adopt(await ask("/open", question)); } catch (error) { complain(error.message); }
  };
  const openFile = async (file) => {
    await open({ name: file.name, text: await file.text() });
    if (state.opened?.label === file.name) {
      $("problem").querySelector('[value=""]')?.remove();
      $("problem").prepend(new Option(file.name, "", true, true));
    }
  };
  $("problem").addEventListener("change", () => { if ($("problem").value) open({ name: $("problem").value }); });
  $("file").addEventListener("change", () => { if ($("file").files.length) openFile($("file").files[0]); $("file").value = ""; });
  $("opening").addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["dragover", "dragleave", "drop"]) {
    addEventListener(kind, (event) => {
      event.preventDefault();
      document.body.classList.toggle("dropping", kind === "dragover");
      if (kind === "drop" && event.dataTransfer?.files.length) openFile(event.dataTransfer.files[0]);
    });
  }

  // --- solving

  $("solve").addEventListener("click", async () => {
    try {
      const asked = { ...question(), solver: $("solver").value, quick: $("quick").checked };
      if (!$("from-here").checked) delete asked.controls;
      complain("");
      await ask("/solve", asked);
    } catch (error) { complain(error.message); }
  });
  $("cancel").addEventListener("click", async () => { try { await ask("/cancel", {}); } catch (error) { complain(error.message); } });
  $("yaml").addEventListener("click", async () => {
    try {
      const text = await ask("/problem.yaml", question(), "text");
      const from = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([text], { type: "application/yaml" })), download: `${state.opened.name}.yaml` });
      from.click();
      setTimeout(() => URL.revokeObjectURL(from.href), 1000);
    } catch (error) { complain(error.message); }
  });

  const showHistory = (values) => {
    const place = $("history");
    place.toggleAttribute("hidden", values.length < 2);
    if (values.length < 2) return;
    const levels = values.map((value) => Math.log10(Math.max(value, 1e-12)));
    const low = Math.min(...levels), span = Math.max(...levels) - low || 1;
    const path = levels.map((level, n) => `${(1000 * n / (levels.length - 1)).toFixed(0)} ${(280 - 260 * (level - low) / span).toFixed(0)}`).join("L");
    place.innerHTML = `<path d="M${path}"/>`;
    place.setAttribute("aria-label", `objective of the iterations, at last ${values.at(-1).toPrecision(4)}`);
  };

  const hear = (status) => {
    const before = state.status;
    state.status = status;
    const busy = status.state === "solving" || status.state === "cancelling";
    $("solve").disabled = busy || status.state === "broken" || state.opened?.drift != null;
    $("cancel").disabled = !busy;
    $("working").hidden = !busy;
    const bar = $("progress");
    if (busy && status.fraction !== null) bar.value = status.fraction; else bar.removeAttribute("value");
    const parts = [status.task];
    if (busy && status.iteration !== null) parts.push(`iteration ${status.iteration}`);
    if (busy && status.objective !== null) parts.push(`objective ${status.objective.toPrecision(4)}`);
    if (busy) parts.push(`${status.seconds.toFixed(0)} s`);
    $("status").textContent = busy || status.state === "loading" ? parts.join(", ") : status.message;
    if (busy) showHistory(status.history);
    if (status.alarm && before && before.message !== status.message) complain(status.message);
    if (status.runs !== state.runs.length) listRuns(before !== null);
  };

  const listRuns = async (fresh = false) => {
    try {
      const rows = await ask("/runs");
      const newest = rows.length > state.runs.length ? rows.at(-1) : null;
      state.runs = rows;
      if (fresh && newest && newest.problem === state.opened?.name) { state.shown.add(newest.number); refresh(); }
      showRuns();
    } catch (error) { complain(error.message); }
  };
  const showRuns = () => {
    $("nothing").hidden = state.runs.length > 0;
    $("answers").hidden = state.runs.length === 0;
    $("runs").replaceChildren(...state.runs.map(rowOf));
    const chosen = [...state.shown];
    $("compared").hidden = chosen.length < 2;
    $("compared").firstElementChild.href = link("/compared.html", `&show&runs=${chosen.join(",")}`);
  };
  const rowOf = (run) => {
    const row = document.createElement("tr");
    row.innerHTML = `<td><label><span class="unseen">show run ${run.number}</span><input type="checkbox" ${state.shown.has(run.number) ? "checked" : ""}> ${run.sample}</label></td>
      <th scope="row"></th><td></td><td>${run.l2_final}</td><td>${run.l2_sup}</td><td>${run.energy}</td><td>${run.price}</td><td>${run.seconds}</td>
      <td><button type="button">Use</button></td><td class="files"></td>`;
    const [, , verdict] = row.cells;
    row.querySelector("th").textContent = `run ${run.number}: ${run.problem}, ${run.label}`;
    if (run.lessened) row.querySelector("th").append(Object.assign(document.createElement("p"), { className: "note", textContent: run.lessened }));
    verdict.textContent = (run.verified ? "verified" : `NOT VERIFIED (${run.failed})`) + (run.status === "converged" ? "" : `, ${run.status.replace("-", " ")}`);
    verdict.className = run.verified && run.status === "converged" ? "sound" : "alarm";
    const box = row.querySelector("input");
    box.disabled = run.problem !== state.opened?.name;
    box.addEventListener("change", () => {
      state.shown[box.checked ? "add" : "delete"](run.number);
      showRuns();
      refresh();
      $("runs").rows[state.runs.findIndex((one) => one.number === run.number)].querySelector("input").focus();
    });
    const use = row.querySelector("button");
    use.setAttribute("aria-label", `use the weights of run ${run.number}`);
    use.disabled = box.disabled;
    use.addEventListener("click", async () => {
      try {
        const found = await ask(`/runs/${run.number}/weights`);
        setSettings(found.settings);
        take(found.controls);
      } catch (error) { complain(error.message); }
    });
    for (const [file, name] of [["problem.yaml", "YAML"], ["result.nc", "result"], ["report.html", "report"]]) {
      const to = Object.assign(document.createElement("a"), { textContent: name, href: link(`/runs/${run.number}/${file}`, file === "report.html" ? "&show" : "") });
      to.setAttribute("aria-label", `${name} of run ${run.number}`);
      if (file === "report.html") Object.assign(to, { target: "_blank", rel: "noopener" }); else to.download = "";
      row.querySelector(".files").append(to, " ");
    }
    return row;
  };

  const listen = () => {
    const events = new EventSource(link("/events"));
    events.onmessage = (event) => { hear(JSON.parse(event.data)); };
    events.onerror = () => {
      if (state.status) complain("the connection to the explorer was lost; if it has ended, start it again with `controlsde explore`");
    };
    events.onopen = () => { if (!$("message").hidden && $("message").textContent.startsWith("the connection")) complain(""); };
  };

  const begin = async () => {
    try {
      const listed = await ask("/problems");
      for (const [title, dimension] of [["on a line", 1], ["in a plane", 2]]) {
        const group = Object.assign(document.createElement("optgroup"), { label: title });
        group.append(...listed.filter((one) => one.dimension === dimension).map((one) => new Option(one.name, one.name)));
        $("problem").append(group);
      }
      const first = address.get("problem");
      listen();
      if (address.get("key")) {
        const opened = await ask("/open", { key: address.get("key") });
        $("problem").prepend(new Option(opened.label, "", true, true));
        adopt(opened);
      } else {
        $("problem").value = first ?? listed[0].name;
        await open({ name: $("problem").value });
      }
    } catch (error) { complain(error.message); }
  };
  begin();
})();
