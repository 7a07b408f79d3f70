// Vectors as wide as those of the processor that a file is compiled for. All of it is local to that file: what the
// linker took from another one might have instructions that this processor lacks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr std::size_t lanes = 16;
#elif defined(__AVX2__)
constexpr std::size_t lanes = 8;
#else
constexpr std::size_t lanes = 4;
#endif

typedef float Floats __attribute__((vector_size(4 * lanes)));
typedef std::int32_t Ints __attribute__((vector_size(4 * lanes)));
typedef std::uint8_t Bytes __attribute__((vector_size(lanes)));

template <typename Vector, typename T>
inline Vector load(const T* from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <typename Vector, typename T>
inline void store(T* to, Vector v) {
  std::memcpy(to, &v, sizeof v);
}

template <std::size_t... I>
inline Floats spread(float x, std::index_sequence<I...>) {
  return Floats{((void)I, x)...};
}
inline Floats spread(float x) { return spread(x, std::make_index_sequence<lanes>()); }

// Of these two and of `rounded` compilers make ten times as many instructions, unless they are told which to take.
inline Floats larger(Floats a, Floats b) {
#if defined(__AVX512F__)
  return (Floats)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (Floats)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return a > b ? a : b;
#endif
}

inline Floats smaller(Floats a, Floats b) {
#if defined(__AVX512F__)
  return (Floats)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (Floats)_mm256_min_ps((__m256)a, (__m256)b);
#else
  return a < b ? a : b;
#endif
}

// Lane i of the result is lane i ^ `apart` of v.
template <std::size_t apart, std::size_t... I>
inline Floats swapped(Floats v, std::index_sequence<I...>) {
  return __builtin_shufflevector(v, v, static_cast<int>(I ^ apart)...);
}

template <std::size_t apart = lanes / 2>
inline float sum(Floats v) {
  v += swapped<apart>(v, std::make_index_sequence<lanes>());
  if constexpr (apart > 1) return sum<apart / 2>(v);
  return v[0];
}

// The nearest whole numbers, to even of two, cut to 0..255.
inline Bytes rounded(Floats v) {
  v = larger(v, Floats{});
#if defined(__AVX512F__)
  return (Bytes)_mm512_cvtusepi32_epi8(_mm512_cvtps_epi32((__m512)v));
#else
  constexpr float whole = 8388608.0f;  // from here on floats have no fractions
  v = smaller(v, spread(255.0f)) + spread(whole);
  const Ints bits = load<Ints>(&v);
#if defined(__AVX2__)
  const __m256i low = _mm256_and_si256((__m256i)bits, _mm256_set1_epi32(255));
  const __m128i pairs = _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
  const __m128i bytes = _mm_packus_epi16(pairs, pairs);
  return load<Bytes>(&bytes);
#else
  return __builtin_convertvector(bits, Bytes);
#endif
#endif
}

// 2 to the power of v, which is at most 0; within two units in the last place down to 2^-126, and that below.
inline Floats power_of_two(Floats v) {
  constexpr float nearest = 12582912.0f;  // 1.5 * 2^23: added, what is left of a number is the nearest whole one
  v = larger(v, spread(-126.0f));
  const Floats moved = v + spread(nearest);
  const Floats rest = v - (moved - spread(nearest));
  Floats p = spread(1.535336188319500e-4f);  // Cephes' exp2f
  p = p * rest + spread(1.339887440266574e-3f);
  p = p * rest + spread(9.618437357674640e-3f);
  p = p * rest + spread(5.550332471162809e-2f);
  p = p * rest + spread(2.402264791363012e-1f);
  p = p * rest + spread(6.931472028550421e-1f);
  p = p * rest + spread(1.0f);
  const Ints exponent = load<Ints>(&moved) << 23;
  const Ints raised = load<Ints>(&p) + exponent;
  return load<Floats>(&raised);
}

// One stage of a transposition: of lanes whose number has the bit `apart`, the upper row takes the lower row's.
template <std::size_t apart, std::size_t... I>
inline void exchange(Floats& upper, Floats& lower, std::index_sequence<I...>) {
  const Floats a = upper, b = lower;
  upper = __builtin_shufflevector(a, b, static_cast<int>((I & apart) ? lanes + (I ^ apart) : I)...);
  lower = __builtin_shufflevector(a, b, static_cast<int>((I & apart) ? lanes + I : (I ^ apart))...);
}

template <std::size_t apart = lanes / 2>
inline void transpose(Floats (&rows)[lanes]) {
#pragma GCC unroll 16
  for (std::size_t i = 0; i < lanes; ++i) {
    if ((i & apart) == 0) exchange<apart>(rows[i], rows[i + apart], std::make_index_sequence<lanes>());
  }
  if constexpr (apart > 1) transpose<apart / 2>(rows);
}

}  // namespace
