// A bundle opened for use: text in, vectors out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bundle.hpp"
#include "ort.hpp"
#include "tokenizer.hpp"

namespace mk {

struct Options {
  std::string variant, onnxruntime;
  int threads;
  std::size_t batch_tokens;
  bool verify, low_memory, tokenizer_only;
  Log log;
};

// Immutable once made, so any number of threads may use one.
class Encoder {
 public:
  Encoder(const std::string& folder, Options options);
  Encoder(const Encoder&) = delete;  // the session logs through this object

  std::size_t dim() const { return bundle_.dim(); }
  std::size_t max_length() const { return bundle_.max_length(); }
  const std::string& variant() const { return variant_.name; }
  std::string onnxruntime_version() const { return session_ ? session_->version() : ""; }

  // Throws naming text `index` where it is not valid UTF-8.
  std::vector<std::int32_t> ids(std::string_view text, std::size_t index) const;

  // Writes texts.size() × dim floats.
  void encode(const std::vector<std::string_view>& texts, float* vectors) const;

 private:
  void encode_batch(const std::vector<std::vector<std::int32_t>>& ids, const std::vector<std::size_t>& rows,
                    float* vectors) const;

  Options options_;
  Bundle bundle_;
  const Variant& variant_;
  Tokenizer tokenizer_;
  std::optional<Session> session_;
};

}  // namespace mk
