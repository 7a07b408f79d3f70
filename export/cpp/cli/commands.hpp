// What mirrorkit-cli is told, and what it can do.
#pragma once

#include <mirrorkit.hpp>
#include <optional>
#include <string>
#include <vector>

namespace cli {

constexpr int success = 0, failed_check = 1, usage_error = 2;

struct Arguments {
  std::string command, bundle;
  mirrorkit::Params params;
  std::string texts;            // of `search`: a file, one text a line
  std::string input, output;    // empty: standard input and output
  std::string format = "tsv";   // or npy
  std::optional<double> limit;  // of `check`: of the largest difference for fp32, else of the lowest cosine
  int repeat = 5;               // of `bench`
};

class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Each prints its result and returns the exit code; errors are thrown.
int encode(const Arguments& arguments);
int check(const Arguments& arguments);
int bench(const Arguments& arguments);
int search(const Arguments& arguments);

// A text with what every runtime must make of it.
struct Golden {
  std::string text;
  std::vector<std::int32_t> ids;
  std::vector<float> vector;
};

// Reads the golden texts of the encoder's variant.
std::vector<Golden> read_golden(const mirrorkit::Encoder& encoder);

}  // namespace cli
