#include "usage.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "error.hpp"

namespace mk {
namespace {

constexpr double least_length = 1e-12;  // of a vector, so that one of zeros stays one

bool is_known(const std::map<std::string, std::string>& prompts, const std::string& name) {
  return name == "query" || name == "document" || prompts.count(name) > 0;  // the first two every model has
}

std::string one_of(const Json& manifest, const char* key, std::initializer_list<const char*> choices,
                   const std::string& name) {
  const std::string value = string_or(manifest, key, *choices.begin(), name);
  std::string listed;
  for (const char* choice : choices) {
    if (value == choice) return value;
    listed += (listed.empty() ? "" : ", ") + std::string(choice);
  }
  bad_bundle(name + ": " + key + " must be one of " + listed + ", is " + value);
}

double length_of(const float* vector, std::size_t count) {
  double square = 0;
  for (std::size_t i = 0; i < count; ++i) square += static_cast<double>(vector[i]) * static_cast<double>(vector[i]);
  return std::max(std::sqrt(square), least_length);
}

double similarity(const std::string& function, const float* a, const float* b, std::size_t dim) {
  double sum = 0;
  for (std::size_t i = 0; i < dim; ++i) {
    const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    if (function == "euclidean") {
      sum += (x - y) * (x - y);
    } else {
      sum += function == "manhattan" ? std::abs(x - y) : x * y;
    }
  }
  if (function == "cosine") return sum / (length_of(a, dim) * length_of(b, dim));
  if (function == "euclidean") return -std::sqrt(sum);
  return function == "manhattan" ? -sum : sum;
}

}  // namespace

std::string Usage::prompt(const std::optional<std::string>& prompt, const std::optional<std::string>& name) const {
  if (prompt) return *prompt;
  const std::optional<std::string>& chosen = name ? name : default_prompt;
  if (!chosen) return "";
  if (const auto found = prompts.find(*chosen); found != prompts.end()) return found->second;
  if (is_known(prompts, *chosen)) return "";
  std::string names;
  for (const auto& item : prompts) names += (names.empty() ? "" : ", ") + item.first;
  throw Error(Status::invalid_argument, "prompt " + *chosen + ": the model has " + (names.empty() ? "none" : names));
}

Usage read_usage(const Json& manifest, const std::string& name) {
  Usage usage;
  if (!is_absent(manifest, "prompts")) {
    const Json& prompts = field(manifest, "prompts", name);
    for (auto item = prompts.begin(); item != prompts.end(); ++item) usage.prompts[item.key()] = item->get<std::string>();
  }
  if (!is_absent(manifest, "default_prompt")) {
    usage.default_prompt = string_field(manifest, "default_prompt", name);
    if (!is_known(usage.prompts, *usage.default_prompt)) {
      bad_bundle(name + ": default_prompt " + *usage.default_prompt + " is none of the prompts");
    }
  }
  usage.include_prompt = bool_or(manifest, "include_prompt", true, name);
  usage.cuts_left = one_of(manifest, "truncation_side", {"right", "left"}, name) == "left";
  usage.normalized = bool_field(manifest, "normalized", name);
  usage.similarity = one_of(manifest, "similarity", {"cosine", "dot", "euclidean", "manhattan"}, name);
  return usage;
}

void similarities(const std::string& function, const float* a, std::size_t count_a, const float* b, std::size_t count_b,
                  std::size_t dim, float* scores) {
  for (std::size_t i = 0; i < count_a; ++i) {
    for (std::size_t j = 0; j < count_b; ++j) {
      scores[i * count_b + j] = static_cast<float>(similarity(function, a + i * dim, b + j * dim, dim));
    }
  }
}

void to_unit_length(float* vector, std::size_t count) {
  const double length = length_of(vector, count);
  for (std::size_t i = 0; i < count; ++i) vector[i] = static_cast<float>(static_cast<double>(vector[i]) / length);
}

}  // namespace mk
