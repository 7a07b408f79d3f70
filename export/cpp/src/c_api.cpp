#include "mirrorkit.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "encoder.hpp"
#include "error.hpp"

#ifndef MIRRORKIT_VERSION
#error "the build must define MIRRORKIT_VERSION"
#endif

struct mirrorkit_encoder {
  mirrorkit_encoder(const char* folder, mk::Options options)
      : encoder(folder, std::move(options)), onnxruntime_version(encoder.onnxruntime_version()) {}

  mk::Encoder encoder;
  std::string onnxruntime_version;
};

namespace {

constexpr std::size_t default_batch_tokens = 512;
constexpr std::int32_t most_threads = 1024;

std::string& last_error() {
  thread_local std::string message;
  return message;
}

mirrorkit_status fail(mirrorkit_status status, const char* message) noexcept {
  try {
    last_error() = message;
  } catch (...) {
    last_error().clear();
  }
  return status;
}

mirrorkit_status status_of(mk::Status status) {
  switch (status) {
    case mk::Status::ok: return MIRRORKIT_OK;
    case mk::Status::invalid_argument: return MIRRORKIT_INVALID_ARGUMENT;
    case mk::Status::not_found: return MIRRORKIT_NOT_FOUND;
    case mk::Status::bad_bundle: return MIRRORKIT_BAD_BUNDLE;
    case mk::Status::unsupported: return MIRRORKIT_UNSUPPORTED;
    case mk::Status::buffer_too_small: return MIRRORKIT_BUFFER_TOO_SMALL;
    case mk::Status::runtime_error: return MIRRORKIT_RUNTIME_ERROR;
  }
  return MIRRORKIT_RUNTIME_ERROR;
}

// Runs `work`, and turns whatever it throws into a status.
template <typename Work>
mirrorkit_status guarded(const Work& work) noexcept {
  try {
    work();
    return MIRRORKIT_OK;
  } catch (const mk::Error& error) {
    return fail(status_of(error.status()), error.what());
  } catch (const std::bad_alloc&) {
    return fail(MIRRORKIT_OUT_OF_MEMORY, "out of memory");
  } catch (const std::length_error&) {
    return fail(MIRRORKIT_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return fail(MIRRORKIT_RUNTIME_ERROR, error.what());
  } catch (...) {
    return fail(MIRRORKIT_RUNTIME_ERROR, "an exception that is none of the standard library's");
  }
}

void require(bool condition, const std::string& message) {
  if (!condition) throw mk::Error(mk::Status::invalid_argument, message);
}

std::string_view text_at(const char* const* texts, const std::size_t* lengths, std::size_t i) {
  require(texts[i] != nullptr, "texts[" + std::to_string(i) + "]: is null");
  return {texts[i], lengths != nullptr ? lengths[i] : std::strlen(texts[i])};
}

// Of mirrorkit_params and mirrorkit_options, which name these fields alike.
template <typename Fields>
mk::Call call_of(const Fields& fields) {
  require(fields.truncate_dim >= 0, "truncate_dim " + std::to_string(fields.truncate_dim) + ": must be at least 0");
  mk::Call call;
  if (fields.prompt != nullptr) call.prompt = fields.prompt;
  if (fields.prompt_name != nullptr) call.prompt_name = fields.prompt_name;
  call.truncate_dim = static_cast<std::size_t>(fields.truncate_dim);
  call.normalize = fields.normalize != 0;
  return call;
}

mk::Call call_of(const mk::Encoder& encoder, const mirrorkit_options* options) {
  require(options == nullptr || options->size == sizeof(mirrorkit_options),
          "options: not made by mirrorkit_default_options of this release");
  return options != nullptr ? call_of(*options) : encoder.call();
}

void encode(const mk::Encoder& encoder, const mk::Call& call, const char* const* texts, const std::size_t* lengths,
            std::size_t count, float* vectors, std::size_t capacity) {
  if (count == 0) return;
  require(texts != nullptr, "texts: is null");
  require(vectors != nullptr, "vectors: is null");
  const std::size_t dim = encoder.dim(call);
  if (capacity / dim < count) {
    throw mk::Error(mk::Status::buffer_too_small, "vectors: " + std::to_string(count) + " texts take " +
                                                      std::to_string(dim) + " floats each, there is room for " +
                                                      std::to_string(capacity));
  }
  std::vector<std::string_view> views;
  views.reserve(count);
  for (std::size_t i = 0; i < count; ++i) views.push_back(text_at(texts, lengths, i));
  encoder.encode(views, call, vectors);
}

mk::Options options_of(const mirrorkit_params& params) {
  require(params.size == sizeof(mirrorkit_params), "params: not made by mirrorkit_default_params of this release");
  require(params.threads >= 0 && params.threads <= most_threads,
          "threads " + std::to_string(params.threads) + ": must be from 0 to " + std::to_string(most_threads));
  require(params.batch_tokens > 0, "batch_tokens 0: must be at least 1");
  const auto log = [callback = params.log, user = params.log_user](mk::LogLevel level, const std::string& message) {
    if (callback != nullptr) callback(static_cast<mirrorkit_log_level>(level), message.c_str(), user);
  };
  return {params.variant != nullptr ? params.variant : "auto",
          params.onnxruntime != nullptr ? params.onnxruntime : "",
          params.threads,
          params.batch_tokens,
          params.verify != 0,
          params.low_memory != 0,
          params.tokenizer_only != 0,
          log,
          call_of(params)};
}

}  // namespace

mirrorkit_params mirrorkit_default_params(void) {
  mirrorkit_params params{};
  params.size = sizeof(mirrorkit_params);
  params.variant = "auto";
  params.batch_tokens = default_batch_tokens;
  params.verify = 1;
  return params;
}

mirrorkit_status mirrorkit_create(const char* folder, const mirrorkit_params* params, mirrorkit_encoder** encoder) {
  if (encoder != nullptr) *encoder = nullptr;
  return guarded([&] {
    require(encoder != nullptr, "encoder: is null");
    require(folder != nullptr, "folder: is null");
    *encoder = new mirrorkit_encoder(folder, options_of(params != nullptr ? *params : mirrorkit_default_params()));
  });
}

void mirrorkit_free(mirrorkit_encoder* encoder) { delete encoder; }

int32_t mirrorkit_dim(const mirrorkit_encoder* encoder) {
  return encoder != nullptr ? static_cast<int32_t>(encoder->encoder.dim()) : 0;
}

int32_t mirrorkit_max_length(const mirrorkit_encoder* encoder) {
  return encoder != nullptr ? static_cast<int32_t>(encoder->encoder.max_length()) : 0;
}

const char* mirrorkit_variant(const mirrorkit_encoder* encoder) {
  return encoder != nullptr ? encoder->encoder.variant().c_str() : "";
}

const char* mirrorkit_onnxruntime_version(const mirrorkit_encoder* encoder) {
  return encoder != nullptr ? encoder->onnxruntime_version.c_str() : "";
}

mirrorkit_status mirrorkit_encode(const mirrorkit_encoder* encoder, const char* const* texts, const size_t* lengths,
                                  size_t count, float* vectors, size_t capacity) {
  return guarded([&] {
    require(encoder != nullptr, "encoder: is null");
    encode(encoder->encoder, encoder->encoder.call(), texts, lengths, count, vectors, capacity);
  });
}

mirrorkit_options mirrorkit_default_options(void) {
  mirrorkit_options options{};
  options.size = sizeof(mirrorkit_options);
  return options;
}

int32_t mirrorkit_dim_with(const mirrorkit_encoder* encoder, const mirrorkit_options* options) {
  int32_t dim = 0;
  guarded([&] {
    require(encoder != nullptr, "encoder: is null");
    dim = static_cast<int32_t>(encoder->encoder.dim(call_of(encoder->encoder, options)));
  });
  return dim;
}

mirrorkit_status mirrorkit_encode_with(const mirrorkit_encoder* encoder, const mirrorkit_options* options,
                                       const char* const* texts, const size_t* lengths, size_t count, float* vectors,
                                       size_t capacity) {
  return guarded([&] {
    require(encoder != nullptr, "encoder: is null");
    encode(encoder->encoder, call_of(encoder->encoder, options), texts, lengths, count, vectors, capacity);
  });
}

mirrorkit_status mirrorkit_similarity(const mirrorkit_encoder* encoder, const float* a, size_t count_a, const float* b,
                                      size_t count_b, size_t dim, float* scores) {
  return guarded([&] {
    require(encoder != nullptr, "encoder: is null");
    if (count_a == 0 || count_b == 0) return;
    require(a != nullptr && b != nullptr && scores != nullptr, "a, b or scores: is null");
    mk::similarities(encoder->encoder.usage().similarity, a, count_a, b, count_b, dim, scores);
  });
}

const char* mirrorkit_similarity_name(const mirrorkit_encoder* encoder) {
  return encoder != nullptr ? encoder->encoder.usage().similarity.c_str() : "";
}

int32_t mirrorkit_normalized(const mirrorkit_encoder* encoder) {
  return encoder != nullptr && encoder->encoder.usage().normalized ? 1 : 0;
}

mirrorkit_status mirrorkit_token_counts(const mirrorkit_encoder* encoder, const char* const* texts,
                                        const size_t* lengths, size_t count, size_t* counts) {
  return guarded([&] {
    require(encoder != nullptr, "encoder: is null");
    if (count == 0) return;
    require(texts != nullptr, "texts: is null");
    require(counts != nullptr, "counts: is null");
    for (std::size_t i = 0; i < count; ++i) counts[i] = encoder->encoder.ids(text_at(texts, lengths, i), i).size();
  });
}

mirrorkit_status mirrorkit_token_ids(const mirrorkit_encoder* encoder, const char* text, size_t length, int32_t* ids,
                                     size_t capacity, size_t* count) {
  return guarded([&] {
    require(encoder != nullptr, "encoder: is null");
    require(text != nullptr, "text: is null");
    require(count != nullptr, "count: is null");
    require(ids != nullptr || capacity == 0, "ids: is null, but its capacity is not 0");
    const std::vector<std::int32_t> found = encoder->encoder.ids({text, length}, 0);
    *count = found.size();
    if (found.size() > capacity) {
      throw mk::Error(mk::Status::buffer_too_small,
                      "ids: there are " + std::to_string(found.size()) + ", and room for " + std::to_string(capacity));
    }
    std::copy(found.begin(), found.end(), ids);
  });
}

const char* mirrorkit_last_error(void) { return last_error().c_str(); }

const char* mirrorkit_status_name(mirrorkit_status status) {
  switch (status) {
    case MIRRORKIT_OK: return "ok";
    case MIRRORKIT_INVALID_ARGUMENT: return "invalid argument";
    case MIRRORKIT_NOT_FOUND: return "not found";
    case MIRRORKIT_BAD_BUNDLE: return "bad bundle";
    case MIRRORKIT_UNSUPPORTED: return "unsupported";
    case MIRRORKIT_BUFFER_TOO_SMALL: return "buffer too small";
    case MIRRORKIT_RUNTIME_ERROR: return "runtime error";
    case MIRRORKIT_OUT_OF_MEMORY: return "out of memory";
  }
  return "not a status";
}

const char* mirrorkit_version(void) { return MIRRORKIT_VERSION; }
