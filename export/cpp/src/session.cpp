#include "session.hpp"

#include <array>
#include <atomic>
#include <cstdio>
#include <set>
#include <string>
#include <utility>

#include "error.hpp"
#include "graph_paths.hpp"
#include "native.hpp"

namespace fs = std::filesystem;

namespace mk {
namespace {

constexpr std::array<const char*, 2> input_names = {"input_ids", "attention_mask"};
constexpr const char* output_name = "sentence_embedding";

void ORT_API_CALL forward_log(void* user, OrtLoggingLevel severity, const char*, const char*, const char*,
                              const char* message) {
  const LogLevel level = severity >= ORT_LOGGING_LEVEL_ERROR     ? LogLevel::error
                         : severity == ORT_LOGGING_LEVEL_WARNING ? LogLevel::warning
                                                                 : LogLevel::info;
  (*static_cast<const Log*>(user))(level, std::string("ONNX Runtime: ") + message);
}

// Idle threads spin from one operator to the next and no longer: to be woken at each operator is a third of a short
// text's time, but a thread that spins on takes the core from whoever else needs it. Before 1.26 the time is fixed and
// long, so that there they sleep.
std::pair<const char*, const char*> spinning(const std::string& version) {
  int major = 0, minor = 0;
  std::sscanf(version.c_str(), "%d.%d", &major, &minor);
  const bool timed = major > 1 || (major == 1 && minor >= 26);
  return timed ? std::pair{"session.intra_op.spin_duration_us", "20"}
               : std::pair{"session.intra_op.allow_spinning", "0"};
}

// The pointers that ONNX Runtime takes settings by.
struct Pointers {
  explicit Pointers(const Settings& settings) {
    for (const auto& [key, value] : settings) {
      keys.push_back(key.c_str());
      values.push_back(value.c_str());
    }
  }
  std::vector<const char*> keys, values;
};

std::string folder_of(const std::string& file) {
  const std::size_t end = file.rfind('/');
  return end == std::string::npos ? "" : file.substr(0, end + 1);
}

}  // namespace

Session::Session(const Graph& graph, std::size_t dim, const SessionOptions& settings, const Log& log)
    : runtime_(settings.library, static_cast<const OrtApiBase*>(settings.api_base)),
      graph_(graph.file.name),
      dim_(dim) {
  const OrtApi& api = runtime_.api();
  env_ = settings.env != nullptr ? std::shared_ptr<OrtEnv>(static_cast<OrtEnv*>(settings.env), [](OrtEnv*) {})
                                 : runtime_.environment();
  OrtMemoryInfo* memory = nullptr;
  check(api.CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  memory_ = {memory, api.ReleaseMemoryInfo};

  OrtSessionOptions* options = nullptr;
  check(api.CreateSessionOptions(&options));
  const Owned<OrtSessionOptions> owned = {options, api.ReleaseSessionOptions};
  set_options(options, settings, log);
  const fs::path& path = graph.file.path;
  if (path.empty()) {
    add_weights(options, graph);
  } else {
    check_graph_paths(path);
  }
  OrtSession* session = nullptr;
  if (const auto native = settings.provider == "CPU" ? rewritten(graph.file, log) : std::nullopt) {
    check(api.RegisterCustomOpsLibrary_V2(options, native->library.c_str()));
    if (!path.empty()) {
      const std::string folder = fs::absolute(path).parent_path().u8string();
      check(api.AddSessionConfigEntry(options, "session.model_external_initializers_file_folder_path", folder.c_str()));
    }
    check(api.CreateSessionFromArray(env_.get(), native->graph.data(), native->graph.size(), options, &session));
  } else if (path.empty()) {
    const std::string_view bytes = graph.file.content.bytes;
    check(api.CreateSessionFromArray(env_.get(), bytes.data(), bytes.size(), options, &session));
  } else {
    check(api.CreateSession(env_.get(), path.c_str(), options, &session));
  }
  session_ = {session, api.ReleaseSession};
  check_signature();
}

void Session::check(OrtStatus* status) const { runtime_.check(status, graph_); }

void Session::set_options(OrtSessionOptions* options, const SessionOptions& settings, const Log& log) const {
  const OrtApi& api = runtime_.api();
  check(api.SetIntraOpNumThreads(options, settings.threads));
  check(api.SetInterOpNumThreads(options, 1));
  const auto [key, value] = spinning(runtime_.version());
  check(api.AddSessionConfigEntry(options, key, value));
  check(api.DisableMemPattern(options));  // it plans memory per shape, and here every batch has another
  if (settings.low_memory) check(api.DisableCpuMemArena(options));
  check(api.SetSessionLogSeverityLevel(options, ORT_LOGGING_LEVEL_WARNING));
  check(api.SetUserLoggingFunction(options, forward_log, const_cast<Log*>(&log)));
  for (const auto& [name, chosen] : settings.entries) {
    check(api.AddSessionConfigEntry(options, name.c_str(), chosen.c_str()));
  }
  // last, so that nobody has bytes taken for ONNX Runtime's own format, which is not looked through here
  check(api.AddSessionConfigEntry(options, "session.load_model_format", "ONNX"));
  add_provider(options, settings);
}

void Session::add_provider(OrtSessionOptions* options, const SessionOptions& settings) const {
  const OrtApi& api = runtime_.api();
  const Pointers pairs(settings.provider_options);
  const char *const *keys = pairs.keys.data(), *const *values = pairs.values.data();
  const std::size_t count = pairs.keys.size();
  if (settings.provider == "CUDA") {
    OrtCUDAProviderOptionsV2* cuda = nullptr;
    check(api.CreateCUDAProviderOptions(&cuda));
    const Owned<OrtCUDAProviderOptionsV2> owned = {cuda, api.ReleaseCUDAProviderOptions};
    check(api.UpdateCUDAProviderOptions(cuda, keys, values, count));
    check(api.SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda));
  } else if (settings.provider == "TensorRT") {
    OrtTensorRTProviderOptionsV2* tensorrt = nullptr;
    check(api.CreateTensorRTProviderOptions(&tensorrt));
    const Owned<OrtTensorRTProviderOptionsV2> owned = {tensorrt, api.ReleaseTensorRTProviderOptions};
    check(api.UpdateTensorRTProviderOptions(tensorrt, keys, values, count));
    check(api.SessionOptionsAppendExecutionProvider_TensorRT_V2(options, tensorrt));
  } else if (settings.provider != "CPU") {
    check(api.SessionOptionsAppendExecutionProvider(options, settings.provider.c_str(), keys, values, count));
  }
}

// Hands over the files that the weights of a graph in memory are in, by the names that the graph calls them.
void Session::add_weights(OrtSessionOptions* options, const Graph& graph) {
  std::vector<std::basic_string<ORTCHAR_T>> names;
  std::vector<const ORTCHAR_T*> pointers;
  std::vector<char*> buffers;
  std::vector<std::size_t> sizes;
  for (const std::string& location : graph_locations(graph.file.content.bytes, graph_)) {
    const auto found = graph.weights.find(folder_of(graph.relative) + location);
    if (found == graph.weights.end()) {
      bad_bundle(graph_ + ": has weights in a file that is not among the data_files of its variant");
    }
    names.push_back(std::filesystem::u8path(location).native());
    buffers.push_back(const_cast<char*>(found->second.content.bytes.data()));  // only ever read
    sizes.push_back(found->second.content.bytes.size());
    weights_.push_back(found->second.content.keeper);
  }
  if (names.empty()) return;
  for (const auto& name : names) pointers.push_back(name.c_str());
  check(runtime_.api_for_memory().AddExternalInitializersFromFilesInMemory(options, pointers.data(), buffers.data(),
                                                                            sizes.data(), names.size()));
}

void Session::check_signature() const {
  const OrtApi& api = runtime_.api();
  OrtAllocator* allocator = nullptr;
  check(api.GetAllocatorWithDefaultOptions(&allocator));
  const auto names = [&](auto count_of, auto name_of) {
    std::size_t count = 0;
    check(count_of(session_.get(), &count));
    std::set<std::string> result;
    for (std::size_t i = 0; i < count; ++i) {
      char* name = nullptr;
      check(name_of(session_.get(), i, allocator, &name));
      result.insert(name);
      check(api.AllocatorFree(allocator, name));
    }
    return result;
  };
  const std::set<std::string> inputs = names(api.SessionGetInputCount, api.SessionGetInputName);
  if (inputs != std::set<std::string>(input_names.begin(), input_names.end())) {
    std::string listed;
    for (const std::string& input : inputs) listed += (listed.empty() ? "" : ", ") + input;
    bad_bundle(graph_ + ": takes " + listed + "; it must take input_ids and attention_mask");
  }
  if (names(api.SessionGetOutputCount, api.SessionGetOutputName).count(output_name) == 0) {
    bad_bundle(graph_ + ": has no output " + output_name);
  }
}

Session::Owned<OrtValue> Session::tensor(std::vector<std::int64_t>& data, const Batch& batch) const {
  const std::array<std::int64_t, 2> shape = {batch.rows, batch.width};
  OrtValue* value = nullptr;
  check(runtime_.api().CreateTensorWithDataAsOrtValue(memory_.get(), data.data(), data.size() * sizeof(std::int64_t),
                                                      shape.data(), shape.size(), ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
                                                      &value));
  return {value, runtime_.api().ReleaseValue};
}

void Session::check_output(const OrtValue* value, const Batch& batch) const {
  const OrtApi& api = runtime_.api();
  OrtTensorTypeAndShapeInfo* info = nullptr;
  check(api.GetTensorTypeAndShape(value, &info));
  const Owned<OrtTensorTypeAndShapeInfo> owned = {info, api.ReleaseTensorTypeAndShapeInfo};
  ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  std::size_t rank = 0;
  check(api.GetTensorElementType(info, &type));
  check(api.GetDimensionsCount(info, &rank));
  std::vector<std::int64_t> shape(rank);
  check(api.GetDimensions(info, shape.data(), rank));
  if (type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT ||
      shape != std::vector<std::int64_t>{batch.rows, static_cast<std::int64_t>(dim_)}) {
    bad_bundle(graph_ + ": its vectors are not " + std::to_string(dim_) + " floats each, as mirrorkit.json says");
  }
}

void Session::run(Batch& batch, Abort* abort, const std::function<void(const float*)>& use) const {
  const OrtApi& api = runtime_.api();
  const Owned<OrtValue> ids = tensor(batch.ids, batch), mask = tensor(batch.mask, batch);
  const std::array<const OrtValue*, 2> inputs = {ids.get(), mask.get()};
  OrtRunOptions* options = nullptr;
  check(api.CreateRunOptions(&options));
  const Owned<OrtRunOptions> owned_options = {options, api.ReleaseRunOptions};
  std::atomic<bool> stopped = false;
  std::optional<Abort::Watch> watch;
  if (abort != nullptr) {
    watch.emplace(*abort, [&] {
      stopped = true;
      if (OrtStatus* status = api.RunOptionsSetTerminate(options)) api.ReleaseStatus(status);
    });
  }
  OrtValue* output = nullptr;
  OrtStatus* status =
      api.Run(session_.get(), options, input_names.data(), inputs.data(), inputs.size(), &output_name, 1, &output);
  const Owned<OrtValue> owned = {output, api.ReleaseValue};
  if (status != nullptr && stopped) {
    api.ReleaseStatus(status);
    throw Error(Status::aborted, "aborted");
  }
  check(status);
  check_output(output, batch);
  float* vectors = nullptr;
  check(api.GetTensorMutableData(output, reinterpret_cast<void**>(&vectors)));
  use(vectors);
}

}  // namespace mk
