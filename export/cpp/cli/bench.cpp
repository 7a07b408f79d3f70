#include <algorithm>
#include <chrono>
#include <cstdio>

#include "commands.hpp"
#include "process.hpp"

namespace cli {
namespace {

// Seconds of the clock and of CPU time, all threads together, that `work` takes in its best of `rounds`.
struct Cost {
  double wall, cpu;
};

template <typename Work>
Cost best_of(int rounds, const Work& work) {
  Cost best{1e30, 1e30};
  for (int round = 0; round < rounds; ++round) {
    const auto wall = std::chrono::steady_clock::now();
    const double cpu = cpu_seconds();
    work();
    best.cpu = std::min(best.cpu, cpu_seconds() - cpu);
    best.wall = std::min(best.wall, std::chrono::duration<double>(std::chrono::steady_clock::now() - wall).count());
  }
  return best;
}

void print(const char* what, const Cost& cost, std::size_t texts) {
  const double each = 1e6 / static_cast<double>(texts);
  std::printf("%-14s %10.1f us a text by the clock, %10.1f us of CPU\n", what, cost.wall * each, cost.cpu * each);
}

}  // namespace

int bench(const Arguments& arguments) {
  const mirrorkit::Encoder encoder(arguments.bundle, arguments.params);
  const int rounds = std::max(arguments.repeat, 1);
  std::vector<std::string> texts;
  for (const Golden& golden : read_golden(encoder)) texts.push_back(golden.text);
  std::printf("%s: %zu texts, best of %d rounds, ONNX Runtime %s\n", encoder.variant().c_str(), texts.size(), rounds,
              encoder.onnxruntime_version().c_str());
  std::size_t tokens = 0;
  print("tokenization",
        best_of(rounds,
                [&] {
                  tokens = 0;
                  for (const std::string& text : texts) tokens += encoder.token_ids(text).size();
                }),
        texts.size());
  std::printf("%-14s %10.1f a text\n", "tokens", static_cast<double>(tokens) / static_cast<double>(texts.size()));
  print("one by one",
        best_of(rounds,
                [&] {
                  for (const std::string& text : texts) encoder.encode({text});
                }),
        texts.size());
  print("batches", best_of(rounds, [&] { encoder.encode(texts); }), texts.size());
  std::printf("%-14s %10.1f MB at most\n", "memory", peak_memory() / 1e6);
  return success;
}

}  // namespace cli
