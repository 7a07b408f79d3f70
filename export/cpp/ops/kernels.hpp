// The arithmetic of an encoder layer in int8 and in bf16, compiled once for each kind of processor. All arrays are of
// the caller.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mk::ops {

constexpr std::size_t panel = 64;  // columns of a matrix that are packed and multiplied together

constexpr std::size_t rounded_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

// Bytes: those of the rows have no sign, those of the matrix have one.
struct Int8 {
  static constexpr const char* name = "int8";
  using Value = std::uint8_t;  // of what is multiplied
  using Weight = std::int8_t;  // of the matrix that it is multiplied by
  using Start = std::int32_t;

  // How floats become bytes: by[i] * x[i] + zero, rounded to the nearest, to even of two, and cut to 0..255.
  struct Scaling {
    const float* by;
    float zero;
  };
};

// Floats of 16 bits, the upper ones of 32, rounded to the nearest, to even of two; their products are summed in fp32.
struct Bf16 {
  static constexpr const char* name = "bf16";
  using Value = std::uint16_t;
  using Weight = std::uint16_t;
  using Start = float;

  struct Scaling {};  // floats become such as they are
};

template <typename Kind>
constexpr std::size_t together = 4 / sizeof(typename Kind::Value);  // values in 32 bits, which are multiplied at once

// A matrix [rows, columns]. Panel after panel; in each, for every `together` rows, the values of each column together.
// What fills up the last panel is zero.
template <typename Kind>
struct Matrix {
  const typename Kind::Weight* packed;
  const typename Kind::Start* start;  // [columns, filled up]: of a sum, so that the zero point is off it; bf16: null
  const float* scale;                 // [columns, filled up]: of the sum
  const float* bias;                  // [columns, filled up]
  std::size_t groups;                 // rows / together, rounded up
  std::size_t panels;

  std::size_t width() const { return panels * panel; }
};

// Queries, keys and values of the tokens of one text, side by side in rows `step` apart, `hidden` columns each.
// Queries are scaled by log2(e) as well, so that weights are powers of two.
struct Projected {
  const float* rows;
  std::size_t step, length, hidden;
};

// Steps between rows count values.
template <typename Kind>
struct Kernels {
  using Value = typename Kind::Value;
  using Scaling = typename Kind::Scaling;

  const char* name;

  // `n` is a multiple of 16 in these two. out = x as it is multiplied.
  void (*narrow)(const float* x, const Scaling& scaling, std::size_t n, Value* out);
  // x += residual, and normalized by its mean and variance to out; x and out may be the same.
  void (*add_norm)(float* x, const float* residual, const float* gamma, const float* beta, float epsilon, std::size_t n,
                   float* out);

  // Panels first..last of out [rows, width], of rows that are `step` apart.
  void (*linear)(const Matrix<Kind>& by, const Value* rows, std::size_t step, std::size_t count, std::size_t first,
                 std::size_t last, float* out);
  // The same through Gelu, and as it is multiplied next [rows, width].
  void (*linear_gelu)(const Matrix<Kind>& by, const Value* rows, std::size_t step, std::size_t count,
                      std::size_t first, std::size_t last, const Scaling& scaling, Value* out);

  // Attention of the head of `size` channels that begins at channel `from`: the same channels of `out`, in rows `step`
  // apart. `scratch` holds attention_scratch(length, size) floats.
  void (*attention)(const Projected& text, std::size_t from, std::size_t size, const Scaling& scaling, Value* out,
                    std::size_t step, float* scratch);
};

constexpr std::size_t attention_scratch(std::size_t length, std::size_t size) {
  return (size + 16) * rounded_up(length, 16);
}

// The best that this processor runs. Throws std::invalid_argument where it has none, or not the one that is named.
template <typename Kind>
const Kernels<Kind>& kernels();

}  // namespace mk::ops
