// The page of sliders. `ort` is onnxruntime-web, which precedes this script in the same module.
const element = (id) => document.getElementById(id);
const data = JSON.parse(element("data").textContent);
const CELLS = 9; // images of a strip
const first = data.models[0];

// What is shown: a code for each model, and one class, noise and moved slider for all.
const state = { codes: [], label: 0, noise: [], row: 0, examples: null, name: "" };
const sessions = [];

// ---- networks ----

async function unpack(id) {
  const text = atob(element(id).textContent);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  element(id).remove(); // The browser need not hold both.
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

let turn = Promise.resolve(); // A session fails where a second call begins before the first one ends.

function run(session, values) {
  const feeds = Object.fromEntries(session.inputNames.map((name) => [name, values[name]]));
  const outputs = turn.then(() => session.run(feeds));
  turn = outputs.catch(() => {});
  return outputs;
}

const rowOf = (values, shape = [values.length]) => new ort.Tensor("float32", Float32Array.from(values), [1, ...shape]);
const labelOf = (label) => new ort.Tensor("int64", BigInt64Array.from([BigInt(label)]), [1]);

async function encode(m, pixels, label) {
  const { codes } = await run(sessions[m].encoder, { images: rowOf(pixels, data.models[m].shape), labels: labelOf(label) });
  return Array.from(codes.data);
}

async function decode(m, code, label = state.label) {
  const values = { codes: rowOf(code), noise: rowOf(state.noise[m]), labels: labelOf(label) };
  return (await run(sessions[m].decoder, values)).images.data;
}

// ---- drawing ----

function toImage(pixels, [channels, height, width]) {
  const image = new ImageData(width, height);
  const size = height * width;
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = Math.round(255 * Math.min(1, Math.max(0, pixels[(channels === 1 ? 0 : c) * size + i])));
    image.data[4 * i + 3] = 255;
  }
  return image;
}

function paint(canvas, pixels, shape, left = 0) {
  canvas.getContext("2d").putImageData(toImage(pixels, shape), left, 0);
}

function resize(canvas, width, height) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
}

const pause = () => new Promise((resolve) => setTimeout(resolve)); // lets the browser handle the next movement

let wanted = 0;
let busy = false;
const strips = [];

// Decode what is wanted now. While this runs, more calls only ask for another round.
async function refresh() {
  wanted++;
  showState();
  if (busy) return;
  busy = true;
  element("main").setAttribute("aria-busy", "true");
  try {
    for (let round = 0; round !== wanted; ) {
      round = wanted;
      for (let m = 0; m < data.models.length; m++) {
        paint(document.querySelectorAll(".picture")[m], await decode(m, state.codes[m]), data.models[m].shape);
      }
      await pause();
      for (let m = 0; m < data.models.length && round === wanted; m++) await showStrip(m, round);
    }
    element("main").setAttribute("aria-busy", "false");
  } catch (error) {
    fail(error);
  } finally {
    busy = false;
  }
}

// The strip shows the moved latent over its range. It stays as it is while nothing else changes.
async function showStrip(m, round) {
  const canvas = document.querySelectorAll(".strip")[m];
  const row = data.rows[state.row];
  const place = row?.places[m];
  canvas.hidden = place == null;
  if (place == null) return;
  const code = state.codes[m].slice();
  code[place.latent] = 0;
  const content = JSON.stringify([state.row, code, state.label, state.noise[m]]);
  if (strips[m] === content) return;
  const [, height, width] = data.models[m].shape;
  resize(canvas, CELLS * (width + 1) - 1, height);
  canvas.setAttribute("aria-label", `Traversal of ${row.label} from ${row.low} to ${row.high}`);
  for (let cell = 0; cell < CELLS; cell++) {
    code[place.latent] = place.sign * (row.low + (cell / (CELLS - 1)) * (row.high - row.low));
    paint(canvas, await decode(m, code), data.models[m].shape, cell * (width + 1));
    await pause();
    if (round !== wanted) return;
  }
  strips[m] = content;
}

// ---- sliders and buttons ----

const format = (value) => value.toFixed(2).replace("-", "−");

function valueOf(row) {
  const m = row.places.findIndex((place) => place != null);
  return row.places[m].sign * state.codes[m][row.places[m].latent];
}

function showState() {
  for (const slider of document.querySelectorAll("[data-row]")) {
    const value = valueOf(data.rows[slider.dataset.row]);
    if (Math.abs(Number(slider.value) - value) > Number(slider.step) / 2) slider.value = value;
    slider.nextElementSibling.textContent = format(value);
    slider.setAttribute("aria-valuetext", format(value));
    slider.parentElement.classList.toggle("moving", Number(slider.dataset.row) === state.row);
  }
  document.querySelectorAll("[data-category]").forEach((group, c) => {
    const { offset, names } = first.categories[c];
    const values = state.codes[0].slice(offset, offset + names.length);
    press(group, values.indexOf(Math.max(...values)));
  });
  if (element("classes")) press(element("classes"), state.label);
  const row = data.rows[state.row];
  element("strip-note").textContent = row ? `${row.label} from ${row.low} to ${row.high}; drag across the strip` : "";
  const codes = data.models.map((model, m) => ({
    ...(data.models.length > 1 && { model: model.title }),
    codes: [state.codes[m].map((value) => Number(value.toPrecision(7)))],
    ...(model.classes && { labels: [state.label] }),
    ...(model.noise && { noise: [state.noise[m].map((value) => Number(value.toPrecision(7)))] }),
  }));
  element("code").value = JSON.stringify(codes.length > 1 ? codes : codes[0]);
}

function press(group, value) {
  for (const button of group.querySelectorAll("button")) button.setAttribute("aria-pressed", Number(button.dataset.value) === value);
}

function move(place, value) {
  state.row = place;
  data.rows[place].places.forEach((target, m) => {
    if (target != null) state.codes[m][target.latent] = target.sign * value;
  });
  refresh();
}

function say(text) {
  element("status").textContent = text;
}

function fail(error) {
  element("alert").textContent = `This page cannot decode: ${error.message ?? error}`;
  element("alert").hidden = false;
}

function hideSources() {
  for (const source of document.querySelectorAll(".source")) source.hidden = true;
}

function use(codes, label = state.label) {
  state.codes = codes.map((code) => code.slice());
  state.label = label;
  refresh();
}

// ---- images to begin with ----

async function begin(pixels, label, name) {
  const codes = [];
  for (let m = 0; m < data.models.length; m++) codes.push(await encode(m, pixels, label ?? state.label));
  document.querySelectorAll(".original").forEach((canvas, m) => paint(canvas, pixels, data.models[m].shape));
  for (const source of document.querySelectorAll(".source")) source.hidden = false;
  state.name = name;
  use(codes, label);
  return codes;
}

async function readPicture(file) {
  const [channels, height, width] = first.shape;
  const bitmap = await createImageBitmap(file);
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  const scale = Math.max(width / bitmap.width, height / bitmap.height); // The middle of the picture fills the image.
  const size = [bitmap.width * scale, bitmap.height * scale];
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, (width - size[0]) / 2, (height - size[1]) / 2, ...size);
  const shades = context.getImageData(0, 0, width, height).data;
  const pixels = new Float32Array(channels * height * width);
  for (let i = 0; i < height * width; i++) {
    const [r, g, b] = shades.subarray(4 * i, 4 * i + 3);
    const values = channels === 1 ? [Math.round(0.299 * r + 0.587 * g + 0.114 * b)] : [r, g, b];
    values.forEach((value, c) => (pixels[c * height * width + i] = (element("invert").checked ? 255 - value : value) / 255));
  }
  return pixels;
}

let picture = null;

async function beginWithPicture(file) {
  try {
    picture = file;
    await begin(await readPicture(file), undefined, file.name);
    say(`${file.name} is encoded.`);
  } catch (error) {
    say(`${file.name} is no picture that this browser can read.`);
  }
}

function listExamples() {
  const { count, labels } = data.examples;
  const size = first.shape.reduce((a, b) => a * b);
  for (let i = 0; i < count; i++) {
    const pixels = state.examples.subarray(i * size, (i + 1) * size);
    const canvas = Object.assign(document.createElement("canvas"), { width: first.shape[2], height: first.shape[1] });
    paint(canvas, pixels, first.shape);
    const button = document.createElement("button");
    button.type = "button";
    const name = labels ? data.names[labels[i]] : "";
    button.setAttribute("aria-label", `Test image ${i + 1}${name && `, ${name}`}`);
    button.append(canvas, name);
    button.addEventListener("click", () => {
      picture = null;
      begin(pixels, labels?.[i], `test image ${i + 1}`);
      say(`Test image ${i + 1} is encoded.`);
    });
    element("examples").append(button);
  }
}

// ---- between two codes ----

const ends = { a: null, b: null };

async function take(end) {
  ends[end] = { codes: state.codes.map((code) => code.slice()), label: state.label };
  const canvas = document.querySelector(`#take-${end} canvas`);
  resize(canvas, first.shape[2], first.shape[1]);
  paint(canvas, await decode(0, state.codes[0]), first.shape);
}

function mix(share) {
  const { a, b } = ends;
  hideSources();
  use(a.codes.map((code, m) => code.map((value, i) => (1 - share) * value + share * b.codes[m][i])), (share < 0.5 ? a : b).label);
}

// ---- events ----

function listen() {
  for (const slider of document.querySelectorAll("[data-row]")) {
    const place = Number(slider.dataset.row);
    slider.addEventListener("input", () => move(place, Number(slider.value)));
    slider.addEventListener("focus", () => {
      if (state.row === place) return;
      state.row = place;
      refresh();
    });
  }
  for (const strip of document.querySelectorAll(".strip")) {
    const scrub = (event) => {
      if (event.type === "pointermove" && !event.buttons) return;
      const { left, width } = strip.getBoundingClientRect();
      const row = data.rows[state.row];
      const share = (((event.clientX - left) / width) * CELLS - 0.5) / (CELLS - 1); // The middle of a cell is its value.
      move(state.row, row.low + Math.min(1, Math.max(0, share)) * (row.high - row.low));
    };
    strip.addEventListener("pointerdown", (event) => {
      strip.setPointerCapture(event.pointerId);
      scrub(event);
    });
    strip.addEventListener("pointermove", scrub);
  }
  document.querySelectorAll("[data-category]").forEach((group, c) => {
    group.addEventListener("click", ({ target }) => {
      if (target.dataset.value === undefined) return;
      data.models.forEach((model, m) => {
        const category = model.categories[c];
        category?.names.forEach((_, k) => (state.codes[m][category.offset + k] = Number(k === Number(target.dataset.value))));
      });
      refresh();
    });
  });
  element("classes")?.addEventListener("click", ({ target }) => {
    if (target.dataset.value !== undefined) use(state.codes, Number(target.dataset.value));
  });
  element("mean").addEventListener("click", () => {
    hideSources();
    use(data.models.map((model) => model.mean));
  });
  element("draw").addEventListener("click", () => {
    hideSources();
    const draw = Math.floor(Math.random() * first.draws.length);
    use(data.models.map((model) => model.draws[draw]));
  });
  element("noise")?.addEventListener("click", () => {
    drawNoise();
    refresh();
  });
  element("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(element("code").value);
    } catch {
      element("code").select(); // Some browsers give pages from disk no clipboard.
      document.execCommand("copy");
    }
    say("The code is copied.");
  });
  element("save").addEventListener("click", () => {
    document.querySelectorAll(".picture").forEach((canvas, m) =>
      canvas.toBlob((blob) => {
        const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: data.models[m].file });
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 1000);
      }),
    );
  });
  element("file").addEventListener("change", ({ target }) => {
    if (target.files[0]) beginWithPicture(target.files[0]);
    target.value = "";
  });
  element("invert").addEventListener("change", () => picture && beginWithPicture(picture));
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      document.body.classList.toggle("dropping", name === "dragover");
      if (name === "drop" && event.dataTransfer.files[0]) beginWithPicture(event.dataTransfer.files[0]);
    });
  }
  element("take-a").addEventListener("click", () => take("a"));
  element("take-b").addEventListener("click", () => take("b"));
  element("mix").addEventListener("input", ({ target }) => mix(Number(target.value)));
}

function drawNoise() {
  const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  state.noise = data.models.map(({ noise }) => {
    const draw = noise?.prior === "uniform" ? () => 2 * Math.random() - 1 : normal;
    return Array.from({ length: noise?.size ?? 0 }, () => Math.fround(draw()));
  });
}

async function start() {
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await unpack("wasm");
  for (let m = 0; m < data.models.length; m++) {
    const [encoder, decoder] = [await unpack(`encoder${m}`), await unpack(`decoder${m}`)];
    sessions.push({ encoder: await ort.InferenceSession.create(encoder), decoder: await ort.InferenceSession.create(decoder) });
  }
  state.examples = new Float32Array((await unpack("images")).buffer);
  state.codes = data.models.map((model) => model.mean.slice());
  drawNoise();
  listExamples();
  listen();
  const size = first.shape.reduce((a, b) => a * b);
  const show = async (i) => begin(state.examples.subarray(i * size, (i + 1) * size), data.examples.labels?.[i], `test image ${i + 1}`);
  if (data.examples.count > 1) {
    await show(1);
    await take("b");
    await show(0);
  } else {
    await take("b");
    use(state.codes);
  }
  await take("a");
}

start().catch(fail);
