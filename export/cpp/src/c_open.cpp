// The functions of mirrorkit.h that open an encoder.
#include <cstring>
#include <map>
#include <optional>
#include <string_view>

#include "c_api.hpp"
#include "structs.hpp"

namespace {

using mk::require;

constexpr std::size_t default_batch_tokens = 512;
constexpr std::int32_t most_threads = 1024;
constexpr std::size_t most_settings = 1000;
// where these structs ended in the first release
constexpr std::size_t oldest_params = offsetof(mirrorkit_params, ort_env) + sizeof(void*);
constexpr std::size_t oldest_reader = offsetof(mirrorkit_reader, user) + sizeof(void*);

// Reads "key", "value", …, NULL.
mk::Settings settings_of(const char* const* list, const char* what) {
  mk::Settings settings;
  for (; list != nullptr && *list != nullptr; list += 2) {
    if (list[1] == nullptr || settings.size() == most_settings) {
      throw mk::Error(mk::Status::invalid_argument, std::string(what) + ": must be keys and values in turn, then NULL");
    }
    settings.emplace_back(list[0], list[1]);
  }
  return settings;
}

mk::Log log_of(const mirrorkit_params& params) {
  return [callback = params.log, user = params.log_user](mk::LogLevel level, const std::string& message) {
    if (callback == nullptr) return;
    try {
      callback(static_cast<mirrorkit_log_level>(level), message.c_str(), user);
    } catch (...) {  // ONNX Runtime logs from threads and through code that nothing may be thrown through
    }
  };
}

mk::Options options_of(const mirrorkit_params* given) {
  const mirrorkit_params params =
      given != nullptr ? mk::taken(*given, oldest_params, "params") : mirrorkit_default_params();
  if (params.threads < 0 || params.threads > most_threads) {
    throw mk::Error(mk::Status::invalid_argument, "threads " + std::to_string(params.threads) +
                                                      ": must be from 0 to " + std::to_string(most_threads));
  }
  require(params.ort_env == nullptr || params.ort_api_base != nullptr,
          "ort_env: needs ort_api_base, so that it is known which ONNX Runtime it is of");
  const mk::SessionOptions session{params.onnxruntime != nullptr ? params.onnxruntime : "",
                                   params.ort_api_base,
                                   params.ort_env,
                                   params.threads,
                                   params.low_memory != 0,
                                   params.provider != nullptr ? params.provider : "CPU",
                                   settings_of(params.provider_options, "provider_options"),
                                   settings_of(params.session_options, "session_options")};
  require(session.provider != "CPU" || session.provider_options.empty(), "provider_options: the provider CPU has none");
  return {params.variant != nullptr ? params.variant : "auto",
          params.batch_tokens > 0 ? params.batch_tokens : default_batch_tokens,
          params.unverified == 0,
          params.tokenizer_only != 0,
          session,
          log_of(params),
          mk::call_of(params)};
}

// Opens what `files` gives, which is asked for only when everything else is known to be right.
template <typename MakeFiles>
mirrorkit_status create(const mirrorkit_params* params, mirrorkit_encoder** encoder, const MakeFiles& files) noexcept {
  if (encoder != nullptr) *encoder = nullptr;
  return mk::guarded([&] {
    require(encoder != nullptr, "encoder: is null");
    mk::Options options = options_of(params);
    *encoder = new mirrorkit_encoder(files(), std::move(options));
  });
}

std::map<std::string, std::string_view> in_memory(const char* const* paths, const void* const* data,
                                                  const std::size_t* lengths, std::size_t count) {
  require(paths != nullptr && data != nullptr && lengths != nullptr, "paths, data or lengths: is null");
  std::map<std::string, std::string_view> files;
  for (std::size_t i = 0; i < count; ++i) {
    require(paths[i] != nullptr, "paths: one of them is null");
    require(data[i] != nullptr || lengths[i] == 0, "data: is null for a file of more than no bytes");
    const std::string_view bytes(data[i] != nullptr ? static_cast<const char*>(data[i]) : "", lengths[i]);
    require(files.emplace(paths[i], bytes).second, "paths: two of them are the same");
  }
  return files;
}

mk::Read read_by(const mirrorkit_reader* given) {
  require(given != nullptr, "reader: is null");
  const mirrorkit_reader reader = mk::taken(*given, oldest_reader, "reader");
  require(reader.read != nullptr, "reader: its read is null");
  return [reader](const std::string& path) -> std::optional<mk::Content> {
    const void* data = nullptr;
    std::size_t length = 0;
    if (reader.read(reader.user, path.c_str(), &data, &length) != 0) return std::nullopt;
    const auto release = [reader, length](const void* bytes) noexcept {
      try {
        if (reader.release != nullptr) reader.release(reader.user, bytes, length);
      } catch (...) {  // nobody is left to tell
      }
    };
    const std::shared_ptr<const void> keeper(data, release);
    require(data != nullptr || length == 0, "reader: gave no bytes");
    return mk::Content{{data != nullptr ? static_cast<const char*>(data) : "", length}, keeper};
  };
}

}  // namespace

mirrorkit_status mirrorkit_create(const char* path, const mirrorkit_params* params, mirrorkit_encoder** encoder) {
  return create(params, encoder, [&] {
    require(path != nullptr, "path: is null");
    return mk::open_files(path);
  });
}

mirrorkit_status mirrorkit_create_from_memory(const char* const* paths, const void* const* data, const size_t* lengths,
                                              size_t count, const mirrorkit_params* params,
                                              mirrorkit_encoder** encoder) {
  return create(params, encoder, [&] { return mk::files_in_memory(in_memory(paths, data, lengths, count)); });
}

mirrorkit_status mirrorkit_create_from_reader(const mirrorkit_reader* reader, const mirrorkit_params* params,
                                              mirrorkit_encoder** encoder) {
  return create(params, encoder, [&] { return mk::files_by(read_by(reader)); });
}

void mirrorkit_free(mirrorkit_encoder* encoder) { delete encoder; }
