// How texts go into a model and what can be said of the vectors: mirrorkit/formats/usage.py in C++.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>

#include "json.hpp"

namespace mk {

struct Usage {
  std::map<std::string, std::string> prompts;  // put before a text, by name
  std::optional<std::string> default_prompt;   // name of the prompt of a text that comes without one
  bool include_prompt = true;                  // false: a prompt's tokens have a 2 in the mask, and are not pooled
  bool cuts_left = false;                      // where longer text is cut
  bool normalized = true;                      // whether vectors have unit length
  std::string similarity = "cosine";

  // Returns what to put before a text: `prompt`, else the one called `name`, else the default one; throws for a name
  // that there is not.
  std::string prompt(const std::optional<std::string>& prompt, const std::optional<std::string>& name) const;
};

// Reads what a manifest, checked by fields.hpp, says; what older ones do not say is as it was. Throws for what cannot be.
Usage read_usage(const Json& manifest, const std::string& name);

// Writes how alike each vector of `a` is to each of `b` to scores[i * count_b + j]; a distance is below zero, so that
// more is always more alike.
void similarities(const std::string& function, const float* a, std::size_t count_a, const float* b, std::size_t count_b,
                  std::size_t dim, float* scores);

// Brings `count` numbers to unit length.
void to_unit_length(float* vector, std::size_t count);

}  // namespace mk
