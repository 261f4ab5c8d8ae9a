// Runs the kernels of a case file on the first GPU and compares what they write.
//
// usage: cuda-run-cases FILE [NAME]
#include "CaseFile.h"

#include "runtime/base/Half.h"
#include "runtime/hal/cuda/Executable.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <numeric>

using namespace levin;
using namespace levin::hal::cuda;
using artifact::DType;

namespace {

/// A case on the device.
struct Prepared {
  std::vector<DeviceMemory> memory;
  DeviceMemory scratch;
  std::vector<PreparedLaunch> launches;
};

double valueOf(DType dtype, const char *bytes, uint64_t index) {
  auto load = [&]<typename T>(T) {
    T value;
    std::memcpy(&value, bytes + index * sizeof(T), sizeof(T));
    return value;
  };
  switch (dtype) {
  case DType::F32:
    return load(float());
  case DType::BF16:
    return std::bit_cast<float>(uint32_t(load(uint16_t())) << 16);
  case DType::F16:
    return f16ToFloat(load(uint16_t()));
  case DType::I32:
    return load(int32_t());
  case DType::I64:
    return static_cast<double>(load(int64_t()));
  default:
    return load(uint8_t());
  }
}

bool isFloat(DType dtype) {
  return dtype == DType::F32 || dtype == DType::BF16 || dtype == DType::F16;
}

/// The largest difference over the largest value; infinite if one is no number.
double errorOf(const test::CaseBinding &binding, const std::string &found, uint64_t &worst) {
  uint64_t width = artifact::byteSize(binding.dtype);
  double largest = 0, error = 0;
  for (uint64_t i = 0; i < binding.liveCount; ++i) {
    // What the reference did not write either is of no account.
    if (!std::memcmp(&binding.expected[i * width], &binding.before[i * width], width) &&
        std::isnan(valueOf(binding.dtype, binding.expected.data(), i)))
      continue;
    double a = valueOf(binding.dtype, found.data(), i);
    double b = valueOf(binding.dtype, binding.expected.data(), i);
    if (a == b || (std::isnan(a) && std::isnan(b)))
      continue;
    double difference = std::abs(a - b);
    if (!std::isfinite(difference))
      difference = INFINITY;
    if (std::isfinite(b))
      largest = std::max(largest, std::abs(b));
    if (difference > error) {
      error = difference;
      worst = i;
    }
  }
  return isFloat(binding.dtype) && largest > 0 ? error / largest : error;
}

/// What a binding holds before the run: as the file says, or small random floats.
std::string contentsOf(const test::CaseBinding &binding, uint64_t bytes) {
  if (!binding.before.empty())
    return binding.before;
  // A block of random numbers again and again: what is timed depends on no value.
  constexpr uint64_t period = 1 << 20;
  std::string contents(bytes, 0);
  uint64_t state = 88172645463325252u, width = artifact::byteSize(binding.dtype);
  for (uint64_t i = 0; i < std::min(binding.count, period); ++i) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    float value = static_cast<float>(state >> 40) * 0x1p-23f - 1;
    uint16_t half = floatToBf16(value);
    if (binding.dtype == DType::F32)
      std::memcpy(&contents[i * width], &value, width);
    else if (binding.dtype == DType::BF16)
      std::memcpy(&contents[i * width], &half, width);
  }
  for (uint64_t at = period * width; at < bytes; at += period * width)
    std::memcpy(&contents[at], contents.data(), std::min(period * width, bytes - at));
  return contents;
}

class Runner {
public:
  Runner(std::shared_ptr<Device> device, test::CaseFile file)
      : device(std::move(device)), file(std::move(file)) {}

  Status load() {
    LEVIN_ASSIGN_OR_RETURN(stream, makeStream(device));
    LEVIN_ASSIGN_OR_RETURN(event, makeEvent(device));
    for (const artifact::Executable &executable : file.executables) {
      LEVIN_ASSIGN_OR_RETURN(auto variants, chooseVariants(executable, device->facts()));
      auto segment = [&](uint32_t number) {
        return std::as_bytes(std::span(file.segments[number]));
      };
      LEVIN_ASSIGN_OR_RETURN(auto loaded, Executable::load(device, executable, variants, segment));
      executables.push_back(std::move(loaded));
    }
    return {};
  }

  Result<bool> run(const test::Case &one) {
    const artifact::Export &code = file.executables[one.executable].exports[one.exportIndex];
    Prepared prepared;
    std::vector<CUdeviceptr> addresses;
    for (const test::CaseBinding &binding : one.bindings) {
      uint64_t bytes = binding.count * artifact::byteSize(binding.dtype);
      LEVIN_ASSIGN_OR_RETURN(auto memory, DeviceMemory::allocate(device, bytes, "a binding"));
      LEVIN_RETURN_IF_ERROR(copyIn(memory.address(), contentsOf(binding, bytes)));
      addresses.push_back(memory.address());
      prepared.memory.push_back(std::move(memory));
    }
    if (code.scratchBytes) {
      LEVIN_ASSIGN_OR_RETURN(prepared.scratch,
                             DeviceMemory::allocate(device, code.scratchBytes, "scratch"));
      LEVIN_RETURN_IF_ERROR(
          copyIn(prepared.scratch.address(), std::string(code.scratchBytes, '\xff')));
    }
    for (const artifact::DeviceLaunch &launch : code.launches) {
      LEVIN_ASSIGN_OR_RETURN(auto made,
                             PreparedLaunch::make(*device, executables[one.executable], launch,
                                                  addresses, prepared.scratch.address()));
      prepared.launches.push_back(std::move(made));
    }
    LEVIN_RETURN_IF_ERROR(enqueue(prepared));
    LEVIN_RETURN_IF_ERROR(finish());
    bool good = true;
    double worstError = 0;
    std::string note;
    for (size_t i = 0; i < one.bindings.size(); ++i) {
      const test::CaseBinding &binding = one.bindings[i];
      if (one.timed)
        break;
      std::string found(binding.before.size(), 0);
      LEVIN_RETURN_IF_ERROR(copyOut(found, addresses[i]));
      if (binding.expected.empty()) {
        if (found != binding.before)
          note += " writes binding " + std::to_string(i);
        continue;
      }
      uint64_t worst = 0;
      double error = errorOf(binding, found, worst);
      worstError = std::max(worstError, error);
      if (!(error <= one.tolerance))
        note += " binding " + std::to_string(i) + " at " + std::to_string(worst) + ": " +
                std::to_string(valueOf(binding.dtype, found.data(), worst)) + ", expected " +
                std::to_string(valueOf(binding.dtype, binding.expected.data(), worst));
    }
    good = note.empty();
    std::string time;
    if (one.timed) {
      LEVIN_ASSIGN_OR_RETURN(time, measure(prepared, one));
    }
    std::printf("%s %-44s %-10s error %.2e%s%s\n", good ? "ok  " : "FAIL", one.name.c_str(),
                one.method.c_str(), worstError, time.c_str(), note.c_str());
    std::fflush(stdout);
    return good;
  }

  const std::vector<test::Case> &cases() const { return file.cases; }

private:
  std::shared_ptr<Device> device;
  test::CaseFile file;
  Stream stream;
  Event event;
  std::vector<Executable> executables;

  Status check(CUresult result, const char *call) {
    return result == 0 ? Status()
                       : makeError(ErrorCode::Internal, "{} fails with {}", call, int(result));
  }
  Status copyIn(CUdeviceptr to, const std::string &from) {
    if (from.empty())
      return {};
    LEVIN_RETURN_IF_ERROR(
        check(device->functions().cuMemcpyHtoDAsync(to, from.data(), from.size(), stream.get()),
              "cuMemcpyHtoDAsync"));
    return finish();
  }
  Status copyOut(std::string &to, CUdeviceptr from) {
    if (to.empty())
      return {};
    LEVIN_RETURN_IF_ERROR(
        check(device->functions().cuMemcpyDtoHAsync(to.data(), from, to.size(), stream.get()),
              "cuMemcpyDtoHAsync"));
    return finish();
  }
  Status enqueue(const Prepared &prepared) {
    for (const PreparedLaunch &launch : prepared.launches)
      LEVIN_RETURN_IF_ERROR(launch.enqueue(*device, stream.get(), false));
    return {};
  }
  Status finish() {
    const Functions &cuda = device->functions();
    LEVIN_RETURN_IF_ERROR(check(cuda.cuEventRecord(event.get(), stream.get()), "cuEventRecord"));
    return check(cuda.cuEventSynchronize(event.get()), "cuEventSynchronize");
  }

  /// Time of one run among many, and the rate at which the bindings' bytes pass.
  Result<std::string> measure(const Prepared &prepared, const test::Case &one) {
    constexpr int repetitions = 50;
    double best = INFINITY;
    for (int round = 0; round < 5; ++round) {
      auto begin = std::chrono::steady_clock::now();
      for (int i = 0; i < repetitions; ++i)
        LEVIN_RETURN_IF_ERROR(enqueue(prepared));
      LEVIN_RETURN_IF_ERROR(finish());
      std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
      best = std::min(best, elapsed.count() / repetitions);
    }
    double bytes = 0;
    for (const test::CaseBinding &binding : one.bindings)
      bytes += static_cast<double>(binding.count * artifact::byteSize(binding.dtype));
    char text[96];
    std::snprintf(text, sizeof text, " %.1f us %.0f GB/s", best * 1e6, bytes / best * 1e-9);
    return std::string(text);
  }
};

} // namespace

static Status runAll(const char *path, const char *only, bool &good) {
  std::ifstream stream(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  test::CaseFile file;
  test::Archive archive(bytes, /*writing=*/false);
  archive(file);
  if (!stream || !archive.ok())
    return makeError(ErrorCode::InputFile, "{} is no case file", path);
  LEVIN_ASSIGN_OR_RETURN(auto driver, Driver::open());
  LEVIN_ASSIGN_OR_RETURN(auto device, Device::open(driver, 0));
  LEVIN_RETURN_IF_ERROR(device->activate());
  std::printf("%s\n", device->facts().name.c_str());
  Runner runner(device, std::move(file));
  LEVIN_RETURN_IF_ERROR(runner.load());
  for (const test::Case &one : runner.cases()) {
    if (only && one.name.find(only) == std::string::npos)
      continue;
    auto result = runner.run(one);
    if (!result.ok()) {
      std::printf("FAIL %s (%s): ", one.name.c_str(), one.method.c_str());
      return result.takeStatus();
    }
    good = good && *result;
  }
  return {};
}

int main(int argc, char **argv) {
  if (argc < 2)
    return 2;
  bool good = true;
  if (Status status = runAll(argv[1], argc > 2 ? argv[2] : nullptr, good); !status.ok()) {
    std::printf("%s", status.text().c_str());
    return 1;
  }
  std::printf("%s\n", good ? "all as expected" : "differences");
  return good ? 0 : 1;
}
