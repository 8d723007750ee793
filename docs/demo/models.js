// The networks: their inputs and outputs, for words and for sounds.
//
// A folder of models/ is what `python -m experiments.NAME export` writes: model.onnx,
// vocabulary.json and config.json.

import * as ort from "./runtime/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./runtime/", import.meta.url).href;
ort.env.wasm.numThreads = 1; // more need headers that a static site does not send

const PIECES =
  /[\p{L}\p{M}\p{N}_]+(?=n['’]t\b)|n['’]t\b|['’](?:s|m|d|re|ve|ll)\b|[\p{L}\p{M}\p{N}_]+|([^\p{L}\p{M}\p{N}_\s])\1*/giu;

/** The words and marks of a text; "n't" and "'s" stand apart. */
export function split(text) {
  return text.normalize("NFC").match(PIECES) ?? [];
}

/** A network from its folder, with the size of its files in bytes. */
export async function load(name) {
  const read = async (file) => {
    const reply = await fetch(new URL(`./models/${name}/${file}`, import.meta.url));
    if (!reply.ok) throw new Error(`models/${name}/${file} is missing. "make demo" writes it.`);
    return new Uint8Array(await reply.arrayBuffer());
  };
  const files = await Promise.all(["model.onnx", "vocabulary.json", "config.json"].map(read));
  const [vocabulary, config] = files.slice(1).map((file) => JSON.parse(new TextDecoder().decode(file)));
  const session = await ort.InferenceSession.create(files[0]);
  const size = files.reduce((sum, file) => sum + file.length, 0);
  // Maps, since an object has names of its own, such as "constructor".
  const words = new Map(Object.entries(vocabulary.words ?? {}));
  const characters = new Map(Object.entries(vocabulary.characters ?? {}));
  return { session, config, size, ...vocabulary, words, characters, queue: Promise.resolve() };
}

/** The outputs of a network for words, by name. */
export function read(model, row) {
  const known = row.map((word) => model.words.get(word.toLowerCase()) ?? model.unknown_word);
  return run(model, {
    words: integers(known, [1, row.length]),
    characters: integers(row.flatMap((word) => spell(model, word)), [1, row.length, model.word_width]),
    lengths: integers([row.length], [1]),
  });
}

/** The outputs of a network for samples between -1 and 1, by name. */
export function listen(model, samples) {
  return run(model, {
    samples: new ort.Tensor("float32", samples, [1, samples.length]),
    lengths: integers([samples.length], [1]),
  });
}

/** One run after the other: a session does not compute two at once. */
function run(model, inputs) {
  const result = model.queue.then(() => model.session.run(inputs));
  model.queue = result.catch(() => {});
  return result;
}

const integers = (numbers, shape) => new ort.Tensor("int32", Int32Array.from(numbers), shape);

/** The characters of a word as numbers; of a long word those of its two ends. */
function spell({ characters, word_width: width, unknown_character, no_character }, word) {
  let letters = [...word];
  if (letters.length > width) {
    const half = Math.floor(width / 2);
    letters = [...letters.slice(0, width - half), ...letters.slice(-half)];
  }
  const numbers = letters.map((letter) => characters.get(letter) ?? unknown_character);
  return [...numbers, ...Array(width - letters.length).fill(no_character)];
}
