#include "tools/levin-run/Tensors.h"

#include "runtime/base/Checked.h"
#include "runtime/base/File.h"
#include "runtime/base/Half.h"
#include "runtime/weights/Safetensors.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

namespace levin::run {

namespace {
/// One element type and what it is called elsewhere.
struct TypeNames {
  levin_dtype dtype;
  const char *numpy;
  std::optional<weights::DType> stored;
};
} // namespace

static const TypeNames typeNames[] = {
    {LEVIN_I1, "|b1", weights::DType::BOOL}, {LEVIN_I8, "|i1", weights::DType::I8},
    {LEVIN_U8, "|u1", weights::DType::U8},   {LEVIN_I16, "<i2", weights::DType::I16},
    {LEVIN_I32, "<i4", weights::DType::I32}, {LEVIN_I64, "<i8", weights::DType::I64},
    {LEVIN_U64, "<u8", std::nullopt},        {LEVIN_F16, "<f2", weights::DType::F16},
    {LEVIN_BF16, "", weights::DType::BF16},  {LEVIN_F32, "<f4", weights::DType::F32},
    {LEVIN_F64, "<f8", weights::DType::F64}, {LEVIN_F8E4M3, "", std::nullopt}};

static const TypeNames &namesOf(levin_dtype dtype) {
  for (const TypeNames &names : typeNames)
    if (names.dtype == dtype)
      return names;
  return typeNames[0];
}

uint64_t Tensor::elements() const {
  uint64_t count = 1;
  for (uint64_t size : shape)
    count *= size;
  return count;
}

template <typename T> static double readAs(const std::byte *place) {
  T value;
  std::memcpy(&value, place, sizeof(T));
  return static_cast<double>(value);
}

/// The value of an f8E4M3FN: three bits of fraction, the exponent's bias is 7.
static double readFloat8(const std::byte *place) {
  auto bits = static_cast<unsigned>(*place);
  unsigned exponent = bits >> 3 & 15, fraction = bits & 7;
  double value = exponent == 0 ? std::ldexp(fraction, -9)
                               : std::ldexp(8 + fraction, static_cast<int>(exponent) - 10);
  if (exponent == 15 && fraction == 7)
    value = std::numeric_limits<double>::quiet_NaN();
  return bits & 0x80 ? -value : value;
}

double Tensor::at(uint64_t index) const {
  const std::byte *place = data.data() + index * levin_dtype_size(dtype);
  switch (dtype) {
  case LEVIN_I1:
  case LEVIN_U8:
    return readAs<uint8_t>(place);
  case LEVIN_I8:
    return readAs<int8_t>(place);
  case LEVIN_I16:
    return readAs<int16_t>(place);
  case LEVIN_I32:
    return readAs<int32_t>(place);
  case LEVIN_I64:
    return readAs<int64_t>(place);
  case LEVIN_U64:
    return readAs<uint64_t>(place);
  case LEVIN_F32:
    return readAs<float>(place);
  case LEVIN_F64:
    return readAs<double>(place);
  case LEVIN_F8E4M3:
    return readFloat8(place);
  case LEVIN_F16:
  case LEVIN_BF16:
    break;
  }
  uint16_t bits;
  std::memcpy(&bits, place, sizeof(bits));
  return static_cast<double>(dtype == LEVIN_F16 ? f16ToFloat(bits) : bf16ToFloat(bits));
}

std::string typeText(levin_dtype dtype, std::span<const uint64_t> shape) {
  return fmt::format("{}[{}]", levin_dtype_name(dtype), fmt::join(shape, ", "));
}

// --- Reading -------------------------------------------------------------------------------------

/// What follows `'key':` in the header of a .npy file.
static std::string_view npyField(std::string_view header, std::string_view key) {
  size_t place = header.find(fmt::format("'{}':", key));
  if (place == header.npos)
    return {};
  header.remove_prefix(place + key.size() + 3);
  header.remove_prefix(std::min(header.find_first_not_of(' '), header.size()));
  return header;
}

static Status npyError(const std::string &path, std::string_view what) {
  return makeError(ErrorCode::InputFile, "'{}' cannot be read as .npy: {}", path, what);
}

/// The numbers of "(2, 3, )".
static std::optional<std::vector<uint64_t>> npyShape(std::string_view field) {
  size_t end = field.find(')');
  if (!field.starts_with('(') || end == field.npos)
    return std::nullopt;
  std::vector<uint64_t> shape;
  for (const char *at = field.data() + 1, *last = field.data() + end; at < last;) {
    if (*at == ' ' || *at == ',') {
      ++at;
      continue;
    }
    uint64_t size = 0;
    auto [next, error] = std::from_chars(at, last, size);
    if (error != std::errc() || shape.size() >= 16)
      return std::nullopt;
    shape.push_back(size);
    at = next;
  }
  return shape;
}

static Result<Tensor> readNpy(const std::string &path) {
  LEVIN_ASSIGN_OR_RETURN(std::string content, readFile(path, uint64_t(1) << 36));
  auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(content[i])); };
  if (content.size() < 12 || !content.starts_with("\x93NUMPY"))
    return npyError(path, "it does not begin as such files do");
  bool first = byte(6) == 1;
  size_t begin = first ? 10 : 12;
  size_t length = byte(8) | byte(9) << 8 | (first ? 0 : byte(10) << 16 | byte(11) << 24);
  if (!fitsWithin(begin, length, content.size()))
    return npyError(path, "it ends within its header");
  std::string_view header = std::string_view(content).substr(begin, length);
  Tensor tensor;
  std::string_view type = npyField(header, "descr");
  bool known = false;
  for (const TypeNames &names : typeNames)
    if (*names.numpy && type.starts_with(fmt::format("'{}'", names.numpy))) {
      tensor.dtype = names.dtype;
      known = true;
    }
  if (!known)
    return npyError(path, fmt::format("type {} is not supported", type.substr(0, type.find(','))));
  if (!npyField(header, "fortran_order").starts_with("False"))
    return npyError(path, "its elements are in Fortran order");
  auto shape = npyShape(npyField(header, "shape"));
  if (!shape)
    return npyError(path, "its shape cannot be read");
  tensor.shape = std::move(*shape);
  auto count = checkedProduct<uint64_t>(tensor.shape);
  auto bytes = count ? checkedMul(*count, levin_dtype_size(tensor.dtype)) : std::nullopt;
  size_t data = begin + length;
  if (!bytes || *bytes != content.size() - data)
    return npyError(path, fmt::format("it holds {} bytes of {}", content.size() - data,
                                      typeText(tensor.dtype, tensor.shape)));
  tensor.data.resize(*bytes);
  std::memcpy(tensor.data.data(), content.data() + data, *bytes);
  return tensor;
}

static Result<Tensor> readSafetensors(const std::string &path, const std::string &name) {
  LEVIN_ASSIGN_OR_RETURN(weights::Safetensors file, weights::Safetensors::open(path));
  const weights::TensorInfo *info = file.find(name);
  if (name.empty() && file.tensors().size() == 1)
    info = &file.tensors()[0];
  if (!info)
    return makeError(ErrorCode::InputFile, "'{}' has no tensor '{}'", path, name)
        .note("have", fmt::format("{} tensors", file.tensors().size()))
        .note("fix", "name one: @file.safetensors:tensor");
  Tensor tensor;
  for (const TypeNames &names : typeNames)
    if (names.stored == info->dtype)
      tensor.dtype = names.dtype;
  tensor.shape = info->shape;
  tensor.data.resize(info->bytes);
  LEVIN_RETURN_IF_ERROR(file.read(*info, tensor.data));
  return tensor;
}

template <typename T> static void store(std::byte *place, T value) {
  std::memcpy(place, &value, sizeof(T));
}

/// Reads a number of all of `text` to `place`; false if it is none, or does not fit the type.
template <typename T> static bool storeInteger(std::byte *place, std::string_view text) {
  T value = 0;
  auto [next, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  store(place, value);
  return error == std::errc() && next == text.data() + text.size();
}

static bool storeFloat(levin_dtype dtype, std::byte *place, std::string_view text) {
  double value = 0;
  auto [next, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || next != text.data() + text.size())
    return false;
  if (dtype == LEVIN_F64)
    store(place, value);
  else if (dtype == LEVIN_F32)
    store(place, static_cast<float>(value));
  else
    store(place, dtype == LEVIN_F16 ? floatToF16(static_cast<float>(value))
                                    : floatToBf16(static_cast<float>(value)));
  return true;
}

static bool storeNumber(levin_dtype dtype, std::byte *place, std::string_view text) {
  switch (dtype) {
  case LEVIN_I1:
    return (text == "0" || text == "1") && storeInteger<uint8_t>(place, text);
  case LEVIN_I8:
    return storeInteger<int8_t>(place, text);
  case LEVIN_U8:
    return storeInteger<uint8_t>(place, text);
  case LEVIN_I16:
    return storeInteger<int16_t>(place, text);
  case LEVIN_I32:
    return storeInteger<int32_t>(place, text);
  case LEVIN_I64:
    return storeInteger<int64_t>(place, text);
  case LEVIN_U64:
    return storeInteger<uint64_t>(place, text);
  case LEVIN_F16:
  case LEVIN_BF16:
  case LEVIN_F32:
  case LEVIN_F64:
    break;
  case LEVIN_F8E4M3:
    return false;
  }
  return storeFloat(dtype, place, text);
}

static Result<Tensor> readInline(const std::string &text, const levin_binding_info &wanted) {
  Tensor tensor;
  tensor.dtype = wanted.dtype;
  tensor.shape.assign(wanted.shape, wanted.shape + wanted.rank);
  size_t width = levin_dtype_size(wanted.dtype), count = 0;
  tensor.data.resize(wanted.bytes);
  std::vector<std::byte> number(width);
  for (size_t at = 0; at < text.size(); ++count) {
    size_t end = std::min(text.find(',', at), text.size());
    std::string_view part = std::string_view(text).substr(at, end - at);
    if (!storeNumber(wanted.dtype, number.data(), part))
      return makeError(ErrorCode::OptionValue, "the value of input '{}' cannot be read",
                       wanted.name)
          .note("have", fmt::format("'{}'", part.substr(0, 20)))
          .note("need",
                fmt::format("{} numbers separated by commas", levin_dtype_name(wanted.dtype)));
    if ((count + 1) * width <= tensor.data.size())
      std::memcpy(tensor.data.data() + count * width, number.data(), width);
    at = end + 1;
  }
  if (count * width != tensor.data.size())
    return makeError(ErrorCode::OptionValue, "input '{}' has the wrong number of values",
                     wanted.name)
        .note("have", fmt::format("{}", count))
        .note("need", fmt::format("{}, for {}", tensor.data.size() / width,
                                  typeText(tensor.dtype, tensor.shape)));
  return tensor;
}

Result<Tensor> readTensor(const std::string &value, const levin_binding_info &wanted) {
  if (!value.starts_with('@'))
    return readInline(value, wanted);
  std::string path = value.substr(1);
  if (path.ends_with(".npy"))
    return readNpy(path);
  size_t end = path.rfind(".safetensors");
  if (end == path.npos)
    return makeError(ErrorCode::InputFile, "'{}' is no kind of file that is known", path)
        .note("need", "file.npy or file.safetensors:tensor");
  end += std::string_view(".safetensors").size();
  std::string name = end < path.size() ? path.substr(end + 1) : "";
  return readSafetensors(path.substr(0, end), name);
}

// --- Writing -------------------------------------------------------------------------------------

static Status writeNpy(const std::string &path, const Tensor &tensor) {
  const char *type = namesOf(tensor.dtype).numpy;
  Tensor wide;
  const Tensor *stored = &tensor;
  if (!*type) { // numpy has no bf16
    wide.dtype = LEVIN_F32;
    wide.shape = tensor.shape;
    wide.data.resize(tensor.elements() * sizeof(float));
    for (uint64_t i = 0; i < tensor.elements(); ++i)
      store(wide.data.data() + i * sizeof(float), static_cast<float>(tensor.at(i)));
    stored = &wide;
    type = "<f4";
  }
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", type,
                  fmt::join(stored->shape, ", "), stored->shape.size() == 1 ? "," : "");
  header.resize((10 + header.size() + 64) / 64 * 64 - 11, ' ');
  header += '\n';
  std::string content("\x93NUMPY\x01\x00", 8);
  content += static_cast<char>(header.size() & 255);
  content += static_cast<char>(header.size() >> 8);
  content += header;
  content.append(reinterpret_cast<const char *>(stored->data.data()), stored->data.size());
  return writeFile(path, content);
}

Status writeTensor(const std::string &path, const std::string &name, const Tensor &tensor) {
  if (path.ends_with(".npy"))
    return writeNpy(path, tensor);
  auto stored = namesOf(tensor.dtype).stored;
  if (!path.ends_with(".safetensors") || !stored)
    return makeError(ErrorCode::OutputFile, "'{}' is no kind of file that can hold {}", path,
                     levin_dtype_name(tensor.dtype))
        .note("need", "a name that ends in .npy or .safetensors");
  weights::TensorToWrite out{name, *stored, tensor.shape, tensor.data};
  return weights::writeSafetensors(path, std::span(&out, 1));
}

template <typename T> static std::string textAs(const std::byte *place) {
  T value;
  std::memcpy(&value, place, sizeof(T));
  return fmt::format("{}", value);
}

static std::string numberText(const Tensor &tensor, uint64_t index) {
  const std::byte *place = tensor.data.data() + index * levin_dtype_size(tensor.dtype);
  switch (tensor.dtype) {
  case LEVIN_I64: // a double would not hold all digits
    return textAs<int64_t>(place);
  case LEVIN_U64:
    return textAs<uint64_t>(place);
  case LEVIN_F16:
  case LEVIN_BF16:
  case LEVIN_F32:
  case LEVIN_F64:
    return fmt::format("{:.8g}", tensor.at(index));
  default:
    return fmt::format("{}", static_cast<int64_t>(tensor.at(index)));
  }
}

std::string tensorText(const std::string &name, const Tensor &tensor) {
  static constexpr uint64_t shown = 8;
  uint64_t count = tensor.elements();
  std::string text = fmt::format("{}: {} =", name, typeText(tensor.dtype, tensor.shape));
  for (uint64_t i = 0; i < count; ++i) {
    if (count > 4 * shown && i == shown) {
      text += " ..";
      i = count - shown;
    }
    text += " " + numberText(tensor, i);
  }
  return text + "\n";
}

} // namespace levin::run
