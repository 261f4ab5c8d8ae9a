// SHA-256, as the artifact uses it for its manifest, segments and weight files.
#ifndef LEVIN_RUNTIME_BASE_DIGEST_H
#define LEVIN_RUNTIME_BASE_DIGEST_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace levin {

using Digest = std::array<uint8_t, 32>;

/// SHA-256 of bytes that arrive in pieces.
class Sha256 {
public:
  Sha256();
  ~Sha256();
  Sha256(Sha256 &&) noexcept;
  Sha256 &operator=(Sha256 &&) noexcept;

  void update(const void *data, size_t length);
  void update(std::string_view bytes) { update(bytes.data(), bytes.size()); }
  /// The digest of all bytes so far; the object then starts anew.
  Digest finish();

private:
  struct Context;
  std::unique_ptr<Context> context;
};

/// SHA-256 of `length` bytes at `data`.
Digest sha256(const void *data, size_t length);
inline Digest sha256(std::string_view bytes) { return sha256(bytes.data(), bytes.size()); }

/// 64 lower-case hexadecimal digits.
std::string toHex(const Digest &digest);
/// The digest that 64 hexadecimal digits (of either case) spell, or nothing.
std::optional<Digest> digestFromHex(std::string_view hex);

} // namespace levin

#endif // LEVIN_RUNTIME_BASE_DIGEST_H
