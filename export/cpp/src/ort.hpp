// ONNX Runtime, found at run time.
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

#include <memory>
#include <string>

namespace mk {

class OnnxRuntime {
 public:
  // `base` is what the caller's own OrtGetApiBase gives. Null: `library` is the path of libonnxruntime; empty:
  // MIRRORKIT_ONNXRUNTIME, the linked one, the loader's search path. It stays loaded to the end of the process.
  OnnxRuntime(const std::string& library, const OrtApiBase* base);

  const OrtApi& api() const { return *api_; }
  const OrtApi& api_for_memory() const;  // a later one, with what takes weights from memory; throws where it is missing
  const std::string& version() const { return version_; }

  // Returns the environment that all sessions of this process share.
  std::shared_ptr<OrtEnv> environment() const;

  // Throws what ONNX Runtime says, and frees the status.
  void check(OrtStatus* status, const std::string& what) const;

 private:
  const OrtApiBase* base_;
  const OrtApi* api_;
  std::string version_;
};

}  // namespace mk
