// The arithmetic in bf16, compiled as that in int8 is, for processors that multiply such floats.
#include "kernels.hpp"
#include "vectors.hpp"
#if defined(__AMX_BF16__)
#define MIRRORKIT_TILES _tile_dpbf16ps
using TileSum = float;
#include "tiles.hpp"
#endif

namespace mk::ops {
namespace {

using Kind = Bf16;
using Sums = Floats;

inline Sums start(const Matrix<Bf16>&, std::size_t) { return Sums{}; }

// sums + products of the two values in `pair` and two for each lane at `weights`.
inline Sums dot(Sums sums, std::uint32_t pair, const std::uint16_t* weights) {
  const __m512i row = _mm512_set1_epi32(static_cast<int>(pair)), by = _mm512_loadu_si512(weights);
  return (Sums)_mm512_dpbf16_ps((__m512)sums, (__m512bh)row, (__m512bh)by);
}

inline void put(Floats x, const Bf16::Scaling&, std::size_t, std::uint16_t* out) {
  const __m256bh narrowed = _mm512_cvtneps_pbh((__m512)x);
  std::memcpy(out, &narrowed, sizeof narrowed);
}

}  // namespace
}  // namespace mk::ops

#include "arithmetic.hpp"
