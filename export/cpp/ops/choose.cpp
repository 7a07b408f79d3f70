#include <cstdlib>
#include <stdexcept>
#include <string>

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "kernels.hpp"

namespace mk::ops {

extern const Kernels kernels_plain;
#if defined(__x86_64__)
extern const Kernels kernels_avx2, kernels_avx512_vnni;
#if defined(__linux__)
extern const Kernels kernels_avx512_amx;
#endif
#endif

namespace {

#if defined(__x86_64__) && defined(__linux__)
// Whether this process may use AMX tiles of bytes: the processor has them, and the kernel, which must be asked, lets it.
bool has_tiles() {
  constexpr unsigned tiles_and_bytes = 3u << 24;  // of EDX of leaf 7
  constexpr long ask_for = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & tiles_and_bytes) != tiles_and_bytes) return false;
  return syscall(SYS_arch_prctl, ask_for, tile_data) == 0;
}
#endif

// What this processor runs, the best first; the list ends with null.
const Kernels* const* usable() {
  static const Kernels* found[5] = {};
  static const bool made = [] {
    std::size_t count = 0;
#if defined(__x86_64__)
    const auto has = [](auto... each) { return (each && ...); };
    __builtin_cpu_init();
    if (has(__builtin_cpu_supports("avx512f"), __builtin_cpu_supports("avx512bw"), __builtin_cpu_supports("avx512dq"),
            __builtin_cpu_supports("avx512vl"), __builtin_cpu_supports("avx512vnni"))) {
#if defined(__linux__)
      if (has_tiles()) found[count++] = &kernels_avx512_amx;
#endif
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
