#include "product.hpp"

#include <cstring>
#include <stdexcept>
#include <string>

namespace mk::ops {
namespace {

constexpr int largest_weight = 64;                  // see `dot` in kernels_int8.cpp
constexpr std::size_t most = std::size_t{1} << 20;  // rows or columns of a matrix

std::vector<float> filled_up(const float* from, std::size_t count, std::size_t to) {
  std::vector<float> result(from, from + count);
  result.resize(to);
  return result;
}

// The upper half of a float, rounded to the nearest, to even of two.
std::uint16_t narrowed(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (x != x) return static_cast<std::uint16_t>(bits >> 16 | 64);  // stays no number
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace

void require(bool fits, const char* what) {
  if (!fits) throw std::invalid_argument(std::string("EncoderLayer: ") + what);
}

template <typename Kind>
Product<Kind>::Product(const Given<Kind>& from, std::size_t stretched, float stretch) : matrix_() {
  require(from.rows > 0 && from.columns > 0 && from.rows <= most && from.columns <= most, "a matrix has no such size");
  matrix_.groups = (from.rows + together<Kind> - 1) / together<Kind>;
  matrix_.panels = (from.columns + panel - 1) / panel;
  bias_ = filled_up(from.bias, from.columns, matrix_.width());
  measure(from);
  for (std::size_t i = 0; i < stretched; ++i) {
    scale_[i] *= stretch;
    bias_[i] *= stretch;
  }
  const std::size_t size = matrix_.panels * matrix_.groups * panel * 4;
  packed_.reset(static_cast<Weight*>(::operator new[](size, std::align_val_t{64})));
  std::memset(packed_.get(), 0, size);
  pack(from);
  matrix_.packed = packed_.get();
  matrix_.start = start_.data();
  matrix_.scale = scale_.data();
  matrix_.bias = bias_.data();
}

template <>
void Product<Int8>::measure(const Given<Int8>& from) {
  require(from.scale > 0, "the scale of an input must be above 0");
  scale_ = filled_up(from.weight_scale, from.columns, matrix_.width());
  for (float& scale : scale_) scale *= from.scale;
  zero_ = from.zero;
  by_.assign(rounded_up(from.rows, panel), 0);  // as far as a product that gives these bytes is filled up
  for (std::size_t i = 0; i < from.rows; ++i) by_[i] = (from.factors ? from.factors[i] : 1) / from.scale;
}

template <>
void Product<Bf16>::measure(const Given<Bf16>&) {
  scale_.assign(matrix_.width(), 1);
}

template <>
void Product<Int8>::pack(const Given<Int8>& from) {
  start_.assign(matrix_.width(), 0);
  for (std::size_t row = 0; row < from.rows; ++row) {
    for (std::size_t column = 0; column < from.columns; ++column) {
      const int weight = from.weight[row * from.columns + column];
      require(-largest_weight <= weight && weight <= largest_weight, "weights must be within 64 to both sides");
      place(row, column) = static_cast<std::int8_t>(weight);
      start_[column] -= from.zero * weight;
    }
  }
}

template <>
void Product<Bf16>::pack(const Given<Bf16>& from) {
  const std::size_t across = from.columns / from.parts;
  for (std::size_t part = 0; part < from.parts; ++part) {
    const float* weight = from.weights[part];
    for (std::size_t row = 0; row < from.rows; ++row) {
      for (std::size_t i = 0; i < across; ++i) place(row, part * across + i) = narrowed(*weight++);
    }
  }
}

template class Product<Int8>;
template class Product<Bf16>;

}  // namespace mk::ops
