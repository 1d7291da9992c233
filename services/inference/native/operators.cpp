// The operators that ONNX Runtime finds in this library, all of the domain "penstock".
#include "operators.hpp"

#include "runtime.hpp"

namespace penstock {

const OrtApi* ort = nullptr;

namespace {

Tensor tensor_of(const OrtValue* value) {
  Tensor tensor{};
  check(ort->GetTensorMutableData(const_cast<OrtValue*>(value), const_cast<void**>(&tensor.data)));
  OrtTensorTypeAndShapeInfo* info = nullptr;
  check(ort->GetTensorTypeAndShape(value, &info));
  size_t rank = 0;
  OrtStatus* failed = ort->GetDimensionsCount(info, &rank);
  if (failed == nullptr) {
    tensor.dims.resize(rank);
    failed = ort->GetDimensions(info, tensor.dims.data(), rank);
  }
  ort->ReleaseTensorTypeAndShapeInfo(info);
  check(failed);
  return tensor;
}

}  // namespace

Tensor input(const OrtKernelContext* context, size_t index) {
  const OrtValue* value = nullptr;
  check(ort->KernelContext_GetInput(context, index, &value));
  return value == nullptr ? Tensor{} : tensor_of(value);
}

Tensor constant(const OrtKernelInfo* info, size_t index) {
  const OrtValue* value = nullptr;
  int is_constant = 0;
  check(ort->KernelInfoGetConstantInput_tensor(info, index, &is_constant, &value));
  return value == nullptr ? Tensor{} : tensor_of(value);
}

float* output(OrtKernelContext* context, const std::vector<int64_t>& dims) {
  OrtValue* value = nullptr;
  void* data = nullptr;
  check(ort->KernelContext_GetOutput(context, 0, dims.data(), dims.size(), &value));
  check(ort->GetTensorMutableData(value, &data));
  return static_cast<float*>(data);
}

int64_t attribute(const OrtKernelInfo* info, const char* name) {
  int64_t value = 0;
  check(ort->KernelInfoGetAttribute_int64(info, name, &value));
  return value;
}

}  // namespace penstock

// Found by its name in a library that `SessionOptions.register_custom_ops_library` loads.
extern "C" __attribute__((visibility("default"))) OrtStatus* RegisterCustomOps(OrtSessionOptions* options,
                                                                               const OrtApiBase* base) {
  using namespace penstock;
  ort = base->GetApi(ORT_API_VERSION);
  return guarded([&] {
    static OrtCustomOpDomain* domain = [] {
      OrtCustomOpDomain* made = nullptr;
      check(ort->CreateCustomOpDomain("penstock", &made));
      for (const auto& operators : {attention_operators(), linear_operators()})
        for (const OrtCustomOp* op : operators) check(ort->CustomOpDomain_Add(made, op));
      return made;
    }();
    check(ort->AddCustomOpDomain(options, domain));
  });
}
