// A bundle opened for use: text in, vectors out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "abort.hpp"
#include "bundle.hpp"
#include "session.hpp"
#include "tokenizer.hpp"

namespace mk {

// What a call makes of a bundle's vectors.
struct Call {
  std::optional<std::string> prompt, prompt_name;  // put before each text; by name, else the bundle's default
  std::size_t truncate_dim = 0;                    // leading numbers that are kept; 0: all
  bool normalize = false;                          // bring what is left to unit length
  Abort* abort = nullptr;                          // ends the call where it is set
  std::size_t* cut = nullptr;                      // has room for how many tokens of each text were cut off
};

struct Options {
  std::string variant;
  std::size_t batch_tokens;
  bool verify, tokenizer_only;
  SessionOptions session;
  Log log;
  Call call;  // of calls that say nothing else
};

// Immutable once made, so any number of threads may use one.
class Encoder {
 public:
  Encoder(std::unique_ptr<const Files> files, Options options);
  Encoder(const Encoder&) = delete;  // the session logs through this object

  std::size_t dim() const { return dim(options_.call); }
  std::size_t dim(const Call& call) const;  // numbers of a vector
  const Call& call() const { return options_.call; }
  const Usage& usage() const { return bundle_.usage(); }
  std::size_t max_length() const { return bundle_.max_length(); }
  const std::string& variant() const { return variant_.name; }
  std::string onnxruntime_version() const { return session_ ? session_->version() : ""; }

  // Returns a file of the bundle, held against its record as the encoder's own were.
  File file(const std::string& relative) const { return bundle_.checked(relative, options_.verify); }

  // Returns the ids of each text behind the prompt of the call. Throws naming the text that is not valid UTF-8.
  std::vector<std::vector<std::int32_t>> ids(const std::vector<std::string_view>& texts, const Call& call) const;

  // Writes texts.size() × dim(call) floats.
  void encode(const std::vector<std::string_view>& texts, const Call& call, float* vectors) const;

  // The same of texts given by their ids, each as `ids` returns them: prompt and special tokens included.
  void encode(std::vector<std::vector<std::int32_t>> ids, const Call& call, float* vectors) const;

 private:
  std::string before(const Call& call) const;
  void check_ids(const std::vector<std::int32_t>& ids, std::size_t index) const;
  void check_session() const;
  void open_session();

  struct Work;
  void encode_batch(const Work& work, const std::vector<std::size_t>& rows, float* vectors) const;

  Options options_;
  Bundle bundle_;
  const Variant& variant_;
  Tokenizer tokenizer_;
  std::optional<Session> session_;
};

}  // namespace mk
