#include "native.hpp"

#include <memory>

#include "../ops/ops.h"
#include "error.hpp"
#include "platform.hpp"

namespace mk {
namespace {

constexpr const char* variable = "MIRRORKIT_OPS";
constexpr const char* precision = "int8";  // what a variant of a bundle is in, and not what is asked for
constexpr std::uintmax_t largest = 1 << 24;  // bytes of a graph whose weights lie in another file, as fused ones' do

template <typename Function>
Function* function(const std::string& library, const char* name) {
  try {
    return reinterpret_cast<Function*>(symbol_in(library, name));
  } catch (const Error& error) {
    throw Error(error.status(), std::string(variable) + " " + library + ": is not a libmirrorkit_ops (" + error.what() + ")");
  }
}

}  // namespace

std::optional<Rewritten> rewritten(const File& graph, const Log& log) {
  const auto named = environment(variable);
  if (!named || graph.size() > largest) return std::nullopt;
  const std::string& library = *named;
  auto* const abi = function<decltype(mirrorkit_ops_abi)>(library, "mirrorkit_ops_abi");
  auto* const kernels = function<decltype(mirrorkit_ops_kernels)>(library, "mirrorkit_ops_kernels");
  auto* const rewrite = function<decltype(mirrorkit_ops_rewrite)>(library, "mirrorkit_ops_rewrite");
  auto* const release = function<decltype(mirrorkit_ops_free)>(library, "mirrorkit_ops_free");
  if (abi() != MIRRORKIT_OPS_ABI)
    unsupported(std::string(variable) + " " + library + ": is of another release; build it anew");
  if (kernels(precision) == nullptr)
    unsupported("MIRRORKIT_OPS_KERNELS names instructions that this processor lacks");
  const std::string source = graph.text();
  void* out = nullptr;
  std::size_t size = 0;
  const int layers = rewrite(source.data(), source.size(), precision, &out, &size);
  const std::unique_ptr<void, decltype(release)> owned = {out, release};
  if (layers < 0) bad_bundle(graph.name + ": not a readable ONNX file");
  if (layers == 0) {
    log(LogLevel::info, graph.name + ": " + variable + " finds no encoder layer in it");
    return std::nullopt;
  }
  log(LogLevel::info,
      graph.name + ": " + std::to_string(layers) + " encoder layers run by " + library + " (" + kernels(precision) +
          ")");
  return Rewritten{std::string(static_cast<const char*>(out), size), std::filesystem::u8path(library)};
}

}  // namespace mk
