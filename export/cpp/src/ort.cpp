#include "ort.hpp"

#include <dlfcn.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <utility>

#include "error.hpp"
#include "graph_paths.hpp"
#include "native.hpp"

namespace mk {
namespace {

constexpr std::uint32_t api_version = 17;  // the oldest with all that is used here; newer releases still offer it
static_assert(ORT_API_VERSION >= api_version, "the headers of ONNX Runtime 1.17 or later are needed");

constexpr std::array<const char*, 2> input_names = {"input_ids", "attention_mask"};
constexpr const char* output_name = "sentence_embedding";

using GetApiBase = const OrtApiBase*(ORT_API_CALL*)();

GetApiBase entry_point(const std::string& library) {
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw Error(Status::not_found, std::string("ONNX Runtime: ") + dlerror());
  auto* found = reinterpret_cast<GetApiBase>(dlsym(handle, "OrtGetApiBase"));
  if (found == nullptr) throw Error(Status::not_found, library + ": has no OrtGetApiBase, so it is not ONNX Runtime");
  return found;
}

// From release 1.29 on ONNX Runtime would report the machine and the program to its makers. Unless the user has set the
// variable, that is off; it is read when the library is loaded or its environment made.
void keep_quiet() { setenv("ORT_DISABLE_TELEMETRY", "1", 0); }

GetApiBase find_entry_point(const std::string& library) {
  keep_quiet();
  if (!library.empty()) return entry_point(library);
  if (const char* named = std::getenv("MIRRORKIT_ONNXRUNTIME"); named != nullptr && *named != '\0')
    return entry_point(named);
#ifdef MIRRORKIT_LINKED_ONNXRUNTIME
  return OrtGetApiBase;
#else
#ifdef __APPLE__
  constexpr const char* usual[] = {"libonnxruntime.dylib"};
#else
  constexpr const char* usual[] = {"libonnxruntime.so.1", "libonnxruntime.so"};
#endif
  std::string problems;
  for (const char* name : usual) {
    try {
      return entry_point(name);
    } catch (const Error& error) {
      problems += std::string(problems.empty() ? "" : "; ") + error.what();
    }
  }
  throw Error(Status::not_found, problems + "; give its path, or set MIRRORKIT_ONNXRUNTIME to it");
#endif
}

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

}  // namespace

OnnxRuntime::OnnxRuntime(const std::string& library) {
  const OrtApiBase* base = find_entry_point(library)();
  version_ = base->GetVersionString();
  api_ = base->GetApi(api_version);
  if (api_ == nullptr) unsupported("ONNX Runtime " + version_ + ": too old, 1.17 or later is needed");
}

void OnnxRuntime::check(OrtStatus* status, const std::string& what) const {
  if (status == nullptr) return;
  const std::string message = api_->GetErrorMessage(status);
  api_->ReleaseStatus(status);
  throw Error(Status::runtime_error,
              what + ": " + message.substr(0, message.find('\n')) + " (ONNX Runtime " + version_ + ")");
}

Session::Session(const std::filesystem::path& graph, std::size_t dim, const SessionOptions& settings, const Log& log)
    : runtime_(settings.library), graph_(graph.string()), dim_(dim) {
  const OrtApi& api = runtime_.api();
  const auto check = [&](OrtStatus* status) { runtime_.check(status, graph_); };

  check_graph_paths(graph);
  OrtEnv* env = nullptr;
  check(api.CreateEnv(ORT_LOGGING_LEVEL_FATAL, "mirrorkit", &env));
  env_ = {env, api.ReleaseEnv};
  OrtMemoryInfo* memory = nullptr;
  check(api.CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  memory_ = {memory, api.ReleaseMemoryInfo};

  OrtSessionOptions* options = nullptr;
  check(api.CreateSessionOptions(&options));
  const Owned<OrtSessionOptions> owned = {options, api.ReleaseSessionOptions};
  check(api.SetIntraOpNumThreads(options, settings.threads));
  check(api.SetInterOpNumThreads(options, 1));
  const auto [key, value] = spinning(runtime_.version());
  check(api.AddSessionConfigEntry(options, key, value));
  check(api.DisableMemPattern(options));  // it plans memory per shape, and here every batch has another
  if (settings.low_memory) check(api.DisableCpuMemArena(options));
  check(api.SetSessionLogSeverityLevel(options, ORT_LOGGING_LEVEL_WARNING));
  check(api.SetUserLoggingFunction(options, forward_log, const_cast<Log*>(&log)));

  OrtSession* session = nullptr;
  if (const auto native = rewritten(graph, log)) {
    const std::string folder = graph.parent_path().string();
    check(api.RegisterCustomOpsLibrary_V2(options, native->library.c_str()));
    check(api.AddSessionConfigEntry(options, "session.model_external_initializers_file_folder_path",
                                    folder.empty() ? "." : folder.c_str()));
    check(api.CreateSessionFromArray(env, native->graph.data(), native->graph.size(), options, &session));
  } else {
    check(api.CreateSession(env, graph.c_str(), options, &session));
  }
  session_ = {session, api.ReleaseSession};
  check_signature();
}

void Session::check_signature() const {
  const OrtApi& api = runtime_.api();
  OrtAllocator* allocator = nullptr;
  runtime_.check(api.GetAllocatorWithDefaultOptions(&allocator), graph_);
  const auto names = [&](auto count_of, auto name_of) {
    std::size_t count = 0;
    runtime_.check(count_of(session_.get(), &count), graph_);
    std::set<std::string> result;
    for (std::size_t i = 0; i < count; ++i) {
      char* name = nullptr;
      runtime_.check(name_of(session_.get(), i, allocator, &name), graph_);
      result.insert(name);
      runtime_.check(api.AllocatorFree(allocator, name), graph_);
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
  runtime_.check(runtime_.api().CreateTensorWithDataAsOrtValue(
                     memory_.get(), data.data(), data.size() * sizeof(std::int64_t), shape.data(), shape.size(),
                     ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, &value),
                 graph_);
  return {value, runtime_.api().ReleaseValue};
}

void Session::check_output(const OrtValue* value, const Batch& batch) const {
  const OrtApi& api = runtime_.api();
  OrtTensorTypeAndShapeInfo* info = nullptr;
  runtime_.check(api.GetTensorTypeAndShape(value, &info), graph_);
  const Owned<OrtTensorTypeAndShapeInfo> owned = {info, api.ReleaseTensorTypeAndShapeInfo};
  ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  std::size_t rank = 0;
  runtime_.check(api.GetTensorElementType(info, &type), graph_);
  runtime_.check(api.GetDimensionsCount(info, &rank), graph_);
  std::vector<std::int64_t> shape(rank);
  runtime_.check(api.GetDimensions(info, shape.data(), rank), graph_);
  if (type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT ||
      shape != std::vector<std::int64_t>{batch.rows, static_cast<std::int64_t>(dim_)}) {
    bad_bundle(graph_ + ": its vectors are not " + std::to_string(dim_) + " floats each, as mirrorkit.json says");
  }
}

void Session::run(Batch& batch, const std::function<void(const float*)>& use) const {
  const OrtApi& api = runtime_.api();
  const Owned<OrtValue> ids = tensor(batch.ids, batch), mask = tensor(batch.mask, batch);
  const std::array<const OrtValue*, 2> inputs = {ids.get(), mask.get()};
  OrtValue* output = nullptr;
  OrtStatus* status =
      api.Run(session_.get(), nullptr, input_names.data(), inputs.data(), inputs.size(), &output_name, 1, &output);
  const Owned<OrtValue> owned = {output, api.ReleaseValue};
  runtime_.check(status, graph_);
  check_output(output, batch);
  float* vectors = nullptr;
  runtime_.check(api.GetTensorMutableData(output, reinterpret_cast<void**>(&vectors)), graph_);
  use(vectors);
}

}  // namespace mk
