// ONNX Runtime, found at run time, and one graph opened by it.
#pragma once

#ifdef __MINGW32__  // the header expects these of Microsoft's compiler
#ifndef _stdcall
#define _stdcall __stdcall
#endif
#ifndef _Return_type_success_
#define _Return_type_success_(condition)
#endif
#endif
#include <onnxruntime_c_api.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace mk {

enum class LogLevel { info, warning, error };

using Log = std::function<void(LogLevel, const std::string&)>;

class OnnxRuntime {
 public:
  // `library` is the path of libonnxruntime; empty: MIRRORKIT_ONNXRUNTIME, the linked one, the loader's search path.
  // The library stays loaded to the end of the process.
  explicit OnnxRuntime(const std::string& library);

  const OrtApi& api() const { return *api_; }
  const std::string& version() const { return version_; }

  // Throws what ONNX Runtime says, and frees the status.
  void check(OrtStatus* status, const std::string& what) const;

 private:
  const OrtApi* api_;
  std::string version_;
};

// Ids and mask of one batch, row by row, and its size.
struct Batch {
  std::vector<std::int64_t> ids, mask;
  std::int64_t rows, width;
};

struct SessionOptions {
  std::string library;  // as for OnnxRuntime
  int threads;          // 0 leaves their number to ONNX Runtime
  bool low_memory;      // keep no memory from one run for the next
};

class Session {
 public:
  // `log` must outlive the session.
  Session(const std::filesystem::path& graph, std::size_t dim, const SessionOptions& settings, const Log& log);

  const std::string& version() const { return runtime_.version(); }

  // Calls use(vectors), where `vectors` holds batch.rows × dim floats until it returns.
  void run(Batch& batch, const std::function<void(const float*)>& use) const;

 private:
  template <typename T>
  using Owned = std::unique_ptr<T, std::function<void(T*)>>;

  void check_signature() const;
  void check_output(const OrtValue* value, const Batch& batch) const;
  Owned<OrtValue> tensor(std::vector<std::int64_t>& data, const Batch& batch) const;

  OnnxRuntime runtime_;
  std::string graph_;
  std::size_t dim_;
  Owned<OrtEnv> env_;
  Owned<OrtMemoryInfo> memory_;
  Owned<OrtSession> session_;
};

}  // namespace mk
