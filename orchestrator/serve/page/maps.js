/* Maps as workloads/localization/{maps,class_boxes}.py make them: the same float32 steps.

A map is {values: Float32Array, row by row, width, height}; a cut map {map01, raw}, both maps:
map01 in the unit of the cut-offs, raw in its own. */

const f32 = Math.fround;
const STEPS = 65535;

/** A map as the endpoint sends it, {height, width, low, high, values: base64 of uint16}. */
export function unpacked({ height, width, low, high, values }) {
  const text = atob(values);
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const whole = new DataView(bytes.buffer);
  const step = (high - low) / STEPS;
  const found = new Float32Array(width * height);
  for (let i = 0; i < found.length; i++) found[i] = low + whole.getUint16(2 * i, true) * step;
  return { values: found, width, height };
}

/** Lowest and highest value. */
export function ends({ values }) {
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < values.length; i++) {
    if (values[i] < low) low = values[i];
    if (values[i] > high) high = values[i];
  }
  return [low, high];
}

/** The map at another size, bilinear: edges meet edges, or with `aligned` corners meet corners. */
export function upsample(map, width, height, aligned) {
  const [low, high] = ends(map);
  if (low === high) {
    return { values: new Float32Array(width * height).fill(low), width, height };
  }
  if (map.width === width && map.height === height) return map;
  return aligned ? upsampleAligned(map, width, height) : upsampleHalfPixel(map, width, height);
}

/* OpenCV's order: across first, then down; each a + (b - a) * t, rounded to float32 once. */
function upsampleHalfPixel(map, width, height) {
  const across = places(map.width, width);
  const down = places(map.height, height);
  const wide = new Float32Array(map.height * width);
  for (let y = 0; y < map.height; y++) {
    for (let x = 0; x < width; x++) {
      const a = map.values[y * map.width + across.first[x]];
      const b = map.values[y * map.width + across.second[x]];
      wide[y * width + x] = a + f32(b - a) * across.share[x];
    }
  }
  const values = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    const [from, to, share] = [down.first[y] * width, down.second[y] * width, down.share[y]];
    for (let x = 0; x < width; x++) {
      const a = wide[from + x];
      values[y * width + x] = a + f32(wide[to + x] - a) * share;
    }
  }
  return { values, width, height };
}

function places(size, toSize) {
  const first = new Int32Array(toSize);
  const second = new Int32Array(toSize);
  const share = new Float32Array(toSize);
  for (let i = 0; i < toSize; i++) {
    const place = (i + 0.5) * (size / toSize) - 0.5;
    const cell = Math.floor(place);
    first[i] = Math.min(Math.max(cell, 0), size - 1);
    second[i] = Math.min(first[i] + 1, size - 1);
    share[i] = cell < 0 || cell >= size - 1 ? 0 : place - cell;
  }
  return { first, second, share };
}

/* In float64, down first, and rounded at the end. */
function upsampleAligned(map, width, height) {
  const across = cornerPlaces(map.width, width);
  const down = cornerPlaces(map.height, height);
  const values = new Float32Array(width * height);
  const tall = new Float64Array(map.width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < map.width; x++) tall[x] = mixed(down, y, (k) => map.values[k * map.width + x]);
    for (let x = 0; x < width; x++) values[y * width + x] = mixed(across, x, (k) => tall[k]);
  }
  return { values, width, height };
}

function mixed({ first, second, near, far }, i, valueOf) {
  return valueOf(first[i]) * near[i] + (far[i] ? valueOf(second[i]) * far[i] : 0);
}

function cornerPlaces(size, toSize) {
  const made = () => new Float64Array(toSize);
  const found = { first: new Int32Array(toSize), second: new Int32Array(toSize), near: made(), far: made() };
  for (let i = 0; i < toSize; i++) {
    const place = i * ((size - 1) / Math.max(toSize - 1, 1));
    const cell = Math.min(Math.floor(place), size - 1);
    found.first[i] = cell;
    found.second[i] = Math.min(cell + 1, size - 1);
    found.near[i] = Math.max(1 - Math.abs(place - cell), 0);
    found.far[i] = cell + 1 < size ? Math.max(1 - Math.abs(place - (cell + 1)), 0) : 0;
  }
  return found;
}

/** From lowest to highest as 0 to 1; a constant map is 0 everywhere. */
function normalized(map) {
  const [low, high] = ends(map);
  const range = f32(high - low);
  return mapped(map, high > low ? (value) => f32(value - low) / range : () => 0);
}

/** A raw map to [0, 1] in the unit of a cut-off. */
export function inUnit(map, relativeTo) {
  const [low, high] = ends(map);
  if (relativeTo === "range" || !(high > low)) return normalized(map);
  const most = relativeTo === "max" ? Math.max(high, 0) : 1;
  if (!(most > 0)) return mapped(map, () => 0);
  return mapped(map, (value) => Math.min(Math.max(f32(value / most), 0), 1));
}

function mapped(map, change) {
  const values = new Float32Array(map.values.length);
  for (let i = 0; i < values.length; i++) values[i] = change(map.values[i]);
  return { values, width: map.width, height: map.height };
}

/** The maps of a class as they are cut: one for each scale, or one for all. */
export function mapsToCut(raws, width, height, cutoffs) {
  const chosen = cutoffs.scales === "main" ? raws.slice(0, 1) : raws;
  const maps = chosen.map((raw) => mapToCut(raw, width, height, cutoffs));
  return cutoffs.scales === "mean" && maps.length > 1 ? [meanOf(maps, cutoffs)] : maps;
}

function mapToCut(raw, width, height, cutoffs) {
  const first = cutoffs.upsample === "first" || cutoffs.box_rule === "regions";
  const sized = first ? upsample(raw, width, height, cutoffs.align_corners) : raw;
  return { map01: inUnit(sized, unitOf(cutoffs)), raw: sized };
}

/** The unit in which maps are cut; the mean of a map needs none of its own. */
function unitOf(cutoffs) {
  return cutoffs.threshold === "fixed" ? cutoffs.relative_to : "range";
}

function meanOf(maps, cutoffs) {
  const { width, height } = maps[0].raw;
  const mean = (all) => {
    const sized = all.map((one) => upsample(one, width, height, cutoffs.align_corners).values);
    const sums = sized.slice(1).reduce((sum, one) => sum.map((v, i) => v + one[i]), sized[0]);
    return mapped({ values: sums, width, height }, (sum) => sum / maps.length);
  };
  const map01 = mean(maps.map((one) => one.map01));
  return {
    map01: unitOf(cutoffs) === "range" ? normalized(map01) : map01,
    raw: mean(maps.map((one) => one.raw)),
  };
}

/** Level of a map strictly above which pixels are foreground. */
export function levelOf(map01, cutoffs, label) {
  if (cutoffs.threshold === "fixed") {
    return f32(cutoffs.class_cutoffs.length ? cutoffs.class_cutoffs[label] : cutoffs.cutoff);
  }
  const { values, width, height } = map01;
  let sum = 0;
  for (let y = 0; y < height; y++) {
    let ofRow = 0;
    for (let i = y * width; i < (y + 1) * width; i++) ofRow += values[i];
    sum += ofRow;
  }
  return Math.max(nextBelow(f32(sum / values.length)), 0);
}

/* The largest float32 below a value that is not negative. */
function nextBelow(value) {
  if (!(value > 0)) return -1;
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  bits[0] -= 1;
  return new Float32Array(bits.buffer)[0];
}
