// Search of a file by meaning: each line of it is a text, each line typed a query, whose nearest texts are printed.
// Nothing of the library is used but mirrorkit.hpp, so that this can be taken as the start of a program of one's own.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mirrorkit.hpp>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "commands.hpp"

namespace cli {
namespace {

constexpr std::size_t nearest = 10;
constexpr std::size_t chunk = 4096;  // texts of one call, enough for batches of one length
constexpr std::size_t shown = 160;   // bytes of a text that are printed

// The texts of a file with the numbers of their lines, and a vector for each, one after the other.
struct Index {
  std::vector<std::string> texts;
  std::vector<std::size_t> lines;
  std::vector<float> vectors;
};

bool read_line(std::istream& stream, std::string& line) {
  if (!std::getline(stream, line)) return false;
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return true;
}

bool is_blank(const std::string& line) { return line.find_first_not_of(" \t") == std::string::npos; }

void read_texts(const std::string& name, Index& index) {
  std::ifstream stream(std::filesystem::u8path(name), std::ios::binary);
  if (!stream) throw std::runtime_error(name + ": cannot be read");
  std::string line;
  for (std::size_t number = 1; read_line(stream, line); ++number) {
    if (is_blank(line)) continue;
    index.texts.push_back(line);
    index.lines.push_back(number);
  }
  if (stream.bad()) throw std::runtime_error(name + ": cannot be read");  // a folder, for one
  if (index.texts.empty()) throw std::runtime_error(name + ": has no text in it");
}

// The library names a text by its place in a call; who wrote it knows it by its line.
std::runtime_error named(const std::string& place, std::size_t line, const std::string& said) {
  const std::size_t end = said.find("]: ");
  if (said.rfind("texts[", 0) != 0 || end == std::string::npos) return std::runtime_error(said);
  return std::runtime_error(place + ": line " + std::to_string(line) + said.substr(end + 1));
}

// Throws with the line of the first text that cannot be encoded; returns where it is not the fault of one.
void find_fault(const mirrorkit::Encoder& encoder, const std::string& name, const Index& index, std::size_t first) {
  for (std::size_t i = first; i < std::min(first + chunk, index.texts.size()); ++i) {
    try {
      encoder.token_counts({index.texts[i]});
    } catch (const mirrorkit::Error& error) {
      throw named(name, index.lines[i], error.what());
    }
  }
}

void encode_texts(const mirrorkit::Encoder& encoder, const mirrorkit::Options& options, const std::string& name,
                  Index& index) {
  for (std::size_t first = 0; first < index.texts.size(); first += chunk) {
    const auto begin = index.texts.begin() + static_cast<std::ptrdiff_t>(first);
    const auto end = index.texts.begin() + static_cast<std::ptrdiff_t>(std::min(first + chunk, index.texts.size()));
    try {
      const std::vector<float> vectors = encoder.encode({begin, end}, options);
      index.vectors.insert(index.vectors.end(), vectors.begin(), vectors.end());
    } catch (const mirrorkit::Error&) {
      find_fault(encoder, name, index, first);
      throw;
    }
  }
}

// The beginning of a text, cut between characters, in one line.
std::string beginning(const std::string& text) {
  std::size_t end = std::min(text.size(), shown);
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  std::string start = text.substr(0, end) + (end < text.size() ? "…" : "");
  std::replace_if(start.begin(), start.end(), [](unsigned char c) { return c < ' ' || c == 0x7F; }, ' ');
  return start;
}

void answer(const mirrorkit::Encoder& encoder, const Index& index, const std::vector<float>& query) {
  const std::vector<float> scores = encoder.similarity(query, index.vectors, query.size());
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const std::size_t count = std::min(nearest, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    [&](std::size_t a, std::size_t b) { return scores[a] != scores[b] ? scores[a] > scores[b] : a < b; });
  for (std::size_t i = 0; i < count; ++i) {
    char score[32];
    std::snprintf(score, sizeof score, "%.4f", static_cast<double>(scores[order[i]]));
    std::cout << score << '\t' << index.lines[order[i]] << '\t' << beginning(index.texts[order[i]]) << '\n';
  }
  std::cout << std::endl;  // a blank line ends an answer, and who reads along gets it now
  if (!std::cout) throw std::runtime_error("standard output: cannot be written");
}

void answer_queries(const mirrorkit::Encoder& encoder, const mirrorkit::Options& options, const Index& index) {
  std::string query;
  for (std::size_t number = 1; read_line(std::cin, query); ++number) {
    if (is_blank(query)) continue;
    std::vector<float> vector;
    try {
      vector = encoder.encode({query}, options);
    } catch (const mirrorkit::Error& error) {
      throw named("standard input", number, error.what());
    }
    answer(encoder, index, vector);
  }
}

}  // namespace

int search(const Arguments& arguments) {
  Index index;
  read_texts(arguments.texts, index);  // before the model is opened, which takes longer
  const mirrorkit::Encoder encoder(arguments.bundle, arguments.params);
  // Some models put other words before a query than before what is searched; in all others both prompts are empty.
  mirrorkit::Options of_query = arguments.params.options, of_text = of_query;
  if (!of_query.prompt && !of_query.prompt_name) of_query.prompt_name = "query";
  of_text.prompt.reset();
  of_text.prompt_name = "document";
  encode_texts(encoder, of_text, arguments.texts, index);
  std::cerr << index.texts.size() << " texts; type a query\n";
  answer_queries(encoder, of_query, index);
  return success;
}

}  // namespace cli
