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
          log};
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
    if (count == 0) return;
    require(texts != nullptr, "texts: is null");
    require(vectors != nullptr, "vectors: is null");
    const std::size_t dim = encoder->encoder.dim();
    if (capacity / dim < count) {
      throw mk::Error(mk::Status::buffer_too_small, "vectors: " + std::to_string(count) + " texts take " +
                                                        std::to_string(dim) + " floats each, there is room for " +
                                                        std::to_string(capacity));
    }
    std::vector<std::string_view> views;
    views.reserve(count);
    for (std::size_t i = 0; i < count; ++i) views.push_back(text_at(texts, lengths, i));
    encoder->encoder.encode(views, vectors);
  });
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
