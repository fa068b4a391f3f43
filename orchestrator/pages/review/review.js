// The review of an annotation. It asks for nothing but the files beside it: images of a page come
// as a script that calls `wsolReview.take`, since a page from disk may not read other files.
"use strict";

const wsolReview = (() => {
  const about = JSON.parse(document.getElementById("review").textContent);
  const PREFIX = `wsol-review/${about.key}/`;
  const SCHEMA = 1;
  const MOST_OPTIONS = 100;
  const SWIPE_PX = 60;
  const MARKS = { none: "", accept: "✓", reject: "✗", relabel: "✎" };
  const ids = about.pages.flat();
  const positionOf = new Map(ids.map((id, position) => [id, position]));
  const pageOf = new Map(about.pages.flatMap((page, n) => page.map((id) => [id, n])));

  const entries = new Map(); // image id to what its page says of it
  const loading = new Map(); // page to the promise of its images
  const arrived = new Map(); // page to what to call with its images
  const decisions = new Map(); // image id to [{label, box, verdict, to}]
  const undoable = []; // steps, each a list of [image id, decisions before]
  let at = 0;
  let written = ""; // the hash that this script set last
  let chosen = null; // index of a box
  let heated = null; // a class whose heat map is shown

  // ---- small helpers

  const byId = (id) => document.getElementById(id);

  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    const { aria = {}, ...rest } = properties;
    Object.assign(element, rest);
    for (const [name, value] of Object.entries(aria)) element.setAttribute(`aria-${name}`, value);
    element.append(...children);
    return element;
  }

  function draw(tag, attributes) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  function say(text) {
    byId("said").textContent = text;
  }

  const current = () => entries.get(ids[at]);
  const score = (value) => value.toFixed(2);
  const counted = (n, one, many) => `${n} ${n === 1 ? one : many}`;

  // ---- decisions

  const sameBox = (a, b) => a.label === b.label && a.box.every((v, i) => v === b.box[i]);

  function decisionOf(entry, box) {
    return (decisions.get(entry.id) ?? []).find((one) => sameBox(one, box));
  }

  function verdictOf(entry, box) {
    return decisionOf(entry, box)?.verdict ?? "none";
  }

  function isReviewed(id) {
    const entry = entries.get(id);
    if (!decisions.has(id)) return false;
    return !entry || entry.boxes.every((box) => decisionOf(entry, box));
  }

  function readStorage() {
    decisions.clear();
    for (const key of Object.keys(localStorage).filter((one) => one.startsWith(PREFIX))) {
      decisions.set(Number(key.slice(PREFIX.length)), JSON.parse(localStorage.getItem(key)));
    }
  }

  function put(id, list) {
    if (list) decisions.set(id, list);
    else decisions.delete(id);
    if (list) localStorage.setItem(PREFIX + id, JSON.stringify(list));
    else localStorage.removeItem(PREFIX + id);
  }

  function keeping(action) {
    try {
      action();
      return true;
    } catch (error) {
      say(`This browser does not keep decisions (${error.message}): export before you leave.`);
      return false;
    }
  }

  // One step that `undo` takes back: a map of image id to its new decisions.
  function apply(changes) {
    undoable.push([...changes.keys()].map((id) => [id, decisions.get(id)]));
    return keeping(() => changes.forEach((list, id) => put(id, list)));
  }

  function undo() {
    const step = undoable.pop();
    if (!step) return;
    keeping(() => step.forEach(([id, list]) => put(id, list)));
    const id = step[0][0];
    chosen = null;
    show(positionOf.get(id) ?? at);
    say("undone");
  }

  // The decisions of an image after some of its boxes got a verdict, in the order of its boxes.
  function decided(entry, boxes, verdict) {
    const old = decisions.get(entry.id) ?? [];
    const shown = entry.boxes.flatMap((box) => {
      const fresh = { label: box.label, box: box.box, ...verdict };
      const kept = decisionOf(entry, box);
      return boxes.includes(box) ? [fresh] : kept ? [kept] : [];
    });
    const others = old.filter((one) => !entry.boxes.some((box) => sameBox(one, box)));
    return [...shown, ...others];
  }

  function decide(boxes, verdict) {
    const entry = current();
    const kept = apply(new Map([[entry.id, decided(entry, boxes, verdict)]]));
    const names = boxes.map((box) => box.label).join(", ") || "no boxes";
    const to = verdict.to === undefined ? "" : ` to ${verdict.to}`;
    const words = { accept: "accepted", reject: "rejected", relabel: "changed" };
    if (kept) say(`${names}: ${words[verdict.verdict]}${to}`);
  }

  // The chosen box, or all of them, and then the next image.
  function judge(verdict) {
    const entry = current();
    if (!entry) return;
    const all = chosen === null;
    decide(all ? entry.boxes : [entry.boxes[chosen]], { verdict });
    if (all && at + 1 < ids.length) show(at + 1);
    else render();
  }

  function judgeBox(index, verdict) {
    decide([current().boxes[index]], { verdict });
    render();
  }

  // ---- pages of images

  function load(page) {
    if (!loading.has(page)) {
      loading.set(page, new Promise((resolve, reject) => {
        arrived.set(page, resolve);
        const script = make("script", { src: `pages/${page}.js` });
        script.addEventListener("error", () => {
          loading.delete(page); // so that another attempt may succeed
          reject(new Error(`pages/${page}.js cannot be read: is it beside index.html?`));
        });
        document.head.append(script);
      }));
    }
    return loading.get(page);
  }

  function take(page, images) {
    for (const entry of images) entries.set(entry.id, entry);
    arrived.get(page)?.();
  }

  async function show(position) {
    const moved = position !== at;
    at = position;
    if (moved) chosen = heated = null;
    try {
      await load(pageOf.get(ids[position]));
    } catch (error) {
      say(error.message);
      return;
    }
    if (position !== at) return; // somebody went on while the page was loading
    written = `#${ids[at]}`;
    location.replace(written);
    render();
    expect(at + 1);
  }

  // The next image is fetched while this one is looked at.
  function expect(position) {
    if (position >= ids.length) return;
    load(pageOf.get(ids[position])).then(
      () => { new Image().src = entries.get(ids[position]).thumb; },
      () => {}, // it is said when somebody goes there
    );
  }

  function step(by) {
    const position = at + by;
    if (position < 0 || position >= ids.length) say(by < 0 ? "the first image" : "the last image");
    else show(position);
  }

  function showOpen() {
    const later = [...ids.keys()].map((i) => (at + 1 + i) % ids.length);
    const open = later.find((position) => !isReviewed(ids[position]));
    if (open === undefined) say("every image is reviewed");
    else show(open);
  }

  // ---- the image

  function render() {
    const entry = current();
    if (!entry) return;
    renderStage(entry);
    renderBoxes(entry);
    renderClasses(entry);
    renderOther(entry);
    renderStrip();
    renderProgress();
    byId("undo").disabled = !undoable.length;
  }

  function renderStage(entry) {
    const [width, height] = entry.size;
    const stage = byId("stage");
    stage.style.setProperty("--aspect", width / height);
    const seen = entry.boxes.map((box) => `${box.label} ${score(box.score)}`).join(", ");
    const picture = make("div", { className: "pic" }, make("img", {
      src: entry.thumb, width, height, alt: `${entry.file}, boxes: ${seen || "none"}`,
    }));
    const heat = entry.classes.find((one) => one.label === heated)?.heat;
    if (heat) picture.append(make("img", { className: "heat", src: heat, alt: "" }));
    picture.classList.toggle("heated", Boolean(heat));
    picture.append(drawing(entry), ...(byId("show-boxes").checked ? tags(entry) : []));
    stage.replaceChildren(picture);
    separate([...picture.querySelectorAll(".tag")]);
    byId("name").textContent = entry.file;
    byId("place").textContent = `${at + 1} of ${ids.length}`;
  }

  function drawing(entry) {
    const svg = draw("svg", { viewBox: `0 0 ${entry.size.join(" ")}`, "aria-hidden": "true" });
    svg.setAttribute("preserveAspectRatio", "none");
    if (byId("show-boxes").checked) {
      svg.append(...(entry.other ?? []).map((box) => rect(box.box, "other")));
      svg.append(...largestFirst(entry.boxes).map((index) => boxShape(entry, index)));
    }
    if (byId("show-points").checked) svg.append(...points(entry));
    return svg;
  }

  // A small box on a large one is drawn later, so that it can be touched.
  function largestFirst(boxes) {
    const area = ({ box: [x0, y0, x1, y1] }) => (x1 - x0) * (y1 - y0);
    return [...boxes.keys()].sort((a, b) => area(boxes[b]) - area(boxes[a]));
  }

  function rect([x0, y0, x1, y1], css) {
    return draw("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: css });
  }

  function boxShape(entry, index) {
    const box = entry.boxes[index];
    const css = `${verdictOf(entry, box)}${index === chosen ? " chosen" : ""}`;
    const shape = draw("g", { class: css });
    shape.append(...["area", "edge", "line"].map((kind) => rect(box.box, kind)));
    shape.addEventListener("click", () => choose(index));
    return shape;
  }

  function points(entry) {
    const present = new Set(entry.boxes.map((box) => box.label));
    const shown = entry.classes.filter((one) =>
      heated === null ? present.has(one.label) : one.label === heated);
    return shown.flatMap(({ label, point: [x, y] }) => {
      const box = entry.boxes.find((one) => one.label === label);
      const css = box ? verdictOf(entry, box) : "none";
      return ["halo", "point"].map((kind) =>
        draw("path", { d: `M${x} ${y}h0`, class: `${kind} ${css}` }));
    });
  }

  function tags(entry) {
    const [width, height] = entry.size;
    return entry.boxes.map((box, index) => {
      const [x0, y0, x1] = box.box;
      const verdict = verdictOf(entry, box);
      const name = decisionOf(entry, box)?.to ?? box.label;
      const tag = make("span", {
        className: `tag ${verdict}`,
        textContent: `${index + 1} ${name} ${score(box.score)} ${MARKS[verdict]}`,
      });
      const end = x0 > 0.6 * width;
      tag.classList.toggle("end", end);
      tag.classList.toggle("in", y0 < 0.07 * height);
      tag.classList.toggle("chosen", index === chosen);
      tag.style.left = `${(100 * (end ? x1 : x0)) / width}%`;
      tag.style.top = `${(100 * y0) / height}%`;
      return tag;
    });
  }

  // Tags of boxes that begin at the same place: the later ones move down.
  function separate(all) {
    const placed = [];
    for (const tag of all) {
      const { left, right, top, height } = tag.getBoundingClientRect();
      const near = placed.filter((one) => one.left < right && left < one.right);
      const meets = (y) => near.find((one) => one.top < y + height && y < one.top + height);
      let y = top;
      for (let other = meets(y); other; other = meets(y)) y = other.top + height;
      tag.style.marginTop = `${y - top}px`;
      placed.push({ left, right, top: y });
    }
  }

  // ---- what stands beside it

  function renderBoxes(entry) {
    const focused = focusedIn(byId("boxes"));
    byId("boxes").replaceChildren(...entry.boxes.map((box, index) => boxRow(entry, box, index)));
    if (!entry.boxes.length) {
      byId("boxes").append(make("li", {}, "None. Accept says that this is right."));
    }
    byId("boxes").querySelector(`[data-name="${focused}"]`)?.focus();
  }

  // Lists are built again when something changes; the focus stays where it was.
  function focusedIn(list) {
    return list.contains(document.activeElement) ? document.activeElement.dataset.name : "";
  }

  function boxRow(entry, box, index) {
    const decision = decisionOf(entry, box);
    const name = decision?.to === undefined
      ? [box.label] : [make("del", {}, box.label), ` ${decision.to}`];
    const pick = make("button", {
      className: "pick", title: box.label, aria: { pressed: index === chosen },
      onclick: () => choose(index),
    }, make("b", {}, `${index + 1}`), ...name, ` ${score(box.score)}`);
    pick.dataset.name = `pick-${index}`;
    const verdicts = [
      ["accept", "accept", () => judgeBox(index, "accept")],
      ["reject", "reject", () => judgeBox(index, "reject")],
      ["relabel", "change the class of", () => openChange(index)],
    ];
    return make("li", {}, pick, ...verdicts.map(([verdict, words, onclick]) => {
      const label = `${words} box ${index + 1}, ${box.label}`;
      const button = make("button", {
        className: verdict, title: label, textContent: MARKS[verdict], onclick,
        aria: { label, pressed: decision?.verdict === verdict },
      });
      button.dataset.name = `${verdict}-${index}`;
      return button;
    }));
  }

  function renderClasses(entry) {
    const focused = focusedIn(byId("classes"));
    byId("classes").replaceChildren(...entry.classes.map((one, index) => {
      const bar = make("i");
      bar.style.setProperty("--v", Math.min(1, one.score));
      const parts = [
        make("span", { className: "label" }, one.label), bar,
        make("span", { className: "score" }, score(one.score)),
      ];
      if (!one.heat) return make("li", {}, make("span", {}, ...parts));
      const button = make("button", {
        title: "heat map", aria: { pressed: one.label === heated },
        onclick: () => heat(one.label === heated ? null : one.label),
      }, ...parts);
      button.dataset.name = `class-${index}`;
      return make("li", {}, button);
    }));
    if (!entry.classes.length) byId("classes").append(make("li", {}, "None."));
    byId("classes").querySelector(`[data-name="${focused}"]`)?.focus();
  }

  function renderOther(entry) {
    if (!entry.other) {
      byId("other").replaceChildren();
      return;
    }
    const seen = entry.other.map((box) => `${box.label} ${score(box.score)}`).join(", ");
    byId("other").replaceChildren(
      make("h2", {}, "The other annotation"),
      make("p", { className: "note" }, `${seen || "no boxes"}; disagreement ${entry.apart}`),
    );
  }

  function renderStrip() {
    const page = about.pages[pageOf.get(ids[at])];
    const strip = byId("strip");
    const focused = focusedIn(strip);
    strip.replaceChildren(...page.map((id) => {
      const entry = entries.get(id);
      const mark = isReviewed(id) ? "✓" : decisions.has(id) ? "…" : "";
      const state = { "✓": ", reviewed", "…": ", begun" }[mark] ?? "";
      const button = make("button", {
        title: entry.file, aria: { label: `${entry.file}${state}` },
        onclick: () => show(positionOf.get(id)),
      }, make("img", { src: entry.thumb, alt: "", loading: "lazy" }));
      if (mark) button.append(make("b", { aria: { hidden: true } }, mark));
      if (id === ids[at]) button.setAttribute("aria-current", "true");
      button.dataset.name = `image-${id}`;
      return button;
    }));
    strip.querySelector(`[data-name="${focused}"]`)?.focus();
    const here = strip.querySelector("[aria-current]");
    strip.scrollLeft = here.offsetLeft - (strip.clientWidth - here.offsetWidth) / 2;
    byId("page").value = pageOf.get(ids[at]);
  }

  function renderProgress() {
    const done = ids.filter(isReviewed).length;
    byId("count").textContent = `${done} reviewed of`;
    byId("done").style.setProperty("--v", done / ids.length);
    byId("done").setAttribute("aria-valuenow", Math.round((100 * done) / ids.length));
  }

  // ---- choosing

  function choose(index) {
    chosen = index === chosen ? null : index;
    render();
    const box = chosen === null ? null : current().boxes[chosen];
    say(box ? `box ${chosen + 1}, ${box.label} ${score(box.score)}` : "no box chosen");
  }

  function chooseNext() {
    const count = current().boxes.length;
    if (count) choose(chosen === null ? 0 : (chosen + 1) % count);
  }

  function heat(label) {
    heated = label;
    render();
    say(label === null ? "no heat map" : `heat map of ${label}`);
  }

  function nextHeat() {
    const labels = [null, ...current().classes.filter((one) => one.heat).map((one) => one.label)];
    if (labels.length === 1) say("no heat maps: annotate with annotate.maps=true to keep them");
    else heat(labels[(labels.indexOf(heated) + 1) % labels.length]);
  }

  // ---- another class

  const change = byId("change");
  const type = byId("type");
  let changing = 0; // index of the box
  let active = 0; // index among the options

  function openChange(index) {
    const boxes = current().boxes;
    if (!boxes.length) return;
    const open = boxes.findIndex((box) => !decisionOf(current(), box));
    changing = index ?? chosen ?? Math.max(0, open);
    byId("change-title").textContent = `Box ${changing + 1}, ${boxes[changing].label}, is`;
    type.value = "";
    renderOptions();
    change.showModal();
    type.focus();
  }

  // Classes with a text in their name: those that begin with it, what the model considered first.
  function matching(text) {
    const wanted = text.trim().toLowerCase();
    const considered = current().classes.map((one) => one.label);
    const names = [...new Set([...considered, ...about.classes])];
    const found = names.filter((name) => name.toLowerCase().includes(wanted));
    const begins = (name) => name.toLowerCase().startsWith(wanted);
    return [...found.filter(begins), ...found.filter((name) => !begins(name))];
  }

  function renderOptions(index = 0) {
    const names = matching(type.value).slice(0, MOST_OPTIONS);
    active = Math.max(0, Math.min(index, names.length - 1));
    byId("options").replaceChildren(...names.map((name, i) => {
      const option = make("li", {
        id: `option-${i}`, role: "option", textContent: name,
        aria: { selected: i === active }, onclick: () => relabel(name),
      });
      return option;
    }));
    byId("options").children[active]?.scrollIntoView({ block: "nearest" });
    byId("no-match").textContent = names.length ? "" : "no class has that in its name";
    if (names.length) type.setAttribute("aria-activedescendant", `option-${active}`);
    else type.removeAttribute("aria-activedescendant");
  }

  function relabel(name) {
    const box = current().boxes[changing];
    change.close();
    const verdict = name === box.label ? { verdict: "accept" } : { verdict: "relabel", to: name };
    decide([box], verdict);
    render();
  }

  function typed(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      const option = byId("options").children[active];
      if (option) relabel(option.textContent);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      renderOptions(active + (event.key === "ArrowDown" ? 1 : -1));
    }
  }

  // ---- files

  function save(name, value) {
    const blob = new Blob([JSON.stringify(value, null, 1)], { type: "application/json" });
    const link = make("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  function exportDecisions() {
    save(`review-${about.model}.json`, {
      schema: SCHEMA, model: about.model, min_score: about.min_score,
      images: Object.fromEntries(decisions),
    });
    say(`${counted(decisions.size, "image", "images")} exported`);
  }

  async function exportTasks() {
    const known = [...decisions.keys()].filter((id) => pageOf.has(id)).sort((a, b) => a - b);
    try {
      await Promise.all([...new Set(known.map((id) => pageOf.get(id)))].map(load));
    } catch (error) {
      say(error.message);
      return;
    }
    save(`label-studio-${about.model}.json`, known.map((id) => task(entries.get(id))));
    const missing = decisions.size - known.length;
    say(`${counted(known.length, "task", "tasks")} exported` +
      (missing ? `; ${counted(missing, "image is", "images are")} not in this review` : ""));
  }

  // Boxes that were accepted or changed, as an annotation of Label Studio: percent of the image.
  function task(entry) {
    const [width, height] = entry.size;
    const kept = decisions.get(entry.id).filter((one) => one.verdict !== "reject");
    const result = kept.map(({ label, to, box: [x0, y0, x1, y1] }, index) => ({
      id: `${entry.id}-${index}`, type: "rectanglelabels", from_name: "label", to_name: "image",
      original_width: width, original_height: height, image_rotation: 0,
      value: {
        x: (100 * x0) / width, y: (100 * y0) / height, width: (100 * (x1 - x0)) / width,
        height: (100 * (y1 - y0)) / height, rotation: 0, rectanglelabels: [to ?? label],
      },
    }));
    const data = { image: entry.file, image_id: entry.id, file_name: entry.file };
    return { data, annotations: [{ result }] };
  }

  async function importDecisions(file) {
    try {
      const changes = read(JSON.parse(await file.text()));
      if (apply(changes)) say(`${counted(changes.size, "image", "images")} imported`);
      render();
    } catch (error) {
      say(`${file.name} was not imported: ${error.message}`);
    }
  }

  function read(value) {
    if (value?.schema !== SCHEMA) throw new Error(`no decisions of schema ${SCHEMA}`);
    if (value.model !== about.model) throw new Error(`it is of ${value.model}, not ${about.model}`);
    const found = Object.entries(value.images ?? {});
    if (!found.length) throw new Error("it has no images");
    return new Map(found.map(([id, list]) => [Number(id), list.map(checked)]));
  }

  function checked(one) {
    const box = Array.isArray(one.box) && one.box.length === 4 && one.box.every(Number.isFinite);
    const verdict = ["accept", "reject", "relabel"].includes(one.verdict);
    const to = (one.verdict === "relabel") === (typeof one.to === "string");
    if (typeof one.label === "string" && box && verdict && to) return one;
    throw new Error(`no decision: ${JSON.stringify(one)}`);
  }

  // ---- keys, touch, start

  function toggle(id) {
    byId(id).checked = !byId(id).checked;
    render();
  }

  function leave() {
    if (byId("files").open) byId("files").open = false;
    else if (chosen !== null) choose(chosen);
  }

  const KEYS = {
    ArrowRight: () => step(1), ArrowLeft: () => step(-1),
    a: () => judge("accept"), r: () => judge("reject"), c: () => openChange(), u: undo,
    b: chooseNext, h: nextHeat, n: showOpen, v: () => toggle("show-boxes"),
    p: () => toggle("show-points"), "?": () => byId("keys").showModal(),
    Escape: leave,
  };

  function pressed(event) {
    const busy = event.target.matches("select") || document.querySelector("dialog[open]");
    if (busy || event.altKey || !current()) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.ctrlKey || event.metaKey) {
      if (key !== "z") return;
      event.preventDefault();
      undo();
    } else if (/^[1-9]$/.test(key)) {
      if (Number(key) <= current().boxes.length) choose(Number(key) - 1);
    } else if (Object.hasOwn(KEYS, key)) {
      event.preventDefault();
      KEYS[key]();
    }
  }

  function listenToSwipes(element) {
    let start = null;
    element.addEventListener("touchstart", ({ touches }) => {
      start = touches.length === 1 ? touches[0] : null;
    }, { passive: true });
    element.addEventListener("touchend", ({ changedTouches: [end] }) => {
      if (!start) return;
      const across = end.clientX - start.clientX;
      const down = end.clientY - start.clientY;
      if (Math.abs(across) > SWIPE_PX && Math.abs(across) > 2 * Math.abs(down)) {
        step(across < 0 ? 1 : -1);
      }
      start = null;
    }, { passive: true });
  }

  function listen() {
    const clicks = {
      previous: () => step(-1), next: () => step(1), accept: () => judge("accept"),
      reject: () => judge("reject"), undo, open: showOpen, export: exportDecisions,
      tasks: exportTasks, help: () => byId("keys").showModal(),
      "keys-close": () => byId("keys").close(), "change-close": () => change.close(),
    };
    for (const [id, action] of Object.entries(clicks)) byId(id).addEventListener("click", action);
    for (const id of ["show-boxes", "show-points"]) byId(id).addEventListener("change", render);
    byId("page").addEventListener("change", ({ target }) =>
      show(positionOf.get(about.pages[target.value][0])));
    byId("import").addEventListener("change", async ({ target }) => {
      if (target.files.length) await importDecisions(target.files[0]);
      target.value = ""; // so that the same file can be chosen again
    });
    type.addEventListener("input", () => renderOptions());
    type.addEventListener("keydown", typed);
    document.addEventListener("keydown", pressed);
    window.addEventListener("storage", () => { if (keeping(readStorage)) render(); });
    window.addEventListener("hashchange", () => {
      // Its own changes are told late, when somebody may be on the way to another image.
      if (location.hash !== written) goTo(location.hash);
    });
    listenToSwipes(byId("stage"));
  }

  function goTo(hash) {
    const position = positionOf.get(Number(hash.slice(1)));
    if (position !== undefined && position !== at) show(position);
  }

  function start() {
    const pages = byId("page");
    pages.hidden = about.pages.length === 1;
    about.pages.forEach((_, n) => {
      pages.append(make("option", { value: n }, `page ${n + 1}/${about.pages.length}`));
    });
    keeping(readStorage);
    listen();
    show(positionOf.get(Number(location.hash.slice(1))) ?? 0);
  }

  return { start, take };
})();

wsolReview.start();
