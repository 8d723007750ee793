// Digits from a recording: the string, and its probabilities over the spectrogram.

import { listen } from "./models.js";

const $ = (id) => document.getElementById(id);
const SECONDS = 3; // of a recording by the microphone
const LONGEST = 30; // seconds of a recording that are read

/** Reads recordings from the file input and from the microphone. */
export function startDigits({ digits: model }) {
  const rate = model.config.preprocessing.sampling_rate;

  const show = async (take) => {
    $("digits").textContent = "…";
    try {
      await showDigits(model, await decode(await take(), rate));
    } catch (error) {
      $("digits").textContent = `The recording cannot be read: ${error.message}`;
    }
  };
  $("digits-file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    if (file) show(() => file.arrayBuffer());
  });
  $("digits-sample").addEventListener("click", () =>
    show(async () => (await fetch(new URL("./digits.wav", import.meta.url))).arrayBuffer()),
  );
  $("digits-record").addEventListener("click", () => show(() => record($("digits-record"))));
}

/** Samples between -1 and 1 at the rate of the network, of the first channel. */
async function decode(bytes, rate) {
  const context = new OfflineAudioContext(1, 1, rate);
  const sound = await context.decodeAudioData(bytes);
  return sound.getChannelData(0).slice(0, LONGEST * rate);
}

async function record(button) {
  if (!navigator.mediaDevices) throw new Error("the browser does not let this page use a microphone");
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const recorder = new MediaRecorder(stream);
  const pieces = [];
  recorder.ondataavailable = (event) => pieces.push(event.data);
  const stopped = new Promise((resolve) => (recorder.onstop = resolve));
  button.disabled = true;
  recorder.start();
  await new Promise((resolve) => setTimeout(resolve, 1000 * SECONDS));
  recorder.stop();
  await stopped;
  stream.getTracks().forEach((track) => track.stop());
  button.disabled = false;
  return new Blob(pieces).arrayBuffer();
}

/** Recognises digits, and draws. */
async function showDigits(model, samples) {
  const found = await listen(model, samples);
  const length = found.label_lengths.data[0];
  const names = Array.from(found.labels.data.slice(0, length), (label) => model.labels[label]);
  $("digits").textContent = names.length ? names.join(" ") : "No digit was recognised.";
  draw($("digits-picture"), model, found, samples.length, names);
}

function draw(canvas, model, found, numSamples, names) {
  const { log_mel: spectrogram, logits } = found;
  const paper = canvas.getContext("2d");
  canvas.hidden = false;
  // As many pixels as the screen shows, so that numbers are as large on a telephone as elsewhere.
  const [wide, high] = [canvas.clientWidth, canvas.clientWidth < 600 ? 200 : 300];
  const scale = window.devicePixelRatio;
  [canvas.width, canvas.height] = [Math.round(scale * wide), Math.round(scale * high)];
  paper.scale(scale, scale);
  const [top, bottom, left] = [24, 24, 8];
  const [width, height] = [wide - 2 * left, high - top - bottom];
  paper.fillStyle = "#101418";
  paper.fillRect(0, 0, wide, high);
  drawSpectrogram(paper, spectrogram, left, top, width, height);

  const [, steps, classes] = logits.dims;
  const colour = (k) => `hsl(${(360 * (k - 1)) / (classes - 1)} 90% 65%)`;
  const curves = Array.from({ length: steps }, (_, step) => softmax(logits.data, step, classes));
  paper.lineWidth = 2;
  paper.font = "bold 16px system-ui, sans-serif";
  paper.textAlign = "center";
  for (let k = 1; k < classes; ++k) {
    paper.strokeStyle = paper.fillStyle = colour(k);
    paper.beginPath();
    const place = (step) => left + ((step + 0.5) / steps) * width;
    curves.forEach((p, step) => paper.lineTo(place(step), top + (1 - p[k]) * height));
    paper.stroke();
    curves.forEach((p, step) => {
      const isPeak = p[k] > 0.5 && p[k] >= (curves[step - 1]?.[k] ?? 0) && p[k] > (curves[step + 1]?.[k] ?? 0);
      if (isPeak) paper.fillText(model.labels[k - 1], place(step), top - 6);
    });
  }
  paper.fillStyle = "#ffffff";
  paper.font = "14px system-ui, sans-serif";
  const seconds = numSamples / model.config.preprocessing.sampling_rate;
  for (let tick = 0; tick <= seconds; tick += Math.max(0.5, Math.ceil(seconds / 5) / 2)) {
    paper.fillText(`${tick} s`, left + 12 + (tick / seconds) * (width - 24), high - 6);
  }
  const heard = names.length ? names.join(" ") : "nothing";
  canvas.setAttribute(
    "aria-label",
    `Spectrogram of ${seconds.toFixed(1)} seconds with the probability of each digit; heard: ${heard}`,
  );
}

function drawSpectrogram(paper, { data, dims }, left, top, width, height) {
  const [, frames, bands] = dims;
  const sorted = Float32Array.from(data).sort();
  const [low, high] = [sorted[Math.floor(0.05 * sorted.length)], sorted[sorted.length - 1]];
  for (let frame = 0; frame < frames; ++frame) {
    for (let band = 0; band < bands; ++band) {
      const share = Math.max(0, (data[frame * bands + band] - low) / (high - low || 1));
      paper.fillStyle = `rgb(${40 + 90 * share} ${45 + 85 * share} ${60 + 80 * share})`;
      const x = left + (frame / frames) * width;
      const y = top + (1 - (band + 1) / bands) * height;
      paper.fillRect(x, y, width / frames + 1, height / bands + 1);
    }
  }
}

function softmax(logits, step, classes) {
  const row = logits.slice(step * classes, (step + 1) * classes);
  const highest = Math.max(...row);
  const powers = Array.from(row, (logit) => Math.exp(logit - highest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}
