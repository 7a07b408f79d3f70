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

// What a call makes of a bundle's vectors.
struct Call {
  std::optional<std::string> prompt, prompt_name;  // put before each text; by name, else the bundle's default
  std::size_t truncate_dim = 0;                    // leading numbers that are kept; 0: all
  bool normalize = false;                          // bring what is left to unit length
};

struct Options {
  std::string variant, onnxruntime;
  int threads;
  std::size_t batch_tokens;
  bool verify, low_memory, tokenizer_only;
  Log log;
  Call call;  // of calls that say nothing else
};

// Immutable once made, so any number of threads may use one.
class Encoder {
 public:
  Encoder(const std::string& folder, Options options);
  Encoder(const Encoder&) = delete;  // the session logs through this object

  std::size_t dim() const { return dim(options_.call); }
  std::size_t dim(const Call& call) const;  // numbers of a vector
  const Call& call() const { return options_.call; }
  const Usage& usage() const { return bundle_.usage(); }
  std::size_t max_length() const { return bundle_.max_length(); }
  const std::string& variant() const { return variant_.name; }
  std::string onnxruntime_version() const { return session_ ? session_->version() : ""; }

  // Returns the ids of a text behind the prompt of calls that name none. Throws naming text `index` where it is not
  // valid UTF-8.
  std::vector<std::int32_t> ids(std::string_view text, std::size_t index) const;

  // Writes texts.size() × dim(call) floats.
  void encode(const std::vector<std::string_view>& texts, const Call& call, float* vectors) const;

 private:
  struct Work {  // of one call
    std::vector<std::vector<std::int32_t>> ids;
    std::size_t unpooled;  // ids at the start of each text that are attended to and not pooled
    std::size_t kept;
    bool normalize;
  };

  std::string before(const Call& call) const;
  std::vector<std::int32_t> ids(const std::string& prompt, std::string_view text, std::size_t index) const;
  void encode_batch(const Work& work, const std::vector<std::size_t>& rows, float* vectors) const;

  Options options_;
  Bundle bundle_;
  const Variant& variant_;
  Tokenizer tokenizer_;
  std::optional<Session> session_;
};

}  // namespace mk
