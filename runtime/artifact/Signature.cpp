#include "runtime/artifact/Signature.h"

#include "runtime/base/File.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <memory>

namespace levin::artifact {

namespace {

constexpr uint64_t signatureBytes = 64;

struct Free {
  void operator()(BIO *bio) const { BIO_free(bio); }
  void operator()(EVP_PKEY *key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX *context) const { EVP_MD_CTX_free(context); }
};

Result<std::unique_ptr<EVP_PKEY, Free>> readKey(const std::string &path) {
  LEVIN_ASSIGN_OR_RETURN(std::string text, readFile(path, uint64_t(1) << 20));
  std::unique_ptr<BIO, Free> bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  std::unique_ptr<EVP_PKEY, Free> key(
      bio ? PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr) : nullptr);
  if (!key || EVP_PKEY_id(key.get()) != EVP_PKEY_ED25519)
    return makeError(ErrorCode::InputFile, "'{}' holds no Ed25519 public key", path)
        .note("have", key ? "a public key of another kind" : "no public key in PEM")
        .note("fix", "openssl pkey -in KEY.pem -pubout -out KEY.pub");
  return key;
}

} // namespace

Status checkSignature(std::span<const uint8_t> message, const std::string &signaturePath,
                      const std::string &keyPath) {
  LEVIN_ASSIGN_OR_RETURN(auto key, readKey(keyPath));
  auto file = readFile(signaturePath, signatureBytes, ErrorCode::ArtifactSignature);
  if (!file.ok())
    return file.takeStatus().note("need", "a signature, since one is required");
  if (file->size() != signatureBytes)
    return makeError(ErrorCode::ArtifactSignature, "'{}' is no Ed25519 signature", signaturePath)
        .note("have", fmt::format("{} bytes", file->size()))
        .note("need", fmt::format("{} bytes", signatureBytes));
  std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  bool valid =
      context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
      EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char *>(file->data()),
                       file->size(), message.data(), message.size()) == 1;
  if (valid)
    return {};
  return makeError(ErrorCode::ArtifactSignature, "the signature does not match the artifact")
      .note("have", fmt::format("the signature in '{}'", signaturePath))
      .note("need", fmt::format("one by the key '{}', of this very file", keyPath))
      .note("fix", "do not run the artifact unless you know where it comes from");
}

} // namespace levin::artifact
