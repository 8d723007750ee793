// The sections of the page.

import { load, read, split } from "./models.js";
import { startDigits } from "./digits.js";

const $ = (id) => document.getElementById(id);

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function coloured(name, className, hue, ...children) {
  const made = element(name, className, ...children);
  made.style.setProperty("--hue", String(Math.round(hue)));
  return made;
}

const hueOf = (names, name) => (360 * names.indexOf(name)) / names.length;

/** Calls `show(words)` now and whenever the text changes; an older answer never covers a newer. */
function follow(input, show) {
  let newest = 0;
  const update = async () => {
    const number = ++newest;
    const draw = await show(split(input.value));
    if (number === newest) draw();
  };
  input.addEventListener("input", update);
  return update();
}

const READERS = { bidirectional: "tagger", forward: "tagger_forward" };

function startTags(models) {
  const nothing = { words: [], tags: { bidirectional: [], forward: [] } };
  let [last, before] = [nothing, nothing]; // shown last, and before the word that is being typed

  return follow($("tags-text"), async (words) => {
    const tags = {};
    for (const [reader, name] of Object.entries(READERS)) {
      const model = models[name];
      const labels = words.length ? (await read(model, words)).labels.data : [];
      tags[reader] = Array.from(labels, (label) => model.labels[label]);
    }
    return () => {
      if (words.length !== last.words.length) before = last;
      const changes = [];
      const cards = words.map((word, step) => {
        const lines = Object.keys(READERS).map((reader) => {
          const [old, tag] = [before.tags[reader][step], tags[reader][step]];
          const isSame = words.slice(0, step + 1).every((other, at) => other === before.words[at]);
          const changed = isSame && old !== undefined && old !== tag;
          if (changed) changes.push(`${reader}: “${word}” from ${old} to ${tag}`);
          const hue = hueOf(models.tagger.labels, tag);
          const line = element("dd", changed ? "changed" : "", element("small", "", reader));
          line.append(coloured("span", "tag", hue, tag));
          line.dataset.reader = reader;
          if (tags.forward[step] !== tags.bidirectional[step]) line.classList.add("differs");
          return line;
        });
        return element("dl", "word", element("dt", "", word), ...lines);
      });
      $("tags").replaceChildren(...cards);
      $("tags-changes").textContent = changes.length ? `Changed tags: ${changes.join("; ")}.` : "";
      last = { words, tags };
    };
  });
}

function startEntities({ entities: model }) {
  const kinds = [...new Set(model.labels.map((label) => label.slice(2)))].filter(Boolean);
  return follow($("entities-text"), async (words) => {
    const labels = words.length ? (await read(model, words)).labels.data : [];
    return () => {
      const shown = [];
      words.forEach((word, step) => {
        const label = model.labels[labels[step]];
        const kind = label.slice(2);
        const last = shown.at(-1);
        if (label === "O") {
          shown.push({ words: [word] });
        } else if (label.startsWith("I-") && last?.kind === kind) {
          last.words.push(word);
        } else {
          shown.push({ kind, words: [word] });
        }
      });
      const parts = shown.map(({ kind, words }) =>
        kind
          ? coloured("mark", "entity", hueOf(kinds, kind), words.join(" "), element("small", "", kind))
          : element("span", "", words.join(" ")),
      );
      $("entities").replaceChildren(...parts.flatMap((part) => [part, " "]));
    };
  });
}

const VERDICTS = { 0: "negative", 1: "positive" }; // the labels of the data

function startSentiment({ sentiment: model }) {
  return follow($("sentiment-text"), async (words) => {
    const found = words.length ? await read(model, words) : null;
    return () => {
      if (!found) return $("sentiment").replaceChildren();
      const powers = Array.from(found.logits.data, (logit) => Math.exp(logit - Math.max(...found.logits.data)));
      const best = found.labels.data[0];
      const percent = (100 * powers[best]) / powers.reduce((a, b) => a + b);
      const verdict = element("span", "verdict", `${VERDICTS[model.labels[best]]} (${percent.toFixed(0)} %)`);
      const weights = found.weights.data;
      const parts = words.map((word, step) => {
        const part = element("span", "attended", word);
        const share = weights[step] / Math.max(...weights);
        part.style.backgroundColor = `rgb(230 140 20 / ${(0.75 * share).toFixed(3)})`;
        part.title = `attention ${(100 * weights[step]).toFixed(0)} %`;
        part.dataset.weight = weights[step].toFixed(4);
        return part;
      });
      $("sentiment").replaceChildren(verdict, ...parts.flatMap((part) => [part, " "]));
    };
  });
}

// Of each section: its networks, and what starts it.
const SECTIONS = {
  tags: [["tagger", "tagger_forward"], startTags],
  entities: [["entities"], startEntities],
  sentiment: [["sentiment"], startSentiment],
  digits: [["digits"], startDigits],
};

async function startSection(section, names, begin) {
  const loaded = await Promise.all(names.map(load));
  await begin(Object.fromEntries(names.map((name, at) => [name, loaded[at]])));
  for (const control of section.querySelectorAll(":disabled")) control.disabled = false;
  return loaded.reduce((sum, model) => sum + model.size, 0);
}

async function start() {
  for (const button of document.querySelectorAll("button[data-for]")) {
    button.addEventListener("click", () => {
      const input = $(button.dataset.for);
      input.value = button.textContent;
      input.dispatchEvent(new Event("input"));
    });
  }
  let bytes = 0;
  const failed = [];
  const present = await (await fetch(new URL("./models/names.json", import.meta.url))).json();
  for (const [id, [names, begin]] of Object.entries(SECTIONS)) {
    const section = $(id).closest("section");
    if (!names.every((name) => present.includes(name))) {
      section.remove();
      continue;
    }
    try {
      bytes += await startSection(section, names, begin);
    } catch (error) {
      failed.push(`${section.querySelector("h2").textContent}: ${error.message}`);
    }
  }
  $("size").textContent = (bytes / 1e6).toFixed(1);
  $("state").textContent = failed.length ? `Some networks could not be loaded. ${failed.join(" ")}` : "Ready.";
}

start();
