// The functions of mirrorkit.h that use an encoder.
#include "c_api.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "structs.hpp"

#ifndef MIRRORKIT_VERSION
#error "the build must define MIRRORKIT_VERSION"
#endif

namespace {

using mk::guarded;
using mk::require;

constexpr std::size_t oldest_options = offsetof(mirrorkit_options, cut) + sizeof(std::size_t*);  // of the first release

std::string& last_error() {
  thread_local std::string message;
  return message;
}

const mk::Encoder& checked(const mirrorkit_encoder* encoder) {
  require(encoder != nullptr, "encoder: is null");
  return encoder->encoder;
}

mk::Call call_of(const mk::Encoder& encoder, const mirrorkit_options* given) {
  if (given == nullptr) return encoder.call();
  const mirrorkit_options options = mk::taken(*given, oldest_options, "options");
  mk::Call call = mk::call_of(options);
  if (options.abort != nullptr) call.abort = &options.abort->abort;
  call.cut = options.cut;
  return call;
}

std::vector<std::string_view> views(const char* const* texts, const std::size_t* lengths, std::size_t count) {
  require(texts != nullptr, "texts: is null");
  std::vector<std::string_view> all;
  all.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (texts[i] == nullptr) {
      throw mk::Error(mk::Status::invalid_argument, "texts[" + std::to_string(i) + "]: is null");
    }
    all.emplace_back(texts[i], lengths != nullptr ? lengths[i] : std::strlen(texts[i]));
  }
  return all;
}

// Throws unless `vectors` has room for what the call gives.
void check_room(std::size_t dim, std::size_t count, const float* vectors, std::size_t capacity) {
  require(vectors != nullptr, "vectors: is null");
  if (capacity / dim >= count) return;
  throw mk::Error(mk::Status::buffer_too_small, "vectors: " + std::to_string(count) + " texts take " +
                                                    std::to_string(dim) + " floats each, there is room for " +
                                                    std::to_string(capacity));
}

// Copies what was found, and writes its number to *count, as far as there is room.
template <typename Found, typename Out>
void hand_out(const Found& found, Out* out, std::size_t capacity, std::size_t* count, const char* what) {
  require(count != nullptr, "count or length: is null");
  require(out != nullptr || capacity == 0, "ids or buffer: is null, but its capacity is not 0");
  *count = found.size();
  if (found.size() > capacity) {
    throw mk::Error(mk::Status::buffer_too_small, std::string(what) + ": there are " + std::to_string(found.size()) +
                                                      ", and room for " + std::to_string(capacity));
  }
  std::copy(found.begin(), found.end(), out);
}

}  // namespace

mirrorkit_status mk::fail(mirrorkit_status status, const char* message) noexcept {
  try {
    last_error() = message;
  } catch (...) {
    last_error().clear();
  }
  return status;
}

mirrorkit_status mk::status_of(Status status) noexcept {
  switch (status) {
    case Status::ok: return MIRRORKIT_OK;
    case Status::invalid_argument: return MIRRORKIT_INVALID_ARGUMENT;
    case Status::not_found: return MIRRORKIT_NOT_FOUND;
    case Status::bad_bundle: return MIRRORKIT_BAD_BUNDLE;
    case Status::unsupported: return MIRRORKIT_UNSUPPORTED;
    case Status::buffer_too_small: return MIRRORKIT_BUFFER_TOO_SMALL;
    case Status::runtime_error: return MIRRORKIT_RUNTIME_ERROR;
    case Status::aborted: return MIRRORKIT_ABORTED;
  }
  return MIRRORKIT_RUNTIME_ERROR;
}

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
  return mirrorkit_encode_with(encoder, nullptr, texts, lengths, count, vectors, capacity);
}

int32_t mirrorkit_dim_with(const mirrorkit_encoder* encoder, const mirrorkit_options* options) {
  int32_t dim = 0;
  guarded([&] { dim = static_cast<int32_t>(checked(encoder).dim(call_of(checked(encoder), options))); });
  return dim;
}

mirrorkit_status mirrorkit_encode_with(const mirrorkit_encoder* encoder, const mirrorkit_options* options,
                                       const char* const* texts, const size_t* lengths, size_t count, float* vectors,
                                       size_t capacity) {
  return guarded([&] {
    const mk::Call call = call_of(checked(encoder), options);
    if (count == 0) return;
    require(texts != nullptr, "texts: is null");
    check_room(encoder->encoder.dim(call), count, vectors, capacity);
    encoder->encoder.encode(views(texts, lengths, count), call, vectors);
  });
}

mirrorkit_status mirrorkit_encode_ids(const mirrorkit_encoder* encoder, const mirrorkit_options* options,
                                      const int32_t* const* ids, const size_t* lengths, size_t count, float* vectors,
                                      size_t capacity) {
  return guarded([&] {
    const mk::Call call = call_of(checked(encoder), options);
    if (count == 0) return;
    require(ids != nullptr && lengths != nullptr, "ids or lengths: is null");
    require(call.cut == nullptr, "cut: nothing is cut off token ids");
    check_room(encoder->encoder.dim(call), count, vectors, capacity);
    std::vector<std::vector<std::int32_t>> rows(count);
    for (std::size_t i = 0; i < count; ++i) {
      require(ids[i] != nullptr || lengths[i] == 0, "ids: one of them is null");
      if (ids[i] != nullptr) rows[i].assign(ids[i], ids[i] + lengths[i]);
    }
    encoder->encoder.encode(std::move(rows), call, vectors);
  });
}

mirrorkit_status mirrorkit_similarity(const mirrorkit_encoder* encoder, const float* a, size_t count_a, const float* b,
                                      size_t count_b, size_t dim, float* scores) {
  return guarded([&] {
    const std::string& function = checked(encoder).usage().similarity;
    if (count_a == 0 || count_b == 0) return;
    require(a != nullptr && b != nullptr && scores != nullptr, "a, b or scores: is null");
    mk::similarities(function, a, count_a, b, count_b, dim, scores);
  });
}

const char* mirrorkit_similarity_name(const mirrorkit_encoder* encoder) {
  return encoder != nullptr ? encoder->encoder.usage().similarity.c_str() : "";
}

int32_t mirrorkit_normalized(const mirrorkit_encoder* encoder) {
  return encoder != nullptr && encoder->encoder.usage().normalized ? 1 : 0;
}

mirrorkit_status mirrorkit_token_counts(const mirrorkit_encoder* encoder, const mirrorkit_options* options,
                                        const char* const* texts, const size_t* lengths, size_t count,
                                        size_t* counts) {
  return guarded([&] {
    const mk::Call call = call_of(checked(encoder), options);
    if (count == 0) return;
    require(counts != nullptr, "counts: is null");
    const auto ids = encoder->encoder.ids(views(texts, lengths, count), call);
    std::transform(ids.begin(), ids.end(), counts, [](const auto& row) { return row.size(); });
  });
}

mirrorkit_status mirrorkit_token_ids(const mirrorkit_encoder* encoder, const mirrorkit_options* options,
                                     const char* text, size_t length, int32_t* ids, size_t capacity, size_t* count) {
  return guarded([&] {
    const mk::Call call = call_of(checked(encoder), options);
    require(text != nullptr, "text: is null");
    const std::vector<std::string_view> one(1, std::string_view(text, length));
    hand_out(encoder->encoder.ids(one, call).front(), ids, capacity, count, "ids");
  });
}

mirrorkit_status mirrorkit_read(const mirrorkit_encoder* encoder, const char* path, void* buffer, size_t capacity,
                                size_t* length) {
  return guarded([&] {
    const mk::Encoder& open = checked(encoder);
    require(path != nullptr, "path: is null");
    hand_out(open.file(path).text(), static_cast<char*>(buffer), capacity, length, "bytes");
  });
}

mirrorkit_status mirrorkit_abort_create(mirrorkit_abort** abort) {
  if (abort != nullptr) *abort = nullptr;
  return guarded([&] {
    require(abort != nullptr, "abort: is null");
    *abort = new mirrorkit_abort;
  });
}

void mirrorkit_abort_set(mirrorkit_abort* abort) {
  if (abort != nullptr) guarded([&] { abort->abort.set(); });
}

void mirrorkit_abort_reset(mirrorkit_abort* abort) {
  if (abort != nullptr) abort->abort.reset();
}

void mirrorkit_abort_free(mirrorkit_abort* abort) { delete abort; }

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
    case MIRRORKIT_ABORTED: return "aborted";
  }
  return "not a status";
}

const char* mirrorkit_version(void) { return MIRRORKIT_VERSION; }
