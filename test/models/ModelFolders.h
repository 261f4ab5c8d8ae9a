// Model folders that tests make: small configurations of both dialects and weights of zeros.
#ifndef LEVIN_TEST_MODELS_MODELFOLDERS_H
#define LEVIN_TEST_MODELS_MODELFOLDERS_H

#include "models/Import.h"
#include "models/minimax/Config.h"
#include "runtime/base/Json.h"
#include "runtime/weights/Safetensors.h"

#include <string>
#include <vector>

namespace levin::test {

/// A configuration of two layers in the dialect of the transformers library.
Json transformersConfig();
/// The same model in the dialect of the released weights.
Json text01Config();
/// The released geometry of MiniMax-Text-01, as its config.json states it.
Json releasedConfig();

/// Reads `config`, which must be good.
models::minimax::Config read(const Json &config);

/// A temporary folder that goes away with the object.
class Folder {
public:
  Folder();
  ~Folder();
  Folder(const Folder &) = delete;
  Folder &operator=(const Folder &) = delete;

  const std::string &path() const { return root; }
  void write(const std::string &name, const std::string &text) const;
  void writeConfig(const Json &config) const { write("config.json", config.dump()); }
  void remove(const std::string &name) const;

private:
  std::string root;
};

struct FakeTensor {
  std::string name;
  std::vector<uint64_t> shape;
  weights::DType dtype = weights::DType::F32;
};

/// All tensors that `config` needs, in `dtype`.
std::vector<FakeTensor> tensorsOf(const Json &config, weights::DType dtype = weights::DType::F32);
/// Writes tensors of zeros.
void writeWeights(const Folder &folder, const std::string &name,
                  const std::vector<FakeTensor> &tensors);
/// An index that places every tensor in `file`.
std::string indexText(const std::vector<FakeTensor> &tensors, const std::string &file);

/// Imports or checks `folder` and returns the failure.
Status importStatus(const Folder &folder, models::ImportOptions options = {});

} // namespace levin::test

#endif // LEVIN_TEST_MODELS_MODELFOLDERS_H
