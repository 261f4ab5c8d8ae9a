// levin-inspect, run as a program on the small artifact.
#include "test/corrupt/Refusal.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sys/wait.h>

namespace levin::artifact {
namespace {

struct Outcome {
  int status = -1;
  std::string text; // standard output and error
};

class InspectTest : public testing::Test {
protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "levin-inspect-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder = pattern;
    std::vector<std::string> segments = smallSegments(testCode("good"));
    ASSERT_TRUE(writeArtifact(folder + "/m.lvn", smallManifest(segments), segments).ok());
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  Outcome inspect(const std::string &arguments) const {
    std::string command = fmt::format("cd {} && {} {} 2>&1", folder, LEVIN_INSPECT, arguments);
    std::FILE *pipe = ::popen(command.c_str(), "r");
    Outcome outcome;
    char buffer[4096];
    while (size_t got = std::fread(buffer, 1, sizeof buffer, pipe))
      outcome.text.append(buffer, got);
    int status = ::pclose(pipe);
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return outcome;
  }

  void expectOutput(const std::string &arguments, std::initializer_list<const char *> fragments) {
    SCOPED_TRACE(arguments);
    Outcome outcome = inspect(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.text;
    for (const char *fragment : fragments)
      EXPECT_NE(outcome.text.find(fragment), std::string::npos) << fragment << "\n" << outcome.text;
  }

  void expectFailure(const std::string &arguments, int status, const char *fragment) {
    SCOPED_TRACE(arguments);
    Outcome outcome = inspect(arguments);
    EXPECT_EQ(outcome.status, status) << outcome.text;
    EXPECT_NE(outcome.text.find(fragment), std::string::npos) << outcome.text;
  }

  std::string folder;
};

TEST_F(InspectTest, Default) {
  expectOutput("m.lvn", {"levin-compile 0.1.0", "--buckets=4x2x2", "vocabulary", "step_4_2_2",
                         "function double", "layer0.state", "workspace", "step_kernel",
                         "host-x86_64-v3 needs: avx2 fma", "This is native code",
                         "model.safetensors", "tokenizer.json"});
}

TEST_F(InspectTest, Sections) {
  expectOutput("m.lvn --section parameters",
               {"gate.panels4", "6x4xf32", "concat of 2: a.weight, ...", "16 bytes of segment 1"});
  expectOutput("m.lvn --section commands", {"scale 4x1x1 (0, =1)", "copy 1 to 2", "double.scale"});
  expectOutput("m.lvn --section segments", {"segment", "sha256"});
}

TEST_F(InspectTest, Json) {
  Outcome outcome = inspect("m.lvn --json");
  ASSERT_EQ(outcome.status, 0) << outcome.text;
  nlohmann::json json = nlohmann::json::parse(outcome.text);
  EXPECT_EQ(json["summary"]["model"]["vocabulary"], 8);
  EXPECT_EQ(json["entries"][0]["inputs"][1]["type"]["shape"][0], 3);
  EXPECT_EQ(json["parameters"][1]["source"]["join"], "stack");
  EXPECT_EQ(json["commands"]["double"]["streams"][0][1]["op"], "copy");
  EXPECT_GT(json["kernels"][0]["variants"][0]["code_bytes"]["scale"], 0);
  EXPECT_EQ(nlohmann::json::parse(inspect("m.lvn --json --section memory").text).size(), 1u);
}

TEST_F(InspectTest, Exec) {
  expectOutput("m.lvn --exec",
               {"func.func private @\"scale\"(memref<?xi8>, memref<?xi8> {exec.written})",
                "nn.parameter @\"gate.panels4\" : tensor<6x4xf32> = concat [<\"a.weight\">, "
                "<\"b.weight\" at [2, 0] of [2, 4]>]",
                "exec.weight @\"gate.panels4.place\" from @\"gate.panels4\" panels 4 at [0, 128]",
                "exec.program @\"step_4_2_2\" bucket [4, 2, 2] {",
                "%s1 = exec.slice %workspace [64, 16] live [0, 1]",
                "exec.bind input \"x\" %s0 : tensor<4xf32>",
                "exec.launch @kernels::@\"scale\" grid [4, 1, 1] (%s0, %s1) // double.scale",
                "exec.copy %s1 to %s2"});
}

TEST_F(InspectTest, Check) {
  expectOutput("m.lvn --check", {"m.lvn: every check passed, identity "});
  auto bytes = readFile(folder + "/m.lvn");
  ASSERT_TRUE(bytes.ok());
  (*bytes)[200] ^= 1;
  ASSERT_TRUE(writeFile(folder + "/bad.lvn", *bytes).ok());
  expectFailure("bad.lvn --check", 3, "error LV3007");
  expectFailure("absent.lvn --check", 3, "error LV3001");
  expectFailure("m.lvn --check --require-signature absent.pub", 2, "error LV2003");
}

TEST_F(InspectTest, Extract) {
  expectOutput("m.lvn --extract asset:tokenizer.json", {R"({"model": {"type": "BPE"}})"});
  expectOutput("m.lvn --extract kernel:host-x86_64-v3 -o code.so", {});
  auto code = readFile(folder + "/code.so");
  ASSERT_TRUE(code.ok());
  EXPECT_EQ(*code, testCode("good"));
  expectFailure("m.lvn --extract asset:tokeniser.json", 2, "did you mean 'asset:tokenizer.json'?");
  expectFailure("m.lvn --extract weights", 2, "error LV2002");
}

TEST_F(InspectTest, CommandLine) {
  expectFailure("", 2, "error LV2001");
  expectFailure("m.lvn --section kernel", 2, "kernels");
  expectFailure("m.lvn --check --exec", 2, "exclude each other");
  expectFailure("m.lvn -o x", 2, "--output without --extract");
}

} // namespace
} // namespace levin::artifact
