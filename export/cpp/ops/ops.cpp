// The operators mirrorkit::EncoderLayer and mirrorkit::EncoderLayerBf16 as ONNX Runtime takes them.
#include "ops.h"

#include <onnxruntime_c_api.h>

#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "inputs.hpp"
#include "layer.hpp"

#if defined(_WIN32)
#define MIRRORKIT_EXPORT extern "C" __declspec(dllexport)
#else
#define MIRRORKIT_EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace mk::ops {
namespace {

constexpr std::uint32_t api_version = 17;  // the oldest with all that is used here; newer releases still offer it
static_assert(ORT_API_VERSION >= api_version, "the headers of ONNX Runtime 1.17 or later are needed");

constexpr ONNXTensorElementDataType floats = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;

class OrtError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

void check(const OrtApi& api, OrtStatus* status) {
  if (status == nullptr) return;
  const std::string message = api.GetErrorMessage(status);
  api.ReleaseStatus(status);
  throw OrtError(message);
}

// Calls work(); what it throws becomes a status.
template <typename Work>
OrtStatus* guarded(const OrtApi& api, Work&& work) noexcept {
  try {
    work();
    return nullptr;
  } catch (const std::invalid_argument& error) {
    return api.CreateStatus(ORT_INVALID_ARGUMENT, error.what());
  } catch (const std::exception& error) {
    return api.CreateStatus(ORT_FAIL, error.what());
  }
}

struct Tensor {
  std::vector<std::int64_t> shape;
  const void* data;
};

Tensor tensor_of(const OrtApi& api, const OrtValue* value, const char* name, ONNXTensorElementDataType wanted) {
  OrtTensorTypeAndShapeInfo* info = nullptr;
  check(api, api.GetTensorTypeAndShape(value, &info));
  const std::unique_ptr<OrtTensorTypeAndShapeInfo, decltype(api.ReleaseTensorTypeAndShapeInfo)> owned = {
      info, api.ReleaseTensorTypeAndShapeInfo};
  ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  check(api, api.GetTensorElementType(info, &type));
  if (type != wanted) throw std::invalid_argument(std::string("EncoderLayer: ") + name + " has another type");
  std::size_t rank = 0;
  check(api, api.GetDimensionsCount(info, &rank));
  Tensor found = {std::vector<std::int64_t>(rank), nullptr};
  check(api, api.GetDimensions(info, found.shape.data(), rank));
  void* data = nullptr;
  check(api, api.GetTensorMutableData(const_cast<OrtValue*>(value), &data));
  found.data = data;
  return found;
}

// The constants of a node.
class Constants {
 public:
  Constants(const OrtApi& api, const OrtKernelInfo* info, const Input* inputs)
      : api_(api), info_(info), inputs_(inputs) {}

  template <typename T>
  const T* get(std::size_t input, std::vector<std::size_t> shape) const {
    const Tensor found = tensor(input);
    const std::vector<std::int64_t> wanted(shape.begin(), shape.end());
    if (found.shape != wanted) bad(input, "has another shape");
    return static_cast<const T*>(found.data);
  }

  Tensor tensor(std::size_t input) const {
    int constant = 0;
    const OrtValue* value = nullptr;
    check(api_, api_.KernelInfoGetConstantInput_tensor(info_, input, &constant, &value));
    if (constant == 0 || value == nullptr) bad(input, "must be a constant");
    return tensor_of(api_, value, inputs_[input].name, inputs_[input].type);
  }

  [[noreturn]] void bad(std::size_t input, const char* what) const {
    throw std::invalid_argument(std::string("EncoderLayer: ") + inputs_[input].name + " " + what);
  }

 private:
  const OrtApi& api_;
  const OrtKernelInfo* info_;
  const Input* inputs_;
};

// Also sets the numbers of rows and columns of what is multiplied by.
template <typename Kind>
Tensor weight_of(const Constants& constants, std::size_t input, Given<Kind>& to) {
  const Tensor weight = constants.tensor(input);
  if (weight.shape.size() != 2) constants.bad(input, "must have two axes");
  to.rows = static_cast<std::size_t>(weight.shape[0]);
  to.columns = static_cast<std::size_t>(weight.shape[1]);
  return weight;
}

Given<Int8> given_int8(const Constants& constants, std::size_t number) {
  const std::size_t first = first_product + number * product_inputs;
  Given<Int8> found = {};
  const Tensor weight = weight_of(constants, first + weight_input, found);
  found.weight = static_cast<const std::int8_t*>(weight.data);
  found.weight_scale = constants.get<float>(first + weight_scale_input, {found.columns});
  const auto* zeros = constants.get<std::int8_t>(first + weight_zero_input, {found.columns});
  for (std::size_t i = 0; i < found.columns; ++i) {
    if (zeros[i] != 0) constants.bad(first + weight_zero_input, "must be all zero");
  }
  found.bias = constants.get<float>(first + bias_input, {found.columns});
  const Tensor factors = constants.tensor(first + factors_input);
  const bool one = factors.shape.empty() || factors.shape == std::vector<std::int64_t>{1};
  if (!one) found.factors = constants.get<float>(first + factors_input, {found.rows});
  found.scale = *constants.get<float>(first + scale_input, {});
  found.zero = *constants.get<std::uint8_t>(first + zero_input, {});
  return found;
}

Given<Bf16> given_bf16(const Constants& constants, std::size_t number) {
  const std::size_t parts = number == 0 ? parts_of_first : 1;
  const std::size_t first = first_product + (number == 0 ? 0 : parts_of_first + 1 + 2 * (number - 1));
  Given<Bf16> found = {};
  found.parts = parts;
  found.weights[0] = static_cast<const float*>(weight_of(constants, first, found).data);
  for (std::size_t i = 1; i < parts; ++i) {
    found.weights[i] = constants.get<float>(first + i, {found.rows, found.columns});
  }
  found.columns *= parts;
  found.bias = constants.get<float>(first + parts, {found.columns});
  return found;
}

// What differs between the operators.
template <typename Kind>
struct Operator;

template <>
struct Operator<Int8> {
  static constexpr const char* name = int8_operator;
  static constexpr const auto& inputs = inputs_of_int8;
  static constexpr auto given = given_int8;
};

template <>
struct Operator<Bf16> {
  static constexpr const char* name = bf16_operator;
  static constexpr const auto& inputs = inputs_of_bf16;
  static constexpr auto given = given_bf16;
};

template <typename Kind>
class Kernel {
 public:
  Kernel(const OrtApi& api, const OrtKernelInfo* info) : api_(api), layer_(parts(api, info)) {}

  const OrtApi& api() const { return api_; }

  void compute(OrtKernelContext* context) const {
    const OrtValue *x_value = nullptr, *mask_value = nullptr;
    check(api_, api_.KernelContext_GetInput(context, x_input, &x_value));
    check(api_, api_.KernelContext_GetInput(context, mask_input, &mask_value));
    const Tensor x = tensor_of(api_, x_value, "x", floats);
    const Tensor mask = tensor_of(api_, mask_value, "mask", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32);
    if (x.shape.size() != 3 || x.shape[2] != static_cast<std::int64_t>(layer_.hidden()) ||
        mask.shape != std::vector<std::int64_t>{x.shape[0], x.shape[1]}) {
      throw std::invalid_argument("EncoderLayer: x must be [batch, length, " + std::to_string(layer_.hidden()) +
                                  "] and mask [batch, length]");
    }
    OrtValue* out = nullptr;
    void* data = nullptr;
    check(api_, api_.KernelContext_GetOutput(context, 0, x.shape.data(), x.shape.size(), &out));
    check(api_, api_.GetTensorMutableData(out, &data));
    const Each each = [&](std::size_t count, const std::function<void(std::size_t)>& use) {
      const auto call = [](void* user, std::size_t i) {
        (*static_cast<const std::function<void(std::size_t)>*>(user))(i);
      };
      check(api_, api_.KernelContext_ParallelFor(context, call, count, 0,
                                                 const_cast<std::function<void(std::size_t)>*>(&use)));
    };
    layer_.run(static_cast<const float*>(x.data), static_cast<const std::int32_t*>(mask.data),
               static_cast<std::size_t>(x.shape[0]), static_cast<std::size_t>(x.shape[1]), static_cast<float*>(data),
               each);
  }

 private:
  static typename Layer<Kind>::Parts parts(const OrtApi& api, const OrtKernelInfo* info) {
    std::int64_t heads = 0;
    typename Layer<Kind>::Parts parts = {};
    check(api, api.KernelInfoGetAttribute_int64(info, "num_heads", &heads));
    check(api, api.KernelInfoGetAttribute_float(info, "scale", &parts.scale));
    check(api, api.KernelInfoGetAttribute_float(info, "epsilon", &parts.epsilon));
    constexpr const auto& inputs = Operator<Kind>::inputs;
    constexpr auto given = Operator<Kind>::given;
    constexpr std::size_t first_norm = inputs.size() - norm_inputs;
    const Constants constants(api, info, inputs.data());
    parts.heads = static_cast<std::size_t>(heads);
    parts.attention_in = given(constants, 0);
    parts.attention_out = given(constants, 1);
    parts.up = given(constants, 2);
    parts.down = given(constants, 3);
    parts.hidden = parts.attention_in.rows;
    const auto row = [&](std::size_t input) { return constants.get<float>(input, {parts.hidden}); };
    parts.first = {row(first_norm), row(first_norm + 1)};
    parts.second = {row(first_norm + 2), row(first_norm + 3)};
    return parts;
  }

  const OrtApi& api_;
  Layer<Kind> layer_;
};

// What ONNX Runtime asks of an operator; it hands over the structure that was registered, which knows the API as well.
template <typename Kind>
struct EncoderLayer : OrtCustomOp {
  explicit EncoderLayer(const OrtApi& of) : OrtCustomOp(), api(of) {
    version = api_version;
    GetName = [](const OrtCustomOp*) { return Operator<Kind>::name; };
    GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };
    GetInputType = [](const OrtCustomOp*, std::size_t i) { return Operator<Kind>::inputs[i].type; };
    GetInputTypeCount = [](const OrtCustomOp*) { return Operator<Kind>::inputs.size(); };
    GetOutputType = [](const OrtCustomOp*, std::size_t) { return floats; };
    GetOutputTypeCount = [](const OrtCustomOp*) { return std::size_t{1}; };
    GetInputCharacteristic = [](const OrtCustomOp*, std::size_t) { return INPUT_OUTPUT_REQUIRED; };
    GetOutputCharacteristic = [](const OrtCustomOp*, std::size_t) { return INPUT_OUTPUT_REQUIRED; };
    GetInputMemoryType = [](const OrtCustomOp*, std::size_t) { return OrtMemTypeDefault; };
    GetVariadicInputMinArity = [](const OrtCustomOp*) { return 0; };
    GetVariadicInputHomogeneity = [](const OrtCustomOp*) { return 0; };
    GetVariadicOutputMinArity = [](const OrtCustomOp*) { return 0; };
    GetVariadicOutputHomogeneity = [](const OrtCustomOp*) { return 0; };
    GetStartVersion = [](const OrtCustomOp*) { return 1; };
    GetEndVersion = [](const OrtCustomOp*) { return 1; };
    CreateKernelV2 = [](const OrtCustomOp* self, const OrtApi*, const OrtKernelInfo* info, void** kernel) {
      const OrtApi& found = static_cast<const EncoderLayer*>(self)->api;
      return guarded(found, [&] { *kernel = new Kernel<Kind>(found, info); });
    };
    KernelComputeV2 = [](void* kernel, OrtKernelContext* context) {
      const auto& found = *static_cast<Kernel<Kind>*>(kernel);
      return guarded(found.api(), [&] { found.compute(context); });
    };
    KernelDestroy = [](void* kernel) { delete static_cast<Kernel<Kind>*>(kernel); };
  }

  const OrtApi& api;
};

// The domain with the operators. Sessions may outlive whatever made them, so it is never freed; a process that has
// several copies of ONNX Runtime has one for each.
OrtCustomOpDomain* domain_for(const OrtApi& api) {
  struct Registered {
    explicit Registered(const OrtApi& api) : int8(api), bf16(api) {
      check(api, api.CreateCustomOpDomain(domain_name, &domain));
      check(api, api.CustomOpDomain_Add(domain, &int8));
      check(api, api.CustomOpDomain_Add(domain, &bf16));
    }
    EncoderLayer<Int8> int8;
    EncoderLayer<Bf16> bf16;
    OrtCustomOpDomain* domain = nullptr;
  };
  static auto& lock = *new std::mutex;
  static auto& all = *new std::map<const OrtApi*, std::unique_ptr<Registered>>;
  const std::lock_guard<std::mutex> held(lock);
  auto& found = all[&api];
  if (!found) found = std::make_unique<Registered>(api);
  return found->domain;
}

}  // namespace
}  // namespace mk::ops

MIRRORKIT_EXPORT int mirrorkit_ops_abi(void) { return MIRRORKIT_OPS_ABI; }

MIRRORKIT_EXPORT const char* mirrorkit_ops_kernels(const char* precision) {
  using namespace mk::ops;
  try {
    if (std::strcmp(precision, Int8::name) == 0) return kernels<Int8>().name;
    if (std::strcmp(precision, Bf16::name) == 0) return kernels<Bf16>().name;
    return nullptr;
  } catch (const std::exception&) {
    return nullptr;
  }
}

MIRRORKIT_EXPORT OrtStatus* ORT_API_CALL RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  const OrtApi* api = base->GetApi(mk::ops::api_version);
  if (api == nullptr) return nullptr;  // too old to be told so; the graph fails to load, for it lacks the operator
  return mk::ops::guarded(*api, [&] {
    mk::ops::check(*api, api->AddCustomOpDomain(options, mk::ops::domain_for(*api)));
  });
}
