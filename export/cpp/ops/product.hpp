// A matrix of a layer as a graph has it, and packed as the processor wants it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

#include "kernels.hpp"

namespace mk::ops {

// What goes into a product, of either kind.
template <typename Kind>
struct Given;

// With a matrix of bytes, as QuantizeLinear and DequantizeLinear have it.
template <>
struct Given<Int8> {
  const std::int8_t* weight;  // [rows, columns]
  const float* weight_scale;  // [columns]
  const float* bias;          // [columns]
  const float* factors;       // [rows], what the input is multiplied by first, or null
  float scale;                // of the input
  std::uint8_t zero;          // the byte that stands for 0 there
  std::size_t rows, columns;
};

// With a matrix of floats, which may lie in several side by side.
template <>
struct Given<Bf16> {
  std::array<const float*, 3> weights;  // `parts` of [rows, columns / parts]
  std::size_t parts;
  const float* bias;  // [columns]
  std::size_t rows, columns;
};

// Throws std::invalid_argument where `fits` is false.
void require(bool fits, const char* what);

// A product made ready: weights as the processor wants them, and what its input is narrowed by.
template <typename Kind>
class Product {
 public:
  // The first `stretched` columns of the result come out multiplied by `stretch`.
  explicit Product(const Given<Kind>& from, std::size_t stretched = 0, float stretch = 1);

  const Matrix<Kind>& matrix() const { return matrix_; }
  typename Kind::Scaling scaling() const {
    if constexpr (std::is_same_v<Kind, Int8>) {
      return {by_.data(), zero_};
    } else {
      return {};
    }
  }
  std::size_t step() const { return together<Kind> * matrix_.groups; }  // between rows of values

 private:
  using Weight = typename Kind::Weight;

  void measure(const Given<Kind>& from);
  void pack(const Given<Kind>& from);
  Weight& place(std::size_t row, std::size_t column) {
    constexpr std::size_t some = together<Kind>;
    const std::size_t group = (column / panel * matrix_.groups + row / some) * panel + column % panel;
    return packed_[group * some + row % some];
  }

  struct Free {
    void operator()(Weight* weights) const { ::operator delete[](weights, std::align_val_t{64}); }
  };
  std::unique_ptr<Weight[], Free> packed_;
  std::vector<typename Kind::Start> start_;
  std::vector<float> scale_, bias_, by_;  // `by_` and `zero_` are of bytes alone
  float zero_ = 0;
  Matrix<Kind> matrix_;
};

}  // namespace mk::ops
