// What a code segment must not be.
#include "test/corrupt/Refusal.h"

#include "runtime/artifact/Check.h"

#include <elf.h>

#include <cstring>

namespace levin::artifact {
namespace {

// Sets the little-endian T at `offset`.
template <typename T> void poke(std::string &code, size_t offset, T value) {
  ASSERT_LE(offset + sizeof value, code.size());
  std::memcpy(code.data() + offset, &value, sizeof value);
}

template <typename T> T peek(const std::string &code, size_t offset) {
  T value{};
  if (offset + sizeof value <= code.size())
    std::memcpy(&value, code.data() + offset, sizeof value);
  return value;
}

// Where the first program header of `type` lies.
size_t programHeader(const std::string &code, uint32_t type, uint32_t flags = 0) {
  auto file = peek<Elf64_Ehdr>(code, 0);
  for (size_t i = 0; i < file.e_phnum; ++i) {
    size_t at = file.e_phoff + i * sizeof(Elf64_Phdr);
    auto header = peek<Elf64_Phdr>(code, at);
    if (header.p_type == type && (header.p_flags & flags) == flags)
      return at;
  }
  ADD_FAILURE() << "no program header of type " << type;
  return 0;
}

Status refusalOf(const std::string &code) {
  std::vector<std::string> segments = smallSegments(code);
  auto artifact = parseText(serialiseUnchecked(smallManifest(segments), segments));
  return artifact.ok() ? Status() : artifact.takeStatus();
}

void expectRefusedCode(const std::string &code, const std::string &fragment) {
  expectRefused(refusalOf(code), ErrorCode::ArtifactCode, fragment);
}

TEST(Code, GoodIsAccepted) {
  Status status = refusalOf(testCode("good"));
  EXPECT_TRUE(status.ok()) << status.text();
}

TEST(Code, Relocations) { expectRefusedCode(testCode("relocation"), "the code has relocations"); }
TEST(Code, WritableData) { expectRefusedCode(testCode("data"), "the code has writable data"); }
TEST(Code, Constructors) {
  // The array of constructors holds an address, which is a relocation too; either is reason enough.
  expectRefusedCode(testCode("constructor"), "executables[0].variants[0]: the code has ");
}
TEST(Code, UndefinedSymbol) {
  Status status = refusalOf(testCode("undefined"));
  expectRefused(status, ErrorCode::ArtifactCode, "the code ");
}
TEST(Code, ThreadData) { expectRefusedCode(testCode("thread_data"), "thread-local data"); }
TEST(Code, Dependencies) {
  expectRefusedCode(testCode("needed"), "the code depends on another library");
}

TEST(Code, NoElf) { expectRefusedCode("#!/bin/sh\nexit\n", "the segment is no ELF file"); }
TEST(Code, Empty) { expectRefusedCode("", "the segment is no ELF file"); }

TEST(Code, OtherMachine) {
  std::string code = testCode("good");
  poke<uint16_t>(code, offsetof(Elf64_Ehdr, e_machine), EM_AARCH64);
  expectRefusedCode(code, "the code is for another kind of machine");
}

TEST(Code, OtherClass) {
  std::string code = testCode("good");
  poke<uint8_t>(code, EI_CLASS, ELFCLASS32);
  expectRefusedCode(code, "the code is for another kind of machine");
}

TEST(Code, Executable) {
  std::string code = testCode("good");
  poke<uint16_t>(code, offsetof(Elf64_Ehdr, e_type), ET_EXEC);
  expectRefusedCode(code, "the code is no shared object");
}

TEST(Code, HeaderSizes) {
  std::string code = testCode("good");
  poke<uint16_t>(code, offsetof(Elf64_Ehdr, e_phentsize), 8);
  expectRefusedCode(code, "the ELF headers have other sizes");
}

TEST(Code, ProgramHeadersOutside) {
  std::string code = testCode("good");
  poke<uint64_t>(code, offsetof(Elf64_Ehdr, e_phoff), ~uint64_t(0) - 8);
  expectRefusedCode(code, "the program headers lie outside the file");
}

TEST(Code, SectionHeadersOutside) {
  std::string code = testCode("good");
  poke<uint64_t>(code, offsetof(Elf64_Ehdr, e_shoff), code.size() - 8);
  expectRefusedCode(code, "the section headers lie outside the file");
}

TEST(Code, WritableCode) {
  std::string code = testCode("good");
  size_t at = programHeader(code, PT_LOAD, PF_X);
  poke<uint32_t>(code, at + offsetof(Elf64_Phdr, p_flags), PF_R | PF_W | PF_X);
  expectRefusedCode(code, "is writable");
}

TEST(Code, ExecutableStack) {
  std::string code = testCode("good");
  size_t at = programHeader(code, PT_GNU_STACK);
  poke<uint32_t>(code, at + offsetof(Elf64_Phdr, p_flags), PF_R | PF_W | PF_X);
  expectRefusedCode(code, "the code asks for an executable stack");
}

TEST(Code, LoadOutside) {
  std::string code = testCode("good");
  size_t at = programHeader(code, PT_LOAD);
  poke<uint64_t>(code, at + offsetof(Elf64_Phdr, p_offset), ~uint64_t(0) - 16);
  expectRefusedCode(code, "a program header leaves the file");
}

TEST(Code, NoDynamicSection) {
  std::string code = testCode("good");
  poke<uint32_t>(code, programHeader(code, PT_DYNAMIC), PT_NULL);
  expectRefusedCode(code, "the code has no dynamic section");
}

TEST(Code, Interpreter) {
  std::string code = testCode("good");
  poke<uint32_t>(code, programHeader(code, PT_GNU_STACK), PT_INTERP);
  expectRefusedCode(code, "the code has an interpreter");
}

TEST(Code, SearchPath) {
  std::string code = testCode("good");
  auto dynamic = peek<Elf64_Phdr>(code, programHeader(code, PT_DYNAMIC));
  poke<uint64_t>(code, dynamic.p_offset, DT_RUNPATH);
  expectRefusedCode(code, "a dynamic entry that is not allowed");
}

// Every cut of the file is refused, and none crashes.
TEST(Code, Truncated) {
  std::string code = testCode("good");
  Executable executable;
  executable.exports = {{"scale", {}, 64, 0}};
  for (size_t length = 0; length < code.size(); length += 7) {
    std::string part = code.substr(0, length);
    EXPECT_FALSE(
        checkCode(std::as_bytes(std::span(part)), CodeKind::HostElf, executable, "code").ok())
        << length;
  }
}

} // namespace
} // namespace levin::artifact
