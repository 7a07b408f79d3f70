// mirrorkit: sentence vectors from an exported bundle, in C++17. A thin layer over mirrorkit.h, which says more.
//
//   #include <mirrorkit.hpp>
//   #include <iostream>
//
//   int main() try {
//     mirrorkit::Params params;
//     params.variant = "fp32";
//     const mirrorkit::Encoder encoder("bundle", params);
//     const std::vector<float> vectors = encoder.encode({"A cat sat on the mat.", "Ein Satz auf Deutsch."});
//     float cosine = 0;
//     for (std::size_t i = 0; i < encoder.dim(); ++i) cosine += vectors[i] * vectors[encoder.dim() + i];
//     std::cout << cosine << '\n';
//   } catch (const mirrorkit::Error& error) {
//     std::cerr << error.what() << '\n';
//     return 1;
//   }
//
// An Encoder is moved, not copied; any number of threads may use one at the same time.
#pragma once

#include <mirrorkit.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace mirrorkit {

class Error : public std::runtime_error {
 public:
  explicit Error(mirrorkit_status status) : std::runtime_error(mirrorkit_last_error()), status_(status) {}
  mirrorkit_status status() const { return status_; }

 private:
  mirrorkit_status status_;
};

using Log = std::function<void(mirrorkit_log_level level, std::string_view message)>;  // must not throw

// The fields of mirrorkit_options. Where neither `prompt` nor `prompt_name` is set, the bundle's default prompt is put
// before each text, if it has one; `prompt` may be "" for none.
struct Options {
  std::optional<std::string> prompt;
  std::optional<std::string> prompt_name;
  std::size_t truncate_dim = 0;
  bool normalize = false;
};

// The fields of mirrorkit_params.
struct Params {
  std::string variant = "auto";
  std::string onnxruntime;  // empty: found as mirrorkit.h says
  int threads = 0;
  std::size_t batch_tokens = 512;
  bool verify = true;
  bool low_memory = false;
  bool tokenizer_only = false;
  Log log;
  Options options;  // of calls that have none of their own
};

class Encoder {
 public:
  explicit Encoder(const std::string& folder, const Params& params = {}) : log_(std::make_unique<Log>(params.log)) {
    mirrorkit_params raw = mirrorkit_default_params();
    raw.variant = params.variant.c_str();
    raw.onnxruntime = params.onnxruntime.empty() ? nullptr : params.onnxruntime.c_str();
    raw.threads = params.threads;
    raw.batch_tokens = params.batch_tokens;
    raw.verify = params.verify;
    raw.low_memory = params.low_memory;
    raw.tokenizer_only = params.tokenizer_only;
    raw.log = params.log ? forward : nullptr;
    raw.log_user = log_.get();
    set(raw, params.options);
    mirrorkit_encoder* handle = nullptr;
    check(mirrorkit_create(folder.c_str(), &raw, &handle));
    handle_.reset(handle);
  }

  std::size_t dim() const { return static_cast<std::size_t>(mirrorkit_dim(handle_.get())); }
  bool normalized() const { return mirrorkit_normalized(handle_.get()) != 0; }
  std::string similarity_name() const { return mirrorkit_similarity_name(handle_.get()); }
  std::size_t max_length() const { return static_cast<std::size_t>(mirrorkit_max_length(handle_.get())); }
  std::string variant() const { return mirrorkit_variant(handle_.get()); }
  std::string onnxruntime_version() const { return mirrorkit_onnxruntime_version(handle_.get()); }

  // Returns texts.size() × dim() floats, one vector after the other.
  std::vector<float> encode(const std::vector<std::string>& texts) const {
    std::vector<float> vectors(texts.size() * dim());
    const Pointers all(texts);
    check(mirrorkit_encode(handle_.get(), all.texts.data(), all.lengths.data(), texts.size(), vectors.data(),
                           vectors.size()));
    return vectors;
  }

  // The same with options of this call's own; a vector has truncate_dim floats where that is less than the bundle's.
  std::vector<float> encode(const std::vector<std::string>& texts, const Options& options) const {
    mirrorkit_options raw = mirrorkit_default_options();
    set(raw, options);
    std::vector<float> vectors(texts.size() * static_cast<std::size_t>(mirrorkit_dim_with(handle_.get(), &raw)));
    const Pointers all(texts);
    check(mirrorkit_encode_with(handle_.get(), &raw, all.texts.data(), all.lengths.data(), texts.size(), vectors.data(),
                                vectors.size()));
    return vectors;
  }

  // Returns how alike each of the vectors `a` is to each of `b`, all of `width` floats, by the model's own function.
  std::vector<float> similarity(const std::vector<float>& a, const std::vector<float>& b, std::size_t width) const {
    const std::size_t rows = a.size() / width, columns = b.size() / width;
    std::vector<float> scores(rows * columns);
    check(mirrorkit_similarity(handle_.get(), a.data(), rows, b.data(), columns, width, scores.data()));
    return scores;
  }

  std::vector<std::size_t> token_counts(const std::vector<std::string>& texts) const {
    std::vector<std::size_t> counts(texts.size());
    const Pointers all(texts);
    check(mirrorkit_token_counts(handle_.get(), all.texts.data(), all.lengths.data(), texts.size(), counts.data()));
    return counts;
  }

  std::vector<std::int32_t> token_ids(std::string_view text) const {
    std::vector<std::int32_t> ids(max_length());
    std::size_t count = 0;
    check(mirrorkit_token_ids(handle_.get(), text.empty() ? "" : text.data(), text.size(), ids.data(), ids.size(),
                              &count));
    ids.resize(count);
    return ids;
  }

  const mirrorkit_encoder* get() const { return handle_.get(); }

 private:
  struct Pointers {
    explicit Pointers(const std::vector<std::string>& values) {
      for (const std::string& value : values) {
        texts.push_back(value.data());
        lengths.push_back(value.size());
      }
    }
    std::vector<const char*> texts;
    std::vector<std::size_t> lengths;
  };
  struct Free {
    void operator()(mirrorkit_encoder* handle) const { mirrorkit_free(handle); }
  };

  template <typename Raw>
  static void set(Raw& raw, const Options& options) {
    raw.prompt = options.prompt ? options.prompt->c_str() : nullptr;
    raw.prompt_name = options.prompt_name ? options.prompt_name->c_str() : nullptr;
    raw.truncate_dim = static_cast<std::int32_t>(options.truncate_dim);
    raw.normalize = options.normalize;
  }
  static void check(mirrorkit_status status) {
    if (status != MIRRORKIT_OK) throw Error(status);
  }
  static void forward(mirrorkit_log_level level, const char* message, void* user) {
    (*static_cast<const Log*>(user))(level, message);
  }

  std::unique_ptr<Log> log_;  // before the handle, which uses it to its end
  std::unique_ptr<mirrorkit_encoder, Free> handle_;
};

}  // namespace mirrorkit
