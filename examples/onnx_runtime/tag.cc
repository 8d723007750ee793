// Tags a sentence with an exported tagger, in C++. Here letters without ASCII keep their case.
//
//     g++ -std=c++17 tag.cc $(pkg-config --cflags --libs libonnxruntime) -o tag
//     ./tag tagger I know that man .

#include <onnxruntime_cxx_api.h>

#include <cctype>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

int main(int count, char** arguments) {
  const std::string folder = arguments[1];
  const auto vocabulary = nlohmann::json::parse(std::ifstream(folder + "/vocabulary.json"));
  const int none = vocabulary["no_character"], unknown = vocabulary["unknown_character"];
  const size_t width = vocabulary["word_width"];
  const int64_t length = count - 2;
  std::vector<int32_t> words, characters, lengths = {int32_t(length)};
  for (int i = 2; i < count; ++i) {
    std::string lower = arguments[i];
    for (char& letter : lower) letter = std::tolower(static_cast<unsigned char>(letter));
    words.push_back(vocabulary["words"].value(lower, int(vocabulary["unknown_word"])));
    std::vector<std::string> letters;
    for (char byte : std::string(arguments[i])) {
      if ((byte & 0xC0) != 0x80) letters.emplace_back();  // the first byte of a letter in UTF-8
      letters.back() += byte;
    }
    if (letters.size() > width)
      letters.erase(letters.begin() + (width - width / 2), letters.end() - width / 2);
    letters.resize(width);
    for (const std::string& letter : letters)
      characters.push_back(letter.empty() ? none : vocabulary["characters"].value(letter, unknown));
  }

  Ort::Env environment;
  Ort::Session session(environment, (folder + "/model.onnx").c_str(), Ort::SessionOptions());
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const auto tensor = [&](std::vector<int32_t>& numbers, const std::vector<int64_t>& shape) {
    return Ort::Value::CreateTensor(memory, numbers.data(), numbers.size(), shape.data(), shape.size());
  };
  const Ort::Value inputs[] = {tensor(words, {1, length}), tensor(lengths, {1}),
                               tensor(characters, {1, length, int64_t(width)})};
  const char* names[] = {"words", "lengths", "characters"};
  const char* wanted[] = {"labels"};
  const auto outputs = session.Run(Ort::RunOptions(), names, inputs, 3, wanted, 1);
  const int32_t* labels = outputs[0].GetTensorData<int32_t>();
  for (int i = 0; i < length; ++i)
    std::cout << arguments[i + 2] << '\t' << std::string(vocabulary["labels"][labels[i]]) << '\n';
}
