#include <filesystem>
#include <fstream>
#include <iostream>

#include "commands.hpp"

namespace cli {
namespace {

constexpr std::size_t chunk = 4096;  // texts read ahead, enough for batches of one length

bool read_lines(std::istream& stream, std::vector<std::string>& lines) {
  lines.clear();
  std::string line;
  while (lines.size() < chunk && std::getline(stream, line)) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    lines.push_back(line);
  }
  return !lines.empty();
}

void write_tsv(std::ostream& out, const std::vector<float>& vectors, std::size_t dim) {
  char number[32];
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    std::snprintf(number, sizeof number, "%.9g", static_cast<double>(vectors[i]));
    out << number << ((i + 1) % dim == 0 ? '\n' : '\t');
  }
}

void write_npy(std::ostream& out, const std::vector<float>& vectors, std::size_t dim) {
  constexpr std::size_t preamble = 10, alignment = 64;
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(vectors.size() / dim) +
                       ", " + std::to_string(dim) + "), }";
  header.append(alignment - (preamble + header.size() + 1) % alignment, ' ').push_back('\n');
  out.write("\x93NUMPY\x01\x00", 8);
  out.put(static_cast<char>(header.size() & 0xFF)).put(static_cast<char>(header.size() >> 8));
  out << header;
  out.write(reinterpret_cast<const char*>(vectors.data()),
            static_cast<std::streamsize>(vectors.size() * sizeof(float)));
}

}  // namespace

int encode(const Arguments& arguments) {
  const mirrorkit::Encoder encoder(arguments.bundle, arguments.params);
  std::ifstream input_file(std::filesystem::u8path(arguments.input), std::ios::binary);
  if (!arguments.input.empty() && !input_file) throw std::runtime_error(arguments.input + ": cannot be read");
  std::istream& input = arguments.input.empty() ? std::cin : input_file;
  std::ofstream output_file;
  if (!arguments.output.empty()) output_file.open(std::filesystem::u8path(arguments.output), std::ios::binary);
  if (!arguments.output.empty() && !output_file) throw std::runtime_error(arguments.output + ": cannot be written");
  std::ostream& output = arguments.output.empty() ? std::cout : output_file;

  std::vector<std::string> lines;
  std::vector<float> all;  // npy says first how many there are
  for (std::size_t done = 0; read_lines(input, lines); done += lines.size()) {
    std::vector<float> vectors;
    try {
      vectors = encoder.encode(lines);
    } catch (const mirrorkit::Error& error) {
      throw std::runtime_error("after line " + std::to_string(done) + ": " + error.what());
    }
    if (arguments.format == "tsv") {
      write_tsv(output, vectors, encoder.dim());
    } else {
      all.insert(all.end(), vectors.begin(), vectors.end());
    }
  }
  if (arguments.format == "npy") write_npy(output, all, encoder.dim());
  output.flush();
  if (!output)
    throw std::runtime_error((arguments.output.empty() ? "standard output" : arguments.output) + ": cannot be written");
  return success;
}

}  // namespace cli
