#include "runtime/base/Digest.h"

#include <openssl/evp.h>

#include <cassert>

namespace levin {

struct Sha256::Context {
  Context() : evp(EVP_MD_CTX_new()) {
    // Only a lack of memory can make these fail, and that ends the process anyway.
    [[maybe_unused]] int done = evp ? EVP_DigestInit_ex(evp, EVP_sha256(), nullptr) : 0;
    assert(done == 1 && "SHA-256 is always available");
  }
  ~Context() { EVP_MD_CTX_free(evp); }
  EVP_MD_CTX *evp;
};

Sha256::Sha256() : context(std::make_unique<Context>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256 &&) noexcept = default;
Sha256 &Sha256::operator=(Sha256 &&) noexcept = default;

void Sha256::update(const void *data, size_t length) {
  if (length != 0)
    EVP_DigestUpdate(context->evp, data, length);
}

Digest Sha256::finish() {
  Digest digest{};
  unsigned length = 0;
  EVP_DigestFinal_ex(context->evp, digest.data(), &length);
  EVP_DigestInit_ex(context->evp, EVP_sha256(), nullptr);
  return digest;
}

Digest sha256(const void *data, size_t length) {
  Sha256 hash;
  hash.update(data, length);
  return hash.finish();
}

std::string toHex(const Digest &digest) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * digest.size());
  for (uint8_t byte : digest) {
    hex += digits[byte >> 4];
    hex += digits[byte & 15];
  }
  return hex;
}

static int hexDigit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

std::optional<Digest> digestFromHex(std::string_view hex) {
  Digest digest{};
  if (hex.size() != 2 * digest.size())
    return std::nullopt;
  for (size_t i = 0; i < digest.size(); ++i) {
    int high = hexDigit(hex[2 * i]), low = hexDigit(hex[2 * i + 1]);
    if (high < 0 || low < 0)
      return std::nullopt;
    digest[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return digest;
}

} // namespace levin
