// What our operators need of ONNX Runtime's C interface.
#pragma once
#include <cstdint>
#include <exception>
#include <vector>

#include "onnxruntime_c_api.h"

namespace penstock {

extern const OrtApi* ort;  // there once the library is registered

// A status that is an error, thrown through our own frames only.
struct Failure {
  OrtStatus* status;
};

inline void check(OrtStatus* status) {
  if (status != nullptr) throw Failure{status};
}

inline void require(bool holds, const char* otherwise) {
  if (!holds) throw Failure{ort->CreateStatus(ORT_INVALID_ARGUMENT, otherwise)};
}

struct Tensor {
  const void* data;
  std::vector<int64_t> dims;

  int64_t size() const {
    int64_t product = 1;
    for (const int64_t dim : dims) product *= dim;
    return product;
  }
};

// Give an input, or one that is a constant. Where there is none, its data are null.
Tensor input(const OrtKernelContext* context, size_t index);
Tensor constant(const OrtKernelInfo* info, size_t index);

float* output(OrtKernelContext* context, const std::vector<int64_t>& dims);

int64_t attribute(const OrtKernelInfo* info, const char* name);

// Call `part` with each number below `parts`, on the threads of the session. These take so many batches of them, in
// order, one after the other: several each, so that none waits long for one whose core has other things to do.
template <typename Part>
void parallel(const OrtKernelContext* context, int parts, int batches, const Part& part) {
  if (batches <= 1) {
    for (int i = 0; i < parts; ++i) part(i);
    return;
  }
  const auto call = [](void* body, size_t index) { (*static_cast<const Part*>(body))(static_cast<int>(index)); };
  check(ort->KernelContext_ParallelFor(context, call, parts, batches, const_cast<Part*>(&part)));
}

// What a callback of the runtime does: ours may throw, its may not.
template <typename Body>
OrtStatus* guarded(Body body) {
  try {
    body();
    return nullptr;
  } catch (const Failure& failure) {
    return failure.status;
  } catch (const std::exception& error) {
    return ort->CreateStatus(ORT_RUNTIME_EXCEPTION, error.what());
  }
}

// The table of callbacks by which the runtime knows an operator: a class with `kName`, `kInputs`, `input_type(index)`,
// `is_optional(index)`, a constructor that reads attributes, and `compute(context)`. Its one output is of single
// floats.
template <typename Operator>
const OrtCustomOp* described() {
  static const OrtCustomOp op = [] {
    OrtCustomOp op{};
    op.version = ORT_API_VERSION;
    op.GetName = [](const OrtCustomOp*) { return Operator::kName; };
    op.GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };
    op.GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return Operator::kInputs; };
    op.GetInputType = [](const OrtCustomOp*, size_t index) { return Operator::input_type(index); };
    op.GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
    op.GetOutputType = [](const OrtCustomOp*, size_t) { return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; };
    op.GetInputCharacteristic = [](const OrtCustomOp*, size_t index) {
      return Operator::is_optional(index) ? INPUT_OUTPUT_OPTIONAL : INPUT_OUTPUT_REQUIRED;
    };
    op.GetOutputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_REQUIRED; };
    op.GetInputMemoryType = [](const OrtCustomOp*, size_t) { return OrtMemTypeDefault; };
    op.GetStartVersion = [](const OrtCustomOp*) { return 1; };
    op.GetEndVersion = [](const OrtCustomOp*) { return 1; };
    op.CreateKernelV2 = [](const OrtCustomOp*, const OrtApi*, const OrtKernelInfo* info, void** kernel) {
      return guarded([&] { *kernel = new Operator(info); });
    };
    op.KernelComputeV2 = [](void* kernel, OrtKernelContext* context) {
      return guarded([&] { static_cast<const Operator*>(kernel)->compute(context); });
    };
    op.KernelDestroy = [](void* kernel) { delete static_cast<Operator*>(kernel); };
    return op;
  }();
  return &op;
}

}  // namespace penstock
