"use strict";
// The page of asit-demo: sends one recording at a time to the model and shows its findings as they come.

const at = (id) => document.getElementById(id);
const most = { bytes: Number(document.body.dataset.bytes), seconds: Number(document.body.dataset.seconds) };
const HEAD = 44; // bytes before the samples of a wav file
let running = new AbortController();

function make(kind, properties, ...inside) {
  const element = Object.assign(document.createElement(kind), properties);
  element.append(...inside);
  return element;
}

function say(text, wrong = false) {
  at("status").textContent = text;
  at("status").className = wrong ? "wrong" : "quiet";
}

const shown = { // one for each kind of finding
  note: (text) => say(text),
  error: (text) => at("findings").append(make("p", { className: "wrong" }, text)),
  transcript: (text) => at("findings").append(make("p", { id: "transcript" }, text || "(no words)")),
  events: (rows) => at("findings").append(make("table", {}, ...rows.map(([start, end, name, p]) => make("tr", {},
    make("td", {}, `${start.toFixed(2)} – ${end.toFixed(2)} s`),
    make("th", {}, name),
    make("td", {}, `${(100 * p).toFixed(1)} %`)))), rows.length ? "" : "(no events)"),
  picture: ({ shows, address }) => at("findings").append(make("img", { src: address, alt: shows })),
  classes: (rows) => at("findings").append(make("table", {}, ...rows.map(([name, p]) => make("tr", {},
    make("th", {}, name),
    make("td", {}, make("meter", { value: p, title: name })),
    make("td", {}, `${(100 * p).toFixed(1)} %`))))),
};

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const whole = (rest + value).split("\n");
    rest = whole.pop();
    yield* whole;
  }
}

function leave() { // what is heard so far: of two recordings the later one counts
  running.abort();
  at("findings").ariaBusy = "false";
}

async function hear(audio, name) {
  leave();
  const { signal } = running = new AbortController();
  at("findings").replaceChildren();
  URL.revokeObjectURL(at("player").src);
  at("player").src = URL.createObjectURL(audio);
  at("player").hidden = false;
  if (audio.size > most.bytes) {
    return say(`${name}: expected at most ${most.bytes / 2 ** 20} MiB, found ${Math.ceil(audio.size / 2 ** 20)}; cut it`, true);
  }
  say(`${name}: the model listens`);
  at("findings").ariaBusy = "true";
  try {
    const answer = await fetch("hear?" + new URLSearchParams({ name }), { method: "POST", body: audio, signal });
    if (!answer.ok) throw new Error(await answer.text());
    for await (const line of lines(answer.body)) {
      const [[kind, found]] = Object.entries(JSON.parse(line));
      if (kind === "error") say("");
      shown[kind](found);
    }
  } catch (error) {
    if (signal.aborted) return;
    say(`no answer (${error.message}); is asit-demo still running?`, true);
  }
  at("findings").ariaBusy = "false";
}

function choose(files) {
  if (files.length === 1) hear(files[0], files[0].name);
  else if (files.length) say(`expected one recording, found ${files.length} files; drop one after another`, true);
}

// A wav file of float32 samples, made here: what browsers record themselves, WebM or MP4, libsndfile does not read.
function wav(blocks, rate) {
  const size = 4 * blocks.reduce((sum, block) => sum + block.length, 0);
  const head = new DataView(new ArrayBuffer(HEAD));
  const text = (place, word) => [...word].forEach((c, i) => head.setUint8(place + i, c.charCodeAt(0)));
  text(0, "RIFF"), head.setUint32(4, HEAD - 8 + size, true), text(8, "WAVEfmt "), head.setUint32(16, 16, true);
  head.setUint16(20, 3, true), head.setUint16(22, 1, true); // floats, one channel
  head.setUint32(24, rate, true), head.setUint32(28, 4 * rate, true);
  head.setUint16(32, 4, true), head.setUint16(34, 32, true); // bytes and bits of a sample
  text(36, "data"), head.setUint32(40, size, true);
  return new Blob([head, ...blocks], { type: "audio/wav" });
}

async function record() {
  const context = new AudioContext();
  try {
    await context.audioWorklet.addModule("static/recorder.js");
    // As it is: browsers filter and level for telephony, which no training has heard.
    const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    take(context, stream);
  } catch (error) {
    context.close();
    say(`no recording: ${error.message}`, true);
  }
}

function take(context, stream) {
  const tap = new AudioWorkletNode(context, "recorder", { channelCount: 1, channelCountMode: "explicit" });
  const rate = context.sampleRate;
  const limit = Math.min(most.seconds * rate, (most.bytes - HEAD) / 4); // samples
  const blocks = [];
  const stop = () => {
    tap.port.onmessage = null;
    stream.getTracks().forEach((track) => track.stop());
    context.close();
    at("record").textContent = "Record";
    at("record").onclick = start;
    hear(wav(blocks, rate), "recording.wav");
  };
  tap.port.onmessage = ({ data }) => {
    blocks.push(data);
    const taken = blocks.length * data.length;
    say(`recording: ${Math.floor(taken / rate)} s`);
    if (taken + data.length > limit) stop();
  };
  context.createMediaStreamSource(stream).connect(tap).connect(context.destination); // silent, but it makes it run
  at("record").textContent = "Stop";
  at("record").onclick = stop;
}

async function start() {
  leave();
  at("record").disabled = true; // while the browser asks
  await record();
  at("record").disabled = false;
}

at("record").onclick = start;
at("file").onchange = () => { choose(at("file").files); at("file").value = ""; }; // the same file may come again
document.ondragover = (event) => { event.preventDefault(); at("drop").className = "over"; };
document.ondragleave = () => { at("drop").className = ""; };
document.ondrop = (event) => { event.preventDefault(); at("drop").className = ""; choose(event.dataTransfer.files); };
