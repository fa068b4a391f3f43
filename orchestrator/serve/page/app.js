/* The page: pictures come in, answers are kept, sliders and lists show them. */

import { detect, models } from "./api.js";
import {
  at, colourOf, counted, describeModel, listBoxes, listClasses, listHistory, listModels, say, showError,
} from "./controls.js";
import { heatCanvas, paint } from "./draw.js";
import { cutoffsOf, heatOf, leastScore, shownOf, whyFixed } from "./found.js";
import { unpacked } from "./maps.js";
import { opened } from "./photo.js";
import { copied, curlOf, jsonOf, save } from "./share.js";

const HEAT_SIDE = 600; // pixels of the longer side of a heat map on the screen
const TRIES = 4; // of a request that the endpoint puts off
const LONGEST_WAIT_S = 60;
const VIEWS = 6; // pictures that are kept as they are drawn; the others are opened again
const KEY = "wsol-key";

const state = {
  models: [],
  model: "", // the name of the one that is chosen
  entries: [], // pictures: {name, blob, opened, view, thumb, state, waits, answers, error, boxes}
  current: null,
  alone: null, // label of the class that is shown alone
  moved: { cutoff: null, minScore: null }, // null: as the model has it
};
let working = false;
let recent = []; // entries, the one that was looked at last first

// Pictures come in.

async function add(files) {
  const entries = [...files].map((blob) => ({
    name: blob.name || "pasted picture", blob, opened: false, view: null, thumb: null,
    state: "waiting", waits: "", answers: new Map(), error: null, boxes: 0,
  }));
  if (!entries.length) return;
  state.entries.push(...entries);
  choose(entries[0]);
  for (const entry of entries) {
    await open(entry);
    work();
  }
  showHistory();
}

async function open(entry) {
  Object.assign(entry, await opened(entry.blob), { opened: true });
  if (!recent.includes(entry)) entry.view = null;
  if (entry === state.current) show();
}

async function addSample(number) {
  const response = await fetch(`page/samples/${number}.png`);
  if (!response.ok) return say(`sample ${number} cannot be read`);
  await add([new File([await response.blob()], `sample-${number}.png`, { type: "image/png" })]);
}

function choose(entry) {
  state.current = entry;
  state.alone = null;
  recent = [entry, ...recent.filter((one) => one !== entry)].slice(0, VIEWS);
  for (const one of state.entries) if (!recent.includes(one)) one.view = null;
  if (entry.thumb && !entry.view) open(entry);
  if (!entry.answers.has(state.model) && entry.state === "done") entry.state = "waiting";
  show();
  showHistory();
  work();
}

function step(by) {
  const next = state.entries[state.entries.indexOf(state.current) + by];
  if (next) choose(next);
}

// They are asked about one by one, the one that is looked at first.

async function work() {
  if (working) return;
  working = true;
  for (let entry = nextWaiting(); entry; entry = nextWaiting()) await ask(entry);
  working = false;
}

function nextWaiting() {
  const waits = (entry) => entry?.state === "waiting";
  return waits(state.current) ? state.current : state.entries.find(waits);
}

async function ask(entry) {
  const model = state.model;
  Object.assign(entry, { state: "working", error: null });
  refresh(entry);
  try {
    const answer = await patiently(entry, model);
    entry.answers.set(model, prepared(answer));
    // Another model may have been chosen meanwhile.
    entry.state = entry.answers.has(state.model) ? "done" : "waiting";
  } catch (error) {
    Object.assign(entry, { state: "failed", error });
    if (error.status === 401) askForKey();
  }
  refresh(entry);
}

/* Maps unpacked, the best class first. */
function prepared(answer) {
  for (const one of answer.maps?.classes ?? []) {
    one.raws = one.scales.map(unpacked);
    delete one.scales;
  }
  for (const classes of [answer.maps?.classes, answer.classes]) classes?.sort((a, b) => b.score - a.score);
  return answer;
}

async function patiently(entry, model) {
  for (let tried = 1; ; tried++) {
    try {
      return await detect(entry.blob, model, sessionStorage.getItem(KEY));
    } catch (error) {
      if (!(error.retryAfter > 0) || tried === TRIES) throw error;
      await wait(entry, error);
    }
  }
}

async function wait(entry, { message, retryAfter }) {
  for (let left = Math.min(retryAfter, LONGEST_WAIT_S); left > 0; left--) {
    entry.waits = `${message}; asked again in ${counted(left, "second", "seconds")}`;
    if (entry === state.current) show();
    await new Promise((done) => setTimeout(done, 1000));
  }
  entry.waits = "";
}

function again() {
  const entry = state.current;
  if (entry?.state === "failed") entry.state = "waiting";
  if (!state.models.length) readModels();
  show();
  work();
}

function refresh(entry) {
  if (entry === state.current) show();
  showHistory();
}

function showHistory() {
  listHistory(state.entries, state.current, choose);
}

// What is shown.

function answerNow() {
  return state.current?.answers.get(state.model) ?? null;
}

function show() {
  const entry = state.current;
  const answer = answerNow();
  at("busy").hidden = !["waiting", "working"].includes(entry.state);
  at("stage").classList.remove("empty");
  at("welcome").hidden = true;
  at("canvas").hidden = !entry.view && !answer;
  at("name").textContent = entry.name;
  at("facts").textContent = answer ? factsOf(answer) : "";
  showError(entry.error);
  for (const id of ["copy-json", "copy-curl", "save"]) at(id).disabled = !answer;
  showSliders(answer);
  if (answer) showAnswer(entry, answer);
  else showNoAnswer(entry);
}

function showNoAnswer(entry) {
  listBoxes([]);
  at("classes").replaceChildren();
  at("classes-note").textContent = "None yet.";
  draw([], []);
  const said = entry.state === "failed" ? `${entry.name}: failed` : entry.waits || `${entry.name}: asked`;
  at("canvas").setAttribute("aria-label", entry.name);
  say(said);
}

function showAnswer(entry, answer) {
  const shown = shownOf(answer, state.moved);
  const isShown = ({ label }) => state.alone === null || state.alone === label;
  const detections = shown.detections.filter(isShown);
  if (entry.boxes !== shown.detections.length) {
    entry.boxes = shown.detections.length;
    showHistory();
  }
  listClasses(answer, shown, state.alone, (label) => {
    state.alone = label;
    show();
  });
  listBoxes(detections);
  draw(detections, shown.classes.filter(isShown));
  const words = `${counted(detections.length, "box", "boxes")}, ${counted(shown.classes.length, "class", "classes")}`;
  const unseen = entry.opened && !entry.thumb ? "; this browser cannot show such a file" : "";
  say(words + unseen);
  const best = detections.slice(0, 5).map((one) => `${one.class} ${one.score.toFixed(2)}`);
  at("canvas").setAttribute("aria-label", [`${entry.name}: ${words}`, ...best].join(", "));
}

function factsOf({ width, height, timings_ms: timings }) {
  const facts = [`${width} × ${height} px`];
  if (timings?.total !== undefined) facts.push(`${Math.round(timings.total)} ms`);
  return facts.join(" · ");
}

function showSliders(answer) {
  const why = answer ? whyFixed(answer) : null;
  at("score").disabled = !answer?.maps;
  at("score").min = answer?.maps ? leastScore(answer) : 0;
  at("cutoff").disabled = !answer || why !== null;
  at("reset").disabled = state.moved.cutoff === null && state.moved.minScore === null;
  at("why").textContent = why ? `No cut-off to move: ${why}.` : "Both answer at once, in this browser.";
  if (!answer?.maps) {
    at("score-value").textContent = at("cutoff-value").textContent = "–";
    return;
  }
  const cutoffs = cutoffsOf(answer, state.moved);
  showSlider("score", cutoffs.score_threshold, state.moved.minScore);
  if (why) at("cutoff-value").textContent = "–";
  else showSlider("cutoff", cutoffs.cutoff, state.moved.cutoff, cutoffs.class_cutoffs.length > 0);
}

function showSlider(id, value, moved, many = false) {
  at(id).value = value;
  const own = many ? "each class's own" : `${value.toFixed(2)}, the model's`;
  at(`${id}-value`).textContent = moved === null ? own : value.toFixed(2);
}

// The picture.

let drawn = { boxes: [], points: [] };

function draw(detections, classes) {
  const answer = answerNow();
  const coloured = (one) => ({ ...one, colour: colourOf(answer, one.label) });
  const boxes = at("show-boxes").checked ? detections : [];
  const points = at("show-points").checked ? classes : [];
  drawn = {
    boxes: boxes.map((one) => ({ ...coloured(one), text: `${one.class} ${one.score.toFixed(2)}` })),
    points: points.filter(({ point }) => point).map(coloured),
    heat: at("show-heat").checked && answer?.maps ? heatNow(answer) : null,
  };
  at("opacity-row").hidden = !at("show-heat").checked;
  repaint();
}

function heatNow(answer) {
  const label = state.alone ?? answer.maps.classes[0]?.label;
  const one = answer.maps.classes.find((each) => each.label === label);
  if (!one) return null;
  const [width, height] = within(answer.width, answer.height, HEAT_SIDE, HEAT_SIDE, 16);
  at("opacity-of").textContent = `Heat of ${one.class}`;
  const { map01, level } = heatOf(answer, one, width, height, state.moved);
  return heatCanvas(map01, level);
}

function sceneOf(entry) {
  const { width, height } = answerNow() ?? entry.view ?? { width: 4, height: 3 };
  const opacity = Number(at("opacity").value);
  return { ...drawn, view: entry.view, width, height, opacity };
}

function repaint() {
  const entry = state.current;
  if (!entry) return;
  const scene = sceneOf(entry);
  const canvas = at("canvas");
  const unit = window.devicePixelRatio || 1;
  const high = matchMedia("(max-width: 56rem)").matches ? 0.45 : 0.6; // of the screen, as in style.css
  const room = [at("stage").clientWidth, Math.max(160, innerHeight * high)];
  const [width, height] = within(scene.width, scene.height, ...room, 16);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  [canvas.width, canvas.height] = [Math.round(width * unit), Math.round(height * unit)];
  paint(canvas, scene, unit);
  at("opacity-value").textContent = `${Math.round(scene.opacity * 100)} %`;
}

/* The size inside a room that keeps the shape, at most so many times as large. */
function within(width, height, mostWidth, mostHeight, most) {
  const share = Math.min(most, mostWidth / width, mostHeight / height);
  return [width * share, height * share].map((side) => Math.max(1, Math.round(side)));
}

// Taken along.

async function copyJson() {
  const shown = shownOf(answerNow(), state.moved);
  told(await copied(jsonOf(answerNow(), shown)), "JSON");
}

async function copyCurl() {
  const { cutoff, minScore } = state.moved;
  const options = { ...(cutoff !== null && { cutoff }), ...(minScore !== null && { min_score: minScore }) };
  const hasKey = sessionStorage.getItem(KEY) !== null;
  told(await copied(curlOf(state.current, state.model, options, hasKey)), "the curl line");
}

function told(done, thing) {
  say(done ? `copied ${thing}` : `this browser did not let ${thing} be copied`);
}

function savePicture() {
  const entry = state.current;
  const scene = sceneOf(entry);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = within(scene.width, scene.height, 1600, 1600, 8);
  paint(canvas, scene, Math.max(1, Math.max(canvas.width, canvas.height) / 800));
  save(canvas, entry.name);
  say("saved the picture as it is shown");
}

// Models and the key.

async function readModels() {
  try {
    state.models = await models(sessionStorage.getItem(KEY));
    showError(state.current?.error);
  } catch (error) {
    showError(error);
    if (error.status === 401) askForKey();
    return;
  }
  const known = state.models.find(({ name }) => name === state.model);
  const chosen = known ?? state.models.find((one) => one.default) ?? state.models[0];
  listModels(state.models, chosen?.name);
  if (chosen) chooseModel(chosen.name);
}

function chooseModel(name) {
  state.model = name;
  state.moved = { cutoff: null, minScore: null };
  describeModel(state.models.find((one) => one.name === name));
  if (!state.current) return;
  if (state.current.state === "failed") state.current.state = "waiting";
  choose(state.current);
}

function askForKey() {
  at("access").open = true;
  at("key").focus();
}

function useKey(event) {
  event.preventDefault();
  const key = at("key").value.trim();
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
  at("key").value = "";
  say(key ? "the key is used from now on" : "no key is used");
  for (const entry of state.entries) if (entry.state === "failed") entry.state = "waiting";
  readModels().then(work);
}

// Hands.

function takeFiles(event) {
  add(event.target.files);
  event.target.value = ""; // the same file may be chosen again
}

function onPaste(event) {
  if (event.clipboardData?.files.length) {
    event.preventDefault();
    add(event.clipboardData.files);
  }
}

function onDrag(event) {
  if (![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault();
  at("stage").classList.toggle("over", event.type === "dragover");
  if (event.type === "drop") add(event.dataTransfer.files);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input:not([type=checkbox]), select, textarea")) return;
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
  if (event.key === "Escape" && state.alone !== null) {
    state.alone = null;
    show();
  }
}

/* Several changes within a frame of the screen are shown once. */
function onceAFrame(change) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (state.current) change();
    });
  };
}

function listen() {
  at("choose").addEventListener("change", takeFiles);
  at("photo").addEventListener("change", takeFiles);
  for (const button of document.querySelectorAll("[data-sample]")) {
    button.addEventListener("click", () => addSample(button.dataset.sample));
  }
  document.addEventListener("paste", onPaste);
  at("stage").addEventListener("click", () => state.current ?? at("choose").click());
  for (const kind of ["dragover", "dragleave", "drop"]) document.addEventListener(kind, onDrag);
  document.addEventListener("keydown", onKey);
  const shown = onceAFrame(show);
  for (const id of ["show-boxes", "show-points", "show-heat"]) at(id).addEventListener("change", shown);
  at("opacity").addEventListener("input", onceAFrame(repaint));
  for (const [id, name] of [["cutoff", "cutoff"], ["score", "minScore"]]) {
    at(id).addEventListener("input", () => {
      state.moved[name] = Number(at(id).value);
      shown();
    });
  }
  at("reset").addEventListener("click", () => {
    state.moved = { cutoff: null, minScore: null };
    shown();
  });
  at("model").addEventListener("change", () => chooseModel(at("model").value));
  at("copy-json").addEventListener("click", copyJson);
  at("copy-curl").addEventListener("click", copyCurl);
  at("save").addEventListener("click", savePicture);
  at("again").addEventListener("click", again);
  at("key-form").addEventListener("submit", useKey);
  new ResizeObserver(onceAFrame(repaint)).observe(at("stage"));
}

listen();
readModels();
