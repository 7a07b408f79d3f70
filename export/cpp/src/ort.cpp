#include "ort.hpp"

#include <map>
#include <mutex>
#include <string>

#include "error.hpp"
#include "platform.hpp"

namespace mk {
namespace {

// The oldest with all that is used here, and with what weights in memory need; newer releases still offer both.
constexpr std::uint32_t api_version = 17, memory_api_version = 18;
static_assert(ORT_API_VERSION >= memory_api_version, "the headers of ONNX Runtime 1.18 or later are needed");

using GetApiBase = const OrtApiBase*(ORT_API_CALL*)();

GetApiBase entry_point(const std::string& library) {
  try {
    return reinterpret_cast<GetApiBase>(symbol_in(library, "OrtGetApiBase"));
  } catch (const Error& error) {
    throw Error(error.status(), std::string("ONNX Runtime: ") + error.what());
  }
}

// From release 1.29 on ONNX Runtime would report the machine and the program to its makers. Unless the user has set the
// variable, that is off; it is read when the library is loaded or its environment made.
void keep_quiet() { set_default_environment("ORT_DISABLE_TELEMETRY", "1"); }

GetApiBase find_entry_point(const std::string& library) {
  keep_quiet();
  if (!library.empty()) return entry_point(library);
  if (const auto named = environment("MIRRORKIT_ONNXRUNTIME")) return entry_point(*named);
#ifdef MIRRORKIT_LINKED_ONNXRUNTIME
  return OrtGetApiBase;
#else
#if defined(_WIN32)
  constexpr const char* usual[] = {"onnxruntime.dll"};
#elif defined(__APPLE__)
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

}  // namespace

OnnxRuntime::OnnxRuntime(const std::string& library, const OrtApiBase* base)
    : base_(base != nullptr ? base : find_entry_point(library)()) {
  version_ = base_->GetVersionString();
  api_ = base_->GetApi(api_version);
  if (api_ == nullptr) unsupported("ONNX Runtime " + version_ + ": too old, 1.17 or later is needed");
}

const OrtApi& OnnxRuntime::api_for_memory() const {
  const OrtApi* api = base_->GetApi(memory_api_version);
  if (api == nullptr) {
    unsupported("ONNX Runtime " + version_ + ": too old for weights that are in memory, 1.18 or later is needed");
  }
  return *api;
}

std::shared_ptr<OrtEnv> OnnxRuntime::environment() const {
  static std::mutex mutex;
  // never destroyed: encoders may outlive static objects
  static auto* const made = new std::map<const OrtApi*, std::weak_ptr<OrtEnv>>();
  const std::lock_guard<std::mutex> lock(mutex);
  std::shared_ptr<OrtEnv> env = (*made)[api_].lock();
  if (env == nullptr) {
    OrtEnv* fresh = nullptr;
    check(api_->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "mirrorkit", &fresh), "ONNX Runtime");
    env.reset(fresh, api_->ReleaseEnv);
    (*made)[api_] = env;
  }
  return env;
}

void OnnxRuntime::check(OrtStatus* status, const std::string& what) const {
  if (status == nullptr) return;
  const std::string message = api_->GetErrorMessage(status);
  api_->ReleaseStatus(status);
  throw Error(Status::runtime_error,
              what + ": " + message.substr(0, message.find('\n')) + " (ONNX Runtime " + version_ + ")");
}

}  // namespace mk
