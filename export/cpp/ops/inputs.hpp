// The inputs of mirrorkit::EncoderLayer, in order: tokens, mask, for each of four products seven constants, two norms.
#pragma once

#include <onnxruntime_c_api.h>

#include <array>
#include <cstddef>

namespace mk::ops {

constexpr const char* domain_name = "mirrorkit";
constexpr const char* operator_name = "EncoderLayer";

enum : std::size_t { x_input, mask_input, first_product };
enum : std::size_t {  // of a product
  weight_input,
  weight_scale_input,
  weight_zero_input,
  bias_input,
  factors_input,  // what the input is multiplied by first, a number for each row of the weight; one number: by nothing
  scale_input,
  zero_input,
  product_inputs
};
constexpr std::size_t products = 4;  // to queries, keys and values; of the attention; up; down
constexpr std::size_t first_norm = first_product + products * product_inputs;

struct Input {
  const char* name;
  ONNXTensorElementDataType type;
};

constexpr std::array<Input, first_norm + 4> inputs = [] {
  constexpr auto floats = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  std::array<Input, first_norm + 4> all = {};
  all[x_input] = {"x", floats};
  all[mask_input] = {"mask", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32};
  for (std::size_t i = first_product; i < first_norm; i += product_inputs) {
    all[i + weight_input] = {"weight", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8};
    all[i + weight_scale_input] = {"weight_scale", floats};
    all[i + weight_zero_input] = {"weight_zero", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8};
    all[i + bias_input] = {"bias", floats};
    all[i + factors_input] = {"factors", floats};
    all[i + scale_input] = {"scale", floats};
    all[i + zero_input] = {"zero", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8};
  }
  all[first_norm] = {"first_gamma", floats};
  all[first_norm + 1] = {"first_beta", floats};
  all[first_norm + 2] = {"second_gamma", floats};
  all[first_norm + 3] = {"second_beta", floats};
  return all;
}();

}  // namespace mk::ops
