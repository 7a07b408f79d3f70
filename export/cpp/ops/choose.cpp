#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "kernels.hpp"

namespace mk::ops {

extern const Kernels<Int8> kernels_plain;
#if defined(__x86_64__)
extern const Kernels<Int8> kernels_avx2, kernels_avx512_vnni;
extern const Kernels<Bf16> kernels_avx512_bf16;
#if defined(__linux__)
extern const Kernels<Int8> kernels_avx512_amx;
extern const Kernels<Bf16> kernels_avx512_amx_bf16;
#endif
#endif

namespace {

#if defined(__x86_64__) && defined(__linux__)
constexpr unsigned tiles = 1u << 24, tiles_of_bytes = 1u << 25, tiles_of_bf16 = 1u << 22;  // of EDX of leaf 7

// Whether this process may use AMX for such tiles: the processor has them, and the kernel, which must be asked, lets
// it.
bool has_tiles(unsigned kind) {
  constexpr long ask_for = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & tiles) == 0 || (d & kind) == 0) return false;
  return syscall(SYS_arch_prctl, ask_for, tile_data) == 0;
}
#endif

#if defined(__x86_64__)
// Whether it has all of AVX-512 that the arithmetic takes but for the products.
bool has_avx512() {
  const auto has = [](auto... each) { return (each && ...); };
  return has(__builtin_cpu_supports("avx512f"), __builtin_cpu_supports("avx512bw"), __builtin_cpu_supports("avx512dq"),
             __builtin_cpu_supports("avx512vl"));
}
#endif

template <typename Kind>
using Usable = std::vector<const Kernels<Kind>*>;

// What this processor runs, the best first.
void add_usable(Usable<Int8>& found) {
#if defined(__x86_64__)
  if (has_avx512() && __builtin_cpu_supports("avx512vnni")) {
#if defined(__linux__)
    if (has_tiles(tiles_of_bytes)) found.push_back(&kernels_avx512_amx);
#endif
    found.push_back(&kernels_avx512_vnni);
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(&kernels_avx2);
#endif
  found.push_back(&kernels_plain);
}

void add_usable([[maybe_unused]] Usable<Bf16>& found) {
#if defined(__x86_64__)
  if (!has_avx512() || !__builtin_cpu_supports("avx512bf16")) return;
#if defined(__linux__)
  if (has_tiles(tiles_of_bf16)) found.push_back(&kernels_avx512_amx_bf16);
#endif
  found.push_back(&kernels_avx512_bf16);
#endif
}

}  // namespace

template <typename Kind>
const Kernels<Kind>& kernels() {
  static const Usable<Kind> usable = [] {
    Usable<Kind> found;
#if defined(__x86_64__)
    __builtin_cpu_init();
#endif
    add_usable(found);
    return found;
  }();
  if (usable.empty()) throw std::invalid_argument("bf16: this processor has neither AMX nor AVX-512 for it");
  const char* named = std::getenv("MIRRORKIT_OPS_KERNELS");
  if (named == nullptr || *named == '\0') return *usable.front();
  std::string all;
  for (const auto* each : usable) {
    if (each->name == std::string(named)) return *each;
    all += (all.empty() ? "" : ", ") + std::string(each->name);
  }
  throw std::invalid_argument(std::string("MIRRORKIT_OPS_KERNELS ") + named + ": for " + Kind::name +
                              " this processor has " + all);
}

template const Kernels<Int8>& kernels<Int8>();
template const Kernels<Bf16>& kernels<Bf16>();

}  // namespace mk::ops
