// One graph, opened by ONNX Runtime.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "abort.hpp"
#include "files.hpp"
#include "ort.hpp"

namespace mk {

enum class LogLevel { info, warning, error };

using Log = std::function<void(LogLevel, const std::string&)>;
using Settings = std::vector<std::pair<std::string, std::string>>;

// Ids and mask of one batch, row by row, and its size.
struct Batch {
  std::vector<std::int64_t> ids, mask;
  std::int64_t rows, width;
};

struct SessionOptions {
  std::string library;   // as for OnnxRuntime
  const void* api_base;  // the same; null: by `library`
  void* env;             // an OrtEnv of that one's; null: the one that all sessions share
  int threads;           // 0 leaves their number to ONNX Runtime
  bool low_memory;       // keep no memory from one run for the next
  std::string provider;  // CPU, CUDA, TensorRT, or another that ONNX Runtime knows by its name
  Settings provider_options, entries;
};

// A graph and the files that it may have weights in, by their paths in the bundle. Either all or none are in memory.
struct Graph {
  std::string relative;  // its own path in the bundle
  File file;
  std::map<std::string, File> weights;
};

class Session {
 public:
  // `log` must outlive the session.
  Session(const Graph& graph, std::size_t dim, const SessionOptions& settings, const Log& log);

  const std::string& version() const { return runtime_.version(); }

  // Calls use(vectors), where `vectors` holds batch.rows × dim floats until it returns. Throws where `abort`, which
  // may be null, is set before it is done.
  void run(Batch& batch, Abort* abort, const std::function<void(const float*)>& use) const;

 private:
  template <typename T>
  using Owned = std::unique_ptr<T, std::function<void(T*)>>;

  void check(OrtStatus* status) const;
  void set_options(OrtSessionOptions* options, const SessionOptions& settings, const Log& log) const;
  void add_provider(OrtSessionOptions* options, const SessionOptions& settings) const;
  void add_weights(OrtSessionOptions* options, const Graph& graph);
  void check_signature() const;
  void check_output(const OrtValue* value, const Batch& batch) const;
  Owned<OrtValue> tensor(std::vector<std::int64_t>& data, const Batch& batch) const;

  OnnxRuntime runtime_;
  std::string graph_;  // what errors call it
  std::size_t dim_;
  std::vector<std::shared_ptr<const void>> weights_;  // ONNX Runtime may go on reading them
  std::shared_ptr<OrtEnv> env_;
  Owned<OrtMemoryInfo> memory_;
  Owned<OrtSession> session_;
};

}  // namespace mk
