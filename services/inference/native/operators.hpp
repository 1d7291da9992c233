#pragma once
#include <vector>

#include "onnxruntime_c_api.h"

namespace penstock {

std::vector<const OrtCustomOp*> attention_operators();
std::vector<const OrtCustomOp*> linear_operators();

}  // namespace penstock
