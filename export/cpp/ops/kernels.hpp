// The arithmetic of an int8 encoder layer, compiled once for each kind of processor. All arrays are of the caller.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mk::ops {

constexpr std::size_t panel = 64;  // columns of a matrix that are packed and multiplied together

constexpr std::size_t rounded_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

// A matrix [rows, columns] of bytes with sign, which bytes without sign are multiplied by. Panel after panel; in each,
// for every four rows, the four bytes of each column together. What fills up the last panel is zero.
struct Matrix {
  const std::int8_t* packed;
  const std::int32_t* start;  // [columns, filled up]: what a sum begins with, so that the zero point is off it
  const float* scale;         // [columns, filled up]: of the sum
  const float* bias;          // [columns, filled up]
  std::size_t fours;          // rows / 4, rounded up
  std::size_t panels;

  std::size_t width() const { return panels * panel; }
};

// How floats become bytes: by[i] * x[i] + zero, rounded to the nearest, to even of two, and cut to 0..255.
struct Scaling {
  const float* by;
  float zero;
};

// Queries, keys and values of the tokens of one text, side by side in rows `step` apart, `hidden` columns each.
// Queries are scaled by log2(e) as well, so that weights are powers of two.
struct Text {
  const float* rows;
  std::size_t step, length, hidden;
};

struct Kernels {
  const char* name;

  // `n` is a multiple of 16 in these two. out = bytes of x.
  void (*quantize)(const float* x, const Scaling& scaling, std::size_t n, std::uint8_t* out);
  // x += residual, and normalized by its mean and variance to out; x and out may be the same.
  void (*add_norm)(float* x, const float* residual, const float* gamma, const float* beta, float epsilon, std::size_t n,
                   float* out);

  // Panels first..last of out [rows, width], of rows of bytes that are `step` apart.
  void (*linear)(const Matrix& by, const std::uint8_t* rows, std::size_t step, std::size_t count, std::size_t first,
                 std::size_t last, float* out);
  // The same through Gelu, and to bytes [rows, width].
  void (*linear_gelu)(const Matrix& by, const std::uint8_t* rows, std::size_t step, std::size_t count,
                      std::size_t first, std::size_t last, const Scaling& scaling, std::uint8_t* out);

  // Attention of the head of `size` channels that begins at channel `from`: bytes of the same channels of `out`, in
  // rows `step` apart. `scratch` holds attention_scratch(length, size) floats.
  void (*attention)(const Text& text, std::size_t from, std::size_t size, const Scaling& scaling, std::uint8_t* out,
                    std::size_t step, float* scratch);
};

constexpr std::size_t attention_scratch(std::size_t length, std::size_t size) {
  return (size + 16) * rounded_up(length, 16);
}

// The best that this processor runs.
const Kernels& kernels();

}  // namespace mk::ops
