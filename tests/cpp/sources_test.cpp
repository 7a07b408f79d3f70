// sources_test FOLDER FILE.mkit LIBONNXRUNTIME VARIANT: opens one bundle in every way that mirrorkit.h has; all must
// give the bits of the folder. Then everything that a call may be told, and calls that are ended from another thread.

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <mirrorkit.hpp>
#include <thread>

#include "files.hpp"
#include "ort.hpp"

namespace {

namespace fs = std::filesystem;

int failures = 0;

#define CHECK(condition)                                                                          \
  do {                                                                                            \
    if (!(condition)) {                                                                           \
      std::fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #condition, mirrorkit_last_error());   \
      ++failures;                                                                                 \
    }                                                                                             \
  } while (0)

const std::vector<std::string> texts = {"A cat sat on the mat.", "", "naïve café", "中文 [MASK] ok",
                                        "one two three four five"};

template <typename Work>
mirrorkit_status status_of(const Work& work) {
  try {
    work();
    return MIRRORKIT_OK;
  } catch (const mirrorkit::Error& error) {
    if (std::strlen(error.what()) == 0) ++failures;
    return error.status();
  }
}

std::map<std::string, std::string> files_of(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files[fs::relative(entry, folder).generic_string()] = mk::read_file(entry.path());
  }
  return files;
}

void test_sources(const std::string& folder, const std::string& file, const mirrorkit::Params& params) {
  const std::vector<float> expected = mirrorkit::Encoder(folder, params).encode(texts);
  CHECK(mirrorkit::Encoder(file, params).encode(texts) == expected);

  const std::map<std::string, std::string> files = files_of(folder);
  std::vector<mirrorkit::File> in_memory;
  for (const auto& [path, content] : files) in_memory.push_back({path, content});
  const auto from_memory = mirrorkit::Encoder::from_memory(in_memory, params);
  CHECK(from_memory.encode(texts) == expected);
  CHECK(from_memory.read("tokenizer.json") == files.at("tokenizer.json"));
  const std::string packed = mk::read_file(file);
  CHECK(mirrorkit::Encoder::from_memory({{"whatever", packed}}, params).encode(texts) == expected);

  std::map<std::string, int> asked;
  const auto read = [&](const std::string& path) -> std::optional<std::string_view> {
    ++asked[path];
    const auto found = files.find(path);
    return found == files.end() ? std::nullopt : std::optional<std::string_view>(found->second);
  };
  auto by_reader = mirrorkit::Encoder::from_reader(read, params);
  CHECK(std::all_of(asked.begin(), asked.end(), [](const auto& one) { return one.second == 1; }));
  const mirrorkit::Encoder moved = std::move(by_reader);
  CHECK(moved.encode(texts) == expected);
  CHECK(moved.read("mirrorkit.json") == files.at("mirrorkit.json"));
  CHECK(status_of([&] { moved.read("nothing"); }) == MIRRORKIT_BAD_BUNDLE);
  CHECK(status_of([&] { moved.read("../secret"); }) == MIRRORKIT_BAD_BUNDLE);

  CHECK(status_of([&] { mirrorkit::Encoder::from_memory({}, params); }) != MIRRORKIT_OK);
  CHECK(status_of([&] { mirrorkit::Encoder::from_memory({{"mirrorkit.json", "{}"}}, params); }) ==
        MIRRORKIT_BAD_BUNDLE);
  CHECK(status_of([&] { mirrorkit::Encoder::from_memory({{"a", ""}, {"a", ""}}, params); }) ==
        MIRRORKIT_INVALID_ARGUMENT);
  for (const std::string cut_off : {"tokenizer.json", "onnx/model.onnx"}) {
    std::vector<mirrorkit::File> rest;
    for (const mirrorkit::File& one : in_memory) {
      if (one.path != cut_off) rest.push_back(one);
    }
    CHECK(status_of([&] { mirrorkit::Encoder::from_memory(rest, params); }) == MIRRORKIT_NOT_FOUND);
    std::string changed = files.at(cut_off);
    changed[changed.size() / 2] ^= 1;
    rest.push_back({cut_off, changed});
    CHECK(status_of([&] { mirrorkit::Encoder::from_memory(rest, params); }) == MIRRORKIT_BAD_BUNDLE);
  }
}

// Nothing that a callback throws comes through, and whatever was read is released, once.
void test_callbacks(const std::string& folder, const mirrorkit::Params& params) {
  struct State {
    std::map<std::string, std::string> files;
    int read = 0, released = 0;
    bool throws = false;
  } state{files_of(folder)};
  mirrorkit_reader reader{};
  reader.size = sizeof reader;
  reader.user = &state;
  reader.read = [](void* user, const char* path, const void** data, std::size_t* length) -> std::int32_t {
    auto& own = *static_cast<State*>(user);
    if (own.throws) throw 1;
    const auto found = own.files.find(path);
    if (found == own.files.end()) return 1;
    ++own.read;
    *data = found->second.data();
    *length = found->second.size();
    return 0;
  };
  reader.release = [](void* user, const void*, std::size_t) {
    ++static_cast<State*>(user)->released;
    throw 2;
  };
  mirrorkit_params raw = mirrorkit_default_params();
  raw.variant = params.variant.c_str();
  raw.onnxruntime = params.onnxruntime.c_str();
  raw.log = [](mirrorkit_log_level, const char*, void*) { throw 3; };
  mirrorkit_encoder* encoder = nullptr;
  CHECK(mirrorkit_create_from_reader(&reader, &raw, &encoder) == MIRRORKIT_OK);
  CHECK(state.read >= 3 && state.released >= 2);
  mirrorkit_free(encoder);
  CHECK(state.read == state.released);
  state.throws = true;
  CHECK(mirrorkit_create_from_reader(&reader, &raw, &encoder) == MIRRORKIT_RUNTIME_ERROR);
  CHECK(encoder == nullptr);
  reader.read = nullptr;
  CHECK(mirrorkit_create_from_reader(&reader, &raw, &encoder) == MIRRORKIT_INVALID_ARGUMENT);
  CHECK(mirrorkit_create_from_reader(nullptr, &raw, &encoder) == MIRRORKIT_INVALID_ARGUMENT);
}

void test_ids(const mirrorkit::Encoder& encoder) {
  std::vector<std::vector<std::int32_t>> ids;
  for (const std::string& text : texts) ids.push_back(encoder.token_ids(text));
  CHECK(encoder.encode_ids(ids) == encoder.encode(texts));
  mirrorkit::Options options;
  options.truncate_dim = 5;
  options.normalize = true;
  CHECK(encoder.encode_ids(ids, options) == encoder.encode(texts, options));
  options.prompt = "query: ";
  CHECK(encoder.token_ids("cat", options) == encoder.token_ids("query: cat"));
  CHECK(encoder.token_counts({"cat"}, options)[0] == encoder.token_ids("query: cat").size());
  for (const std::int32_t wrong : {-1, std::numeric_limits<std::int32_t>::max()}) {
    CHECK(status_of([&] { encoder.encode_ids({{1, wrong}}); }) == MIRRORKIT_INVALID_ARGUMENT);
  }
  const std::vector<std::int32_t> long_one(encoder.max_length() + 1, 1);
  CHECK(status_of([&] { encoder.encode_ids({long_one}); }) == MIRRORKIT_INVALID_ARGUMENT);
  CHECK(std::strstr(mirrorkit_last_error(), "ids[0]") != nullptr);
  CHECK(encoder.encode_ids({{}}).size() == encoder.dim());
  float vector[1];
  const std::size_t length = 1;
  const std::int32_t* const row = nullptr;
  CHECK(mirrorkit_encode_ids(encoder.get(), nullptr, &row, &length, 1, vector, 1) != MIRRORKIT_OK);
  CHECK(mirrorkit_encode_ids(encoder.get(), nullptr, nullptr, nullptr, 0, nullptr, 0) == MIRRORKIT_OK);
}

void test_cut(const mirrorkit::Encoder& encoder) {
  std::string longer;
  for (std::size_t i = 0; i < encoder.max_length(); ++i) longer += "cat ";
  std::vector<std::size_t> cut;
  mirrorkit::Options options;
  options.cut = &cut;
  const std::vector<float> vectors = encoder.encode({"a cat", longer, longer + "cat cat cat"}, options);
  CHECK(vectors == encoder.encode({"a cat", longer, longer + "cat cat cat"}));
  const std::size_t special = encoder.token_ids("").size();
  const std::size_t a_word = encoder.token_ids("cat").size() - special;
  CHECK(cut == std::vector<std::size_t>({0, (a_word - 1) * encoder.max_length() + special,
                                         (a_word - 1) * encoder.max_length() + special + 3 * a_word}));
  CHECK(encoder.token_counts({longer}, options)[0] == encoder.max_length());
  CHECK(cut.size() == 1);
}

void test_settings(const std::string& folder, mirrorkit::Params params) {
  const std::vector<float> expected = mirrorkit::Encoder(folder, params).encode(texts);
  params.session_options = {{"session.intra_op.allow_spinning", "0"}, {"session.set_denormal_as_zero", "0"}};
  CHECK(mirrorkit::Encoder(folder, params).encode(texts) == expected);
  params.session_options = {{"session.load_model_format", "ORT"}};  // nobody can ask for that
  CHECK(mirrorkit::Encoder(folder, params).encode(texts) == expected);
  params.session_options = {{"session.intra_op_thread_affinities", "no affinity"}};
  params.threads = 2;
  CHECK(status_of([&] { mirrorkit::Encoder(folder, params); }) == MIRRORKIT_RUNTIME_ERROR);
  params.session_options = {};
  params.threads = 1;
  params.provider_options = {{"a", "b"}};
  CHECK(status_of([&] { mirrorkit::Encoder(folder, params); }) == MIRRORKIT_INVALID_ARGUMENT);
  params.provider_options = {};
  params.provider = "no such provider";
  CHECK(status_of([&] { mirrorkit::Encoder(folder, params); }) == MIRRORKIT_RUNTIME_ERROR);
  mirrorkit_params raw = mirrorkit_default_params();
  const char* const odd[] = {"key", nullptr};
  mirrorkit_encoder* encoder = nullptr;
  raw.session_options = odd;
  CHECK(mirrorkit_create(folder.c_str(), &raw, &encoder) == MIRRORKIT_INVALID_ARGUMENT);
}

void test_environment(const std::string& folder, mirrorkit::Params params) {
  const mk::OnnxRuntime first(params.onnxruntime, nullptr), second(params.onnxruntime, nullptr);
  CHECK(first.environment() == second.environment());
  const std::vector<float> expected = mirrorkit::Encoder(folder, params).encode(texts);

  void* library = dlopen(params.onnxruntime.c_str(), RTLD_NOW);
  using GetApiBase = const OrtApiBase*(ORT_API_CALL*)();
  const OrtApiBase* base = reinterpret_cast<GetApiBase>(dlsym(library, "OrtGetApiBase"))();
  const OrtApi* api = base->GetApi(17);
  OrtEnv* own = nullptr;
  if (OrtStatus* failed = api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "own", &own)) {
    api->ReleaseStatus(failed);
    ++failures;
    return;
  }
  params.onnxruntime = "not looked at";
  params.ort_env = own;
  CHECK(status_of([&] { mirrorkit::Encoder(folder, params); }) == MIRRORKIT_INVALID_ARGUMENT);
  params.ort_api_base = base;
  for (int round = 0; round < 2; ++round) CHECK(mirrorkit::Encoder(folder, params).encode(texts) == expected);
  params.ort_env = nullptr;
  CHECK(mirrorkit::Encoder(folder, params).encode(texts) == expected);
  api->ReleaseEnv(own);
}

void test_abort(const mirrorkit::Encoder& encoder) {
  const std::vector<float> expected = encoder.encode(texts);
  mirrorkit::Abort abort;
  mirrorkit::Options options;
  options.abort = &abort;
  CHECK(encoder.encode(texts, options) == expected);
  abort.set();
  CHECK(status_of([&] { encoder.encode(texts, options); }) == MIRRORKIT_ABORTED);
  CHECK(status_of([&] { encoder.token_counts(texts, options); }) == MIRRORKIT_ABORTED);
  CHECK(encoder.encode(texts) == expected);
  abort.reset();
  CHECK(encoder.encode(texts, options) == expected);

  // Far more than can be done until the abort: what has not been reached is as it was.
  const std::vector<std::int32_t> longest(encoder.max_length(), 1);
  const std::vector<std::vector<std::int32_t>> many(20'000, longest);
  std::vector<const std::int32_t*> rows;
  for (const auto& row : many) rows.push_back(row.data());
  const std::vector<std::size_t> lengths(many.size(), longest.size());
  std::vector<float> vectors(many.size() * encoder.dim(), std::numeric_limits<float>::quiet_NaN());
  mirrorkit_options raw = mirrorkit_default_options();
  raw.abort = abort.get();
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    abort.set();
  });
  CHECK(mirrorkit_encode_ids(encoder.get(), &raw, rows.data(), lengths.data(), rows.size(), vectors.data(),
                             vectors.size()) == MIRRORKIT_ABORTED);
  CHECK(std::strcmp(mirrorkit_last_error(), "aborted") == 0);
  other.join();
  CHECK(std::count_if(vectors.begin(), vectors.end(), [](float value) { return std::isnan(value); }) > 0);
  abort.reset();
  CHECK(encoder.encode(texts, options) == expected);
  mirrorkit_abort_set(nullptr);
  mirrorkit_abort_reset(nullptr);
  mirrorkit_abort_free(nullptr);
  CHECK(mirrorkit_abort_create(nullptr) == MIRRORKIT_INVALID_ARGUMENT);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 5) return 2;
  mirrorkit::Params params;
  params.onnxruntime = argv[3];
  params.variant = argv[4];
  params.threads = 1;
  test_sources(argv[1], argv[2], params);
  test_callbacks(argv[1], params);
  test_settings(argv[1], params);
  test_environment(argv[1], params);
  const mirrorkit::Encoder encoder(argv[2], params);
  test_ids(encoder);
  test_cut(encoder);
  test_abort(encoder);
  if (failures == 0) std::puts("ok");
  return failures == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
