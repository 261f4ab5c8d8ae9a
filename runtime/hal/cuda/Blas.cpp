#include "runtime/hal/cuda/Blas.h"

#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

namespace levin::hal::cuda {

// Names and values are those of cublasLt.h, cublas_api.h and library_types.h.
namespace {
struct Heuristic {
  uint64_t algorithm[8];
  size_t workspaceSize;
  int state;
  float wavesCount;
  int reserved[4];
};
constexpr int computeFloat32 = 68, operationT = 1;
constexpr int descTransA = 3, preferenceMaxWorkspaceBytes = 1;
constexpr int realFloat32 = 0, realFloat16 = 2, realBfloat16 = 14;
} // namespace

struct Blas::Api {
  int (*cublasLtCreate)(void **) = nullptr;
  int (*cublasLtDestroy)(void *) = nullptr;
  int (*cublasLtMatmulDescCreate)(void **, int, int) = nullptr;
  int (*cublasLtMatmulDescDestroy)(void *) = nullptr;
  int (*cublasLtMatmulDescSetAttribute)(void *, int, const void *, size_t) = nullptr;
  int (*cublasLtMatrixLayoutCreate)(void **, int, uint64_t, uint64_t, int64_t) = nullptr;
  int (*cublasLtMatrixLayoutDestroy)(void *) = nullptr;
  int (*cublasLtMatmulPreferenceCreate)(void **) = nullptr;
  int (*cublasLtMatmulPreferenceDestroy)(void *) = nullptr;
  int (*cublasLtMatmulPreferenceSetAttribute)(void *, int, const void *, size_t) = nullptr;
  int (*cublasLtMatmulAlgoGetHeuristic)(void *, void *, void *, void *, void *, void *, void *, int,
                                        void *, int *) = nullptr; // a Heuristic
  int (*cublasLtMatmul)(void *, void *, const void *, const void *, void *, const void *, void *,
                        const void *, const void *, void *, void *, void *, const void *, void *,
                        size_t, CUstream) = nullptr;
};

static Status missing(std::string have) {
  return makeError(ErrorCode::GpuLibrary, "a library that the artifact's products need cannot be "
                                          "used")
      .note("have", std::move(have))
      .note("need", "libcublasLt.so.13 or libcublasLt.so.12")
      .note("fix", "install cuBLAS (package libcublas), or add its folder to LD_LIBRARY_PATH");
}

Blas::Blas() : api(std::make_unique<Api>()) {}

Blas::~Blas() {
  if (handle && !device->isAbandoned() && device->activate().ok())
    api->cublasLtDestroy(handle);
}

Status Blas::check(int code, const char *call) const {
  if (code == 0)
    return {};
  return makeError(ErrorCode::GpuCall, "{} failed", call)
      .note("have", fmt::format("cuBLAS status {}", code));
}

Result<std::shared_ptr<const Blas>> Blas::open(std::shared_ptr<Device> device) {
  std::shared_ptr<Blas> blas(new Blas);
  blas->device = std::move(device);
  std::vector<std::string> names = {"libcublasLt.so.13", "libcublasLt.so.12"};
  if (const char *named = std::getenv("LEVIN_CUBLASLT"); named && *named)
    names = {named};
  std::string why;
  blas->library = Library::open(names, why);
  if (!blas->library.isOpen())
    return missing(why);
#define LEVIN_BLAS_FUNCTION(function)                                                              \
  blas->api->function =                                                                            \
      reinterpret_cast<decltype(blas->api->function)>(blas->library.find(#function));              \
  if (!blas->api->function)                                                                        \
  return missing(fmt::format("{} without {}", blas->library.name(), #function))
  LEVIN_BLAS_FUNCTION(cublasLtCreate);
  LEVIN_BLAS_FUNCTION(cublasLtDestroy);
  LEVIN_BLAS_FUNCTION(cublasLtMatmulDescCreate);
  LEVIN_BLAS_FUNCTION(cublasLtMatmulDescDestroy);
  LEVIN_BLAS_FUNCTION(cublasLtMatmulDescSetAttribute);
  LEVIN_BLAS_FUNCTION(cublasLtMatrixLayoutCreate);
  LEVIN_BLAS_FUNCTION(cublasLtMatrixLayoutDestroy);
  LEVIN_BLAS_FUNCTION(cublasLtMatmulPreferenceCreate);
  LEVIN_BLAS_FUNCTION(cublasLtMatmulPreferenceDestroy);
  LEVIN_BLAS_FUNCTION(cublasLtMatmulPreferenceSetAttribute);
  LEVIN_BLAS_FUNCTION(cublasLtMatmulAlgoGetHeuristic);
  LEVIN_BLAS_FUNCTION(cublasLtMatmul);
#undef LEVIN_BLAS_FUNCTION
  LEVIN_RETURN_IF_ERROR(blas->check(blas->api->cublasLtCreate(&blas->handle), "cublasLtCreate"));
  return std::shared_ptr<const Blas>(std::move(blas));
}

// --- Products ------------------------------------------------------------------------------------

PreparedProduct::~PreparedProduct() {
  for (void *layout : layouts)
    if (layout)
      blas->api->cublasLtMatrixLayoutDestroy(layout);
  if (description)
    blas->api->cublasLtMatmulDescDestroy(description);
}

void PreparedProduct::swap(PreparedProduct &other) {
  std::swap(blas, other.blas);
  std::swap(description, other.description);
  std::swap(layouts, other.layouts);
  std::swap(algorithm, other.algorithm);
  std::swap(weight, other.weight);
  std::swap(input, other.input);
  std::swap(output, other.output);
  std::swap(workspace, other.workspace);
}

PreparedProduct::PreparedProduct(PreparedProduct &&other) noexcept { swap(other); }

PreparedProduct &PreparedProduct::operator=(PreparedProduct &&other) noexcept {
  swap(other);
  return *this;
}

static std::optional<int> dataType(artifact::DType type) {
  switch (type) {
  case artifact::DType::F32:
    return realFloat32;
  case artifact::DType::F16:
    return realFloat16;
  case artifact::DType::BF16:
    return realBfloat16;
  default:
    return std::nullopt;
  }
}

Result<PreparedProduct> PreparedProduct::make(std::shared_ptr<const Blas> blas,
                                              const artifact::LibraryProduct &product,
                                              std::span<const CUdeviceptr> bindings,
                                              CUdeviceptr workspace) {
  auto weightType = dataType(product.weightType), inputType = dataType(product.inputType),
       outputType = dataType(product.outputType);
  bool known = weightType && inputType && outputType && *weightType == *inputType;
  if (!known || product.weight >= bindings.size() || product.input >= bindings.size() ||
      product.output >= bindings.size())
    return makeError(ErrorCode::ArtifactLaunch, "a product of the library is impossible")
        .note("have", fmt::format("{} by {} to {}", nameOf(product.inputType),
                                  nameOf(product.weightType), nameOf(product.outputType)))
        .note("need", "operands of one of f32, f16 and bf16, and bindings that are there");
  PreparedProduct out;
  out.blas = std::move(blas);
  out.weight = bindings[product.weight];
  out.input = bindings[product.input];
  out.output = bindings[product.output];
  out.workspace = workspace;
  const Blas &library = *out.blas;
  const Blas::Api &api = *library.api;
  // The library counts by columns: output^T[n, m] = (weight^T[k, n])^T input^T[k, m].
  LEVIN_RETURN_IF_ERROR(
      library.check(api.cublasLtMatmulDescCreate(&out.description, computeFloat32, realFloat32),
                    "cublasLtMatmulDescCreate"));
  LEVIN_RETURN_IF_ERROR(
      library.check(api.cublasLtMatmulDescSetAttribute(out.description, descTransA, &operationT,
                                                       sizeof(operationT)),
                    "cublasLtMatmulDescSetAttribute"));
  auto m = product.m, n = product.n, k = product.k;
  auto layout = [&](size_t which, int type, uint64_t rows, uint64_t columns) {
    return library.check(api.cublasLtMatrixLayoutCreate(&out.layouts[which], type, rows, columns,
                                                        static_cast<int64_t>(rows)),
                         "cublasLtMatrixLayoutCreate");
  };
  LEVIN_RETURN_IF_ERROR(layout(0, *weightType, k, n));
  LEVIN_RETURN_IF_ERROR(layout(1, *inputType, k, m));
  LEVIN_RETURN_IF_ERROR(layout(2, *outputType, n, m));

  void *preference = nullptr;
  LEVIN_RETURN_IF_ERROR(library.check(api.cublasLtMatmulPreferenceCreate(&preference),
                                      "cublasLtMatmulPreferenceCreate"));
  uint64_t room = workspace != 0 ? blasWorkspaceBytes : 0;
  int code = api.cublasLtMatmulPreferenceSetAttribute(preference, preferenceMaxWorkspaceBytes,
                                                      &room, sizeof(room));
  Heuristic found{};
  int count = 0;
  if (code == 0)
    code = api.cublasLtMatmulAlgoGetHeuristic(library.handle, out.description, out.layouts[0],
                                              out.layouts[1], out.layouts[2], out.layouts[2],
                                              preference, 1, &found, &count);
  api.cublasLtMatmulPreferenceDestroy(preference);
  LEVIN_RETURN_IF_ERROR(library.check(code, "cublasLtMatmulAlgoGetHeuristic"));
  if (count == 0)
    return makeError(ErrorCode::GpuCall, "cuBLASLt has no algorithm for a product")
        .note("have", fmt::format("[{}, {}] by [{}, {}] transposed, {}", m, k, n, k,
                                  nameOf(product.weightType)));
  std::copy(std::begin(found.algorithm), std::end(found.algorithm), out.algorithm.begin());
  return out;
}

Status PreparedProduct::enqueue(CUstream stream) const {
  float one = 1, zero = 0;
  auto pointer = [](CUdeviceptr address) {
    return reinterpret_cast<void *>(static_cast<uintptr_t>(address));
  };
  return blas->check(blas->api->cublasLtMatmul(blas->handle, description, &one, pointer(weight),
                                               layouts[0], pointer(input), layouts[1], &zero,
                                               pointer(output), layouts[2], pointer(output),
                                               layouts[2], algorithm.data(), pointer(workspace),
                                               workspace != 0 ? blasWorkspaceBytes : 0, stream),
                     "cublasLtMatmul");
}

} // namespace levin::hal::cuda
