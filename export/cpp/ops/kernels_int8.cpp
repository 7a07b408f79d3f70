// The arithmetic in int8, compiled once for each kind of processor, see CMakeLists.txt; MIRRORKIT_KERNELS is the name
// of the table then.
#include "kernels.hpp"
#include "vectors.hpp"
#if defined(__AMX_INT8__)
#define MIRRORKIT_TILES _tile_dpbusd
using TileSum = std::int32_t;
#include "tiles.hpp"
#endif

namespace mk::ops {
namespace {

using Kind = Int8;
using Sums = Ints;

inline Sums start(const Matrix<Int8>& by, std::size_t column) { return load<Sums>(by.start + column); }

// sums + products of four bytes without sign, in `four`, and four with sign for each lane at `signs`. Some processors
// add such products in pairs of 16 bits, which saturate, so the latter must be within ±64.
inline Ints dot(Ints sums, std::uint32_t four, const std::int8_t* signs) {
#if defined(__AVX512VNNI__)
  const __m512i by = _mm512_loadu_si512(signs);
  return (Ints)_mm512_dpbusd_epi32((__m512i)sums, _mm512_set1_epi32(static_cast<int>(four)), by);
#elif defined(__AVX2__)
  const __m256i by = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(signs));
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi32(static_cast<int>(four)), by);
  return sums + (Ints)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#else
  std::uint8_t bytes[4];
  std::memcpy(bytes, &four, 4);
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    for (std::size_t i = 0; i < 4; ++i) sums[lane] += bytes[i] * signs[4 * lane + i];
  }
  return sums;
#endif
}

inline void put(Floats x, const Int8::Scaling& scaling, std::size_t column, std::uint8_t* out) {
  store(out, rounded(x * load<Floats>(scaling.by + column) + spread(scaling.zero)));
}

}  // namespace
}  // namespace mk::ops

#include "arithmetic.hpp"
