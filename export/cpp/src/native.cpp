#include "native.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <memory>

#include "../ops/ops.h"
#include "bundle.hpp"
#include "error.hpp"

namespace mk {
namespace {

constexpr const char* variable = "MIRRORKIT_OPS";
constexpr std::uintmax_t largest = 1 << 24;  // bytes of a graph whose weights lie in another file, as fused ones' do

template <typename Function>
Function* function(void* library, const char* path, const char* name) {
  auto* found = reinterpret_cast<Function*>(dlsym(library, name));
  if (found == nullptr)
    throw Error(Status::not_found, std::string(variable) + " " + path + ": is not a libmirrorkit_ops");
  return found;
}

}  // namespace

std::optional<Rewritten> rewritten(const std::filesystem::path& graph, const Log& log) {
  const char* path = std::getenv(variable);
  std::error_code error;
  if (path == nullptr || *path == '\0' || std::filesystem::file_size(graph, error) > largest) return std::nullopt;
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw Error(Status::not_found, std::string(variable) + ": " + dlerror());
  auto* const abi = function<decltype(mirrorkit_ops_abi)>(library, path, "mirrorkit_ops_abi");
  auto* const kernels = function<decltype(mirrorkit_ops_kernels)>(library, path, "mirrorkit_ops_kernels");
  auto* const rewrite = function<decltype(mirrorkit_ops_rewrite)>(library, path, "mirrorkit_ops_rewrite");
  auto* const release = function<decltype(mirrorkit_ops_free)>(library, path, "mirrorkit_ops_free");
  if (abi() != MIRRORKIT_OPS_ABI)
    unsupported(std::string(variable) + " " + path + ": is of another release; build it anew");
  if (kernels() == nullptr)
    unsupported("MIRRORKIT_OPS_KERNELS names instructions that this processor lacks");
  const std::string source = read_file(graph);
  void* out = nullptr;
  std::size_t size = 0;
  const int layers = rewrite(source.data(), source.size(), &out, &size);
  const std::unique_ptr<void, decltype(release)> owned = {out, release};
  if (layers < 0) bad_bundle(graph.string() + ": not a readable ONNX file");
  if (layers == 0) {
    log(LogLevel::info, graph.filename().string() + ": " + variable + " finds no encoder layer in it");
    return std::nullopt;
  }
  log(LogLevel::info, graph.filename().string() + ": " + std::to_string(layers) + " encoder layers run by " + path +
                          " (" + kernels() + ")");
  return Rewritten{std::string(static_cast<const char*>(out), size), path};
}

}  // namespace mk
