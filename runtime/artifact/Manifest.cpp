#include "runtime/artifact/Manifest.h"

#include <fmt/format.h>

namespace levin::artifact {

uint64_t byteSize(DType type) {
  switch (type) {
  case DType::I1:
  case DType::I8:
  case DType::U8:
  case DType::F8E4M3:
    return 1;
  case DType::I16:
  case DType::F16:
  case DType::BF16:
    return 2;
  case DType::I32:
  case DType::F32:
    return 4;
  case DType::I64:
  case DType::U64:
  case DType::F64:
    return 8;
  case DType::Invalid:
    break;
  }
  return 0;
}

const char *nameOf(DType type) {
  static constexpr const char *names[] = {"invalid", "i1",  "i8",   "ui8", "i16", "i32",     "i64",
                                          "ui64",    "f16", "bf16", "f32", "f64", "f8E4M3FN"};
  return type <= DType::F8E4M3 ? names[static_cast<size_t>(type)] : names[0];
}

const char *nameOf(ArenaKind kind) {
  static constexpr const char *names[] = {"invalid", "parameters", "state", "workspace"};
  return kind <= ArenaKind::Workspace ? names[static_cast<size_t>(kind)] : names[0];
}

const char *nameOf(Role role) {
  static constexpr const char *names[] = {"invalid", "none", "ids",   "starts", "slots",
                                          "past",    "rows", "state", "logits", "pages"};
  return role <= Role::Pages ? names[static_cast<size_t>(role)] : names[0];
}

uint64_t byteSize(const TensorType &type) {
  uint64_t bytes = byteSize(type.dtype);
  for (uint64_t extent : type.shape)
    bytes *= extent;
  return bytes;
}

std::string textOf(const TensorType &type) {
  std::string text;
  for (uint64_t extent : type.shape)
    text += fmt::format("{}x", extent);
  return text + nameOf(type.dtype);
}

uint64_t featuresInUse(const Manifest &manifest) {
  uint64_t features = manifest.weightFiles.empty() ? 0 : ExternalWeights;
  for (const Executable &executable : manifest.executables)
    for (const Variant &variant : executable.variants)
      features |= variant.kind == CodeKind::HostElf ? HostCode : CudaCode;
  return features;
}

} // namespace levin::artifact
