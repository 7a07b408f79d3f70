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
// An Encoder is moved, not copied; any number of threads may use one at the same time. Functions that are given must
// not throw: what does is taken for a failure, or passed over.
#pragma once

#if !defined(__cpp_exceptions) && !defined(_CPPUNWIND)
#error "mirrorkit.hpp throws; without exceptions use mirrorkit.h"
#endif

#include <mirrorkit.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mirrorkit {

class Error : public std::runtime_error {
 public:
  explicit Error(mirrorkit_status status) : std::runtime_error(mirrorkit_last_error()), status_(status) {}
  mirrorkit_status status() const { return status_; }

 private:
  mirrorkit_status status_;
};

using Log = std::function<void(mirrorkit_log_level level, std::string_view message)>;

// Returns the bytes of the file of that path in the bundle, or nothing where there is none. They must stay as they are
// until the encoder is gone.
using Read = std::function<std::optional<std::string_view>(const std::string& path)>;

// Keys and values of ONNX Runtime.
using Settings = std::vector<std::pair<std::string, std::string>>;

// A file of a bundle in memory, by its path in that. The bytes must stay as they are until the encoder is gone.
struct File {
  std::string path;
  std::string_view bytes;
};

// Ends calls from another thread: they throw an Error of the status MIRRORKIT_ABORTED. It must outlive them.
class Abort {
 public:
  Abort() {
    mirrorkit_abort* made = nullptr;
    if (const mirrorkit_status status = mirrorkit_abort_create(&made); status != MIRRORKIT_OK) throw Error(status);
    handle_.reset(made);
  }

  void set() { mirrorkit_abort_set(handle_.get()); }
  void reset() { mirrorkit_abort_reset(handle_.get()); }
  mirrorkit_abort* get() const { return handle_.get(); }

 private:
  struct Free {
    void operator()(mirrorkit_abort* handle) const { mirrorkit_abort_free(handle); }
  };
  std::unique_ptr<mirrorkit_abort, Free> handle_;
};

// The fields of mirrorkit_options. Where neither `prompt` nor `prompt_name` is set, the bundle's default prompt is put
// before each text, if it has one; `prompt` may be "" for none.
struct Options {
  std::optional<std::string> prompt;
  std::optional<std::string> prompt_name;
  std::size_t truncate_dim = 0;
  bool normalize = false;
  const Abort* abort = nullptr;             // of a call, not of an encoder
  std::vector<std::size_t>* cut = nullptr;  // the same: becomes how many tokens of each text were left out
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
  std::string provider = "CPU";
  Settings provider_options, session_options;
  const void* ort_api_base = nullptr;
  void* ort_env = nullptr;
};

class Encoder {
 public:
  // Opens a folder or a .mkit file.
  explicit Encoder(const std::string& path, const Params& params = {}) {
    open(params, [&](const mirrorkit_params* raw, mirrorkit_encoder** made) {
      return mirrorkit_create(path.c_str(), raw, made);
    });
  }

  static Encoder from_memory(const std::vector<File>& files, const Params& params = {}) {
    std::vector<const char*> paths;
    std::vector<const void*> data;
    std::vector<std::size_t> lengths;
    for (const File& file : files) {
      paths.push_back(file.path.c_str());
      data.push_back(file.bytes.data());
      lengths.push_back(file.bytes.size());
    }
    Encoder encoder;
    encoder.open(params, [&](const mirrorkit_params* raw, mirrorkit_encoder** made) {
      return mirrorkit_create_from_memory(paths.data(), data.data(), lengths.data(), files.size(), raw, made);
    });
    return encoder;
  }

  static Encoder from_reader(Read read, const Params& params = {}) {
    Encoder encoder;
    encoder.own_->read = std::move(read);
    const mirrorkit_reader reader{sizeof(mirrorkit_reader), read_for, nullptr, encoder.own_.get()};
    encoder.open(params, [&](const mirrorkit_params* raw, mirrorkit_encoder** made) {
      return mirrorkit_create_from_reader(&reader, raw, made);
    });
    return encoder;
  }

  std::size_t dim() const { return static_cast<std::size_t>(mirrorkit_dim(get())); }
  bool normalized() const { return mirrorkit_normalized(get()) != 0; }
  std::string similarity_name() const { return mirrorkit_similarity_name(get()); }
  std::size_t max_length() const { return static_cast<std::size_t>(mirrorkit_max_length(get())); }
  std::string variant() const { return mirrorkit_variant(get()); }
  std::string onnxruntime_version() const { return mirrorkit_onnxruntime_version(get()); }

  // Returns texts.size() × dim() floats, one vector after the other.
  std::vector<float> encode(const std::vector<std::string>& texts) const {
    std::vector<float> vectors(texts.size() * dim());
    const Pointers all(texts);
    check(mirrorkit_encode(get(), all.texts.data(), all.lengths.data(), texts.size(), vectors.data(), vectors.size()));
    return vectors;
  }

  // The same with options of this call's own; a vector has truncate_dim floats where that is less than the bundle's.
  std::vector<float> encode(const std::vector<std::string>& texts, const Options& options) const {
    const Raw raw(options, texts.size());
    const Pointers all(texts);
    std::vector<float> vectors(texts.size() * dim(raw));
    check(mirrorkit_encode_with(get(), &raw.options, all.texts.data(), all.lengths.data(), texts.size(), vectors.data(),
                                vectors.size()));
    return vectors;
  }

  // The same of texts that are token ids already, as token_ids returns them.
  std::vector<float> encode_ids(const std::vector<std::vector<std::int32_t>>& ids, const Options& options = {}) const {
    const Raw raw(options, ids.size());
    std::vector<const std::int32_t*> rows;
    std::vector<std::size_t> lengths;
    for (const auto& row : ids) {
      rows.push_back(row.data());
      lengths.push_back(row.size());
    }
    std::vector<float> vectors(ids.size() * dim(raw));
    check(mirrorkit_encode_ids(get(), &raw.options, rows.data(), lengths.data(), ids.size(), vectors.data(),
                               vectors.size()));
    return vectors;
  }

  // Returns how alike each of the vectors `a` is to each of `b`, all of `width` floats, by the model's own function.
  std::vector<float> similarity(const std::vector<float>& a, const std::vector<float>& b, std::size_t width) const {
    const std::size_t rows = a.size() / width, columns = b.size() / width;
    std::vector<float> scores(rows * columns);
    check(mirrorkit_similarity(get(), a.data(), rows, b.data(), columns, width, scores.data()));
    return scores;
  }

  // Without options those of the encoder count.
  std::vector<std::size_t> token_counts(const std::vector<std::string>& texts,
                                        const std::optional<Options>& options = {}) const {
    std::vector<std::size_t> counts(texts.size());
    const Pointers all(texts);
    const Options chosen = options.value_or(Options{});  // which `raw` points into
    const Raw raw(chosen, texts.size());
    check(mirrorkit_token_counts(get(), options ? &raw.options : nullptr, all.texts.data(), all.lengths.data(),
                                 texts.size(), counts.data()));
    return counts;
  }

  std::vector<std::int32_t> token_ids(std::string_view text, const std::optional<Options>& options = {}) const {
    std::vector<std::int32_t> ids(max_length());
    std::size_t count = 0;
    const Options chosen = options.value_or(Options{});  // which `raw` points into
    const Raw raw(chosen, 1);
    check(mirrorkit_token_ids(get(), options ? &raw.options : nullptr, text.empty() ? "" : text.data(), text.size(),
                              ids.data(), ids.size(), &count));
    ids.resize(count);
    return ids;
  }

  // Returns a file of the bundle, such as "golden.jsonl".
  std::string read(const std::string& path) const {
    std::size_t length = 0;
    const mirrorkit_status status = mirrorkit_read(get(), path.c_str(), nullptr, 0, &length);
    if (status != MIRRORKIT_BUFFER_TOO_SMALL) check(status);
    std::string content(length, '\0');
    if (length > 0) check(mirrorkit_read(get(), path.c_str(), content.data(), length, &length));
    return content;
  }

  const mirrorkit_encoder* get() const { return handle_.get(); }

 private:
  // What the library holds a pointer to for as long as the encoder lives.
  struct Own {
    Log log;
    Read read;
  };

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

  struct Raw {
    Raw(Options&&, std::size_t) = delete;  // it would point into what is gone
    Raw(const Options& given, std::size_t count) : options(mirrorkit_default_options()) {
      set(options, given);
      options.abort = given.abort != nullptr ? given.abort->get() : nullptr;
      if (given.cut == nullptr) return;
      given.cut->assign(count, 0);
      options.cut = given.cut->data();
    }
    mirrorkit_options options;
  };

  struct Free {
    void operator()(mirrorkit_encoder* handle) const { mirrorkit_free(handle); }
  };

  // "key", "value", …, NULL
  struct List {
    explicit List(const Settings& settings) {
      for (const auto& [key, value] : settings) {
        words.push_back(key.c_str());
        words.push_back(value.c_str());
      }
      words.push_back(nullptr);
    }
    std::vector<const char*> words;
  };

  Encoder() = default;

  template <typename Create>
  void open(const Params& params, const Create& create) {
    const List provider_options(params.provider_options), session_options(params.session_options);
    own_->log = params.log;
    mirrorkit_params raw = mirrorkit_default_params();
    raw.variant = params.variant.c_str();
    raw.onnxruntime = params.onnxruntime.empty() ? nullptr : params.onnxruntime.c_str();
    raw.batch_tokens = params.batch_tokens;
    raw.threads = params.threads;
    raw.low_memory = params.low_memory;
    raw.unverified = !params.verify;
    raw.tokenizer_only = params.tokenizer_only;
    raw.log = own_->log ? log_for : nullptr;
    raw.log_user = own_.get();
    set(raw, params.options);
    raw.provider = params.provider.c_str();
    raw.provider_options = provider_options.words.data();
    raw.session_options = session_options.words.data();
    raw.ort_api_base = params.ort_api_base;
    raw.ort_env = params.ort_env;
    mirrorkit_encoder* handle = nullptr;
    check(create(&raw, &handle));
    handle_.reset(handle);
  }

  std::size_t dim(const Raw& raw) const { return static_cast<std::size_t>(mirrorkit_dim_with(get(), &raw.options)); }

  template <typename Fields>
  static void set(Fields& raw, const Options& options) {
    raw.prompt = options.prompt ? options.prompt->c_str() : nullptr;
    raw.prompt_name = options.prompt_name ? options.prompt_name->c_str() : nullptr;
    raw.truncate_dim = static_cast<std::int32_t>(options.truncate_dim);
    raw.normalize = options.normalize;
  }

  static void check(mirrorkit_status status) {
    if (status != MIRRORKIT_OK) throw Error(status);
  }

  static void log_for(mirrorkit_log_level level, const char* message, void* user) {
    static_cast<Own*>(user)->log(level, message);
  }

  static std::int32_t read_for(void* user, const char* path, const void** data, std::size_t* length) {
    const std::optional<std::string_view> found = static_cast<Own*>(user)->read(path);
    if (!found) return 1;
    *data = found->data();
    *length = found->size();
    return 0;
  }

  std::unique_ptr<Own> own_ = std::make_unique<Own>();  // outlives the handle
  std::unique_ptr<mirrorkit_encoder, Free> handle_;
};

}  // namespace mirrorkit
