#include <cstdlib>
#include <stdexcept>
#include <string>

#include "kernels.hpp"

namespace mk::ops {

extern const Kernels kernels_plain;
#if defined(__x86_64__)
extern const Kernels kernels_avx2, kernels_avx512_vnni;
#endif

namespace {

// What this processor runs, the best first; the list ends with null.
const Kernels* const* usable() {
  static const Kernels* found[4] = {};
  static const bool made = [] {
    std::size_t count = 0;
#if defined(__x86_64__)
    const auto has = [](auto... each) { return (each && ...); };
    __builtin_cpu_init();
    if (has(__builtin_cpu_supports("avx512f"), __builtin_cpu_supports("avx512bw"), __builtin_cpu_supports("avx512dq"),
            __builtin_cpu_supports("avx512vl"), __builtin_cpu_supports("avx512vnni"))) {
      found[count++] = &kernels_avx512_vnni;
    }
    if (has(__builtin_cpu_supports("avx2"), __builtin_cpu_supports("fma"))) found[count++] = &kernels_avx2;
#endif
    found[count] = &kernels_plain;
    return true;
  }();
  (void)made;
  return found;
}

}  // namespace

const Kernels& kernels() {
  const Kernels* const* best = usable();
  const char* named = std::getenv("MIRRORKIT_OPS_KERNELS");
  if (named == nullptr || *named == '\0') return **best;
  std::string all;
  for (; *best != nullptr; ++best) {
    if ((*best)->name == std::string(named)) return **best;
    all += (all.empty() ? "" : ", ") + std::string((*best)->name);
  }
  throw std::invalid_argument(std::string("MIRRORKIT_OPS_KERNELS ") + named + ": this processor has " + all);
}

}  // namespace mk::ops
