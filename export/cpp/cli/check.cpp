#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "commands.hpp"

namespace cli {
namespace {

constexpr double fp32_difference = 1e-5;
// the lowest cosines that the exporter lets pass
constexpr double fp16_cosine = 0.9995, int8_cosine = 0.85, int4_cosine = 0.70;
constexpr std::size_t few_tokens = 16;  // too few for any repetition to matter

double default_cosine(const std::string& variant) {
  if (variant == "fp16") return fp16_cosine;
  return variant == "int4" ? int4_cosine : int8_cosine;
}

// A model of its own, whose golden vectors are those of its own table.
constexpr const char* of_its_own = "static";

bool is_exact(const std::string& variant) { return variant.rfind("fp32", 0) == 0 || variant == of_its_own; }

// Whether the exporter judges a variant by this text: the integer ones are not judged by texts that say one token over
// and over, for which the model itself is unstable.
bool is_judged(const std::string& variant, const std::vector<std::int32_t>& ids) {
  if (is_exact(variant) || variant == "fp16" || ids.size() < few_tokens) return true;
  std::map<std::int32_t, std::size_t> counts;
  for (const std::int32_t id : ids) ++counts[id];
  return std::none_of(counts.begin(), counts.end(), [&](const auto& one) { return 2 * one.second > ids.size(); });
}

struct Difference {
  double largest = 0;
  double lowest_cosine = 1;
};

void compare(const float* vector, const std::vector<float>& golden, Difference& worst) {
  double dot = 0, length = 0, golden_length = 0;
  for (std::size_t i = 0; i < golden.size(); ++i) {
    const double a = static_cast<double>(vector[i]), b = static_cast<double>(golden[i]);
    worst.largest = std::max(worst.largest, std::abs(a - b));
    dot += a * b;
    length += a * a;
    golden_length += b * b;
  }
  if (length == 0 && golden_length == 0) return;  // an empty text has no tokens in a static table, and no direction
  worst.lowest_cosine = std::min(worst.lowest_cosine, dot / std::sqrt(length * golden_length));
}

double mean_length(const std::vector<Golden>& all) {
  double sum = 0;
  for (const Golden& golden : all) {
    double square = 0;
    for (const float value : golden.vector) square += static_cast<double>(value) * static_cast<double>(value);
    sum += std::sqrt(square);
  }
  return sum > 0 ? sum / static_cast<double>(all.size()) : 1;
}

}  // namespace

std::vector<Golden> read_golden(const std::string& bundle, const std::string& variant) {
  const std::string path = bundle + (variant == of_its_own ? "/golden_static.jsonl" : "/golden.jsonl");
  std::ifstream stream(std::filesystem::u8path(path), std::ios::binary);
  std::vector<Golden> all;
  for (std::string line; std::getline(stream, line);) {
    try {
      const auto value = nlohmann::json::parse(line);
      all.push_back({value.at("text").get<std::string>(), value.at("input_ids").get<std::vector<std::int32_t>>(),
                     value.at("embedding").get<std::vector<float>>()});
    } catch (const nlohmann::json::exception& error) {
      throw std::runtime_error(path + ": line " + std::to_string(all.size() + 1) + ": " + error.what());
    }
  }
  if (all.empty()) throw std::runtime_error(path + ": missing or empty");
  return all;
}

int check(const Arguments& arguments) {
  mirrorkit::Params params = arguments.params;
  params.options = {};  // the goldens are of the bundle as it is
  const mirrorkit::Encoder encoder(arguments.bundle, params);
  const std::vector<Golden> all = read_golden(arguments.bundle, encoder.variant());
  std::vector<std::string> texts;
  std::size_t wrong_ids = 0;
  for (const Golden& golden : all) {
    texts.push_back(golden.text);
    if (golden.vector.size() != encoder.dim())
      throw std::runtime_error("golden.jsonl: a vector is not of " + std::to_string(encoder.dim()));
    if (encoder.token_ids(golden.text) == golden.ids) continue;
    if (wrong_ids++ == 0) std::printf("token ids differ first in: %s\n", golden.text.c_str());
  }
  const std::vector<float> vectors = encoder.encode(texts);
  Difference worst;
  std::size_t judged = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!is_judged(encoder.variant(), all[i].ids)) continue;
    compare(vectors.data() + i * encoder.dim(), all[i].vector, worst);
    ++judged;
  }

  if (!encoder.normalized()) worst.largest /= mean_length(all);  // as the exporter judges vectors of any length
  const bool exact = is_exact(encoder.variant());
  const double limit = arguments.limit.value_or(exact ? fp32_difference : default_cosine(encoder.variant()));
  const bool close = judged > 0 && (exact ? worst.largest <= limit : worst.lowest_cosine >= limit);
  std::printf("%s: %zu texts, ONNX Runtime %s\n", encoder.variant().c_str(), all.size(),
              encoder.onnxruntime_version().c_str());
  std::printf("token ids: %zu differ\n", wrong_ids);
  std::printf("vectors: largest difference %.3g%s, lowest cosine %.6f%s\n", worst.largest,
              exact ? (" (allowed " + std::to_string(limit) + ")").c_str() : "", worst.lowest_cosine,
              exact ? "" : (" (allowed " + std::to_string(limit) + ")").c_str());
  if (judged < all.size()) std::printf("not judged: %zu texts of one token over and over\n", all.size() - judged);
  std::puts(wrong_ids == 0 && close ? "passed" : "FAILED");
  return wrong_ids == 0 && close ? success : failed_check;
}

}  // namespace cli
