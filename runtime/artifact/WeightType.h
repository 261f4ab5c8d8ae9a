// What the element types of weight files are called in an artifact.
#ifndef LEVIN_RUNTIME_ARTIFACT_WEIGHTTYPE_H
#define LEVIN_RUNTIME_ARTIFACT_WEIGHTTYPE_H

#include "runtime/artifact/Manifest.h"
#include "runtime/weights/DType.h"

namespace levin::artifact {

inline DType typeOf(weights::DType type) {
  switch (type) {
  case weights::DType::F64:
    return DType::F64;
  case weights::DType::F32:
    return DType::F32;
  case weights::DType::F16:
    return DType::F16;
  case weights::DType::BF16:
    return DType::BF16;
  case weights::DType::I64:
    return DType::I64;
  case weights::DType::I32:
    return DType::I32;
  case weights::DType::I16:
    return DType::I16;
  case weights::DType::I8:
    return DType::I8;
  case weights::DType::U8:
    return DType::U8;
  case weights::DType::BOOL:
    return DType::I1;
  }
  return DType::Invalid;
}

} // namespace levin::artifact

#endif // LEVIN_RUNTIME_ARTIFACT_WEIGHTTYPE_H
