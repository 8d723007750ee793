// Tags a sentence with an exported tagger, in JavaScript.
//
//     npm install --ignore-scripts
//     node tag.mjs tagger "I know that man ."

import { readFileSync } from "node:fs";
import ort from "onnxruntime-node";

const [folder, sentence] = process.argv.slice(2);
const vocabulary = JSON.parse(readFileSync(`${folder}/vocabulary.json`, "utf8"));
const words = new Map(Object.entries(vocabulary.words));
const characters = new Map(Object.entries(vocabulary.characters));
const width = vocabulary.word_width;

function spell(word) {
  let letters = [...word];
  if (letters.length > width) {
    const half = Math.floor(width / 2);
    letters = [...letters.slice(0, width - half), ...letters.slice(-half)];
  }
  const spelled = letters.map((letter) => characters.get(letter) ?? vocabulary.unknown_character);
  return [...spelled, ...Array(width - letters.length).fill(vocabulary.no_character)];
}

const tensor = (numbers, shape) => new ort.Tensor("int32", Int32Array.from(numbers), shape);
const row = sentence.trim().split(/\s+/).map((word) => word.normalize("NFC"));
const known = row.map((word) => words.get(word.toLowerCase()) ?? vocabulary.unknown_word);
const session = await ort.InferenceSession.create(`${folder}/model.onnx`);
const { labels } = await session.run({
  words: tensor(known, [1, row.length]),
  characters: tensor(row.flatMap(spell), [1, row.length, width]),
  lengths: tensor([row.length], [1]),
});
row.forEach((word, step) => console.log(`${word}\t${vocabulary.labels[labels.data[step]]}`));
