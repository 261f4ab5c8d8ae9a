// levin-run as a program, on a small model made by hand.
#include "runtime/base/File.h"
#include "runtime/base/Json.h"
#include "runtime/weights/Safetensors.h"
#include "test/unit/session/ToyModel.h"

#include <gtest/gtest.h>

#include <sys/wait.h>

#include <cstdio>

using namespace levin;

namespace {

struct Outcome {
  int exit;
  std::string out, err;
};

class LevinRun : public testing::Test {
protected:
  static void SetUpTestSuite() {
    folder = new toy::TemporaryFolder();
    const Bucket buckets[] = {{1, 1, 1}, {16, 4, 16}};
    artifact = new std::string(toy::write(folder->path(), buckets));
  }
  static void TearDownTestSuite() {
    delete artifact;
    delete folder;
  }

  /// Runs levin-run with `arguments`, which the shell reads; ARTIFACT stands for the toy model.
  Outcome run(std::string arguments) {
    for (size_t at; (at = arguments.find("ARTIFACT")) != arguments.npos;)
      arguments.replace(at, 8, *artifact);
    std::string errors = folder->path() + "/stderr";
    std::string command = std::string(LEVIN_RUN) + " " + arguments + " 2>" + errors;
    FILE *pipe = ::popen(command.c_str(), "r");
    std::string out;
    for (int c; (c = std::fgetc(pipe)) != EOF;)
      out += static_cast<char>(c);
    int status = ::pclose(pipe);
    auto err = readFile(errors);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, out, err.ok() ? *err : ""};
  }

  void expectError(const std::string &arguments, int number, const std::string &part = "") {
    Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit, number / 1000) << arguments << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find(fmt::format("error LV{}: ", number)), std::string::npos)
        << arguments << "\n"
        << outcome.err;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << arguments << "\n" << outcome.err;
  }

  static toy::TemporaryFolder *folder;
  static std::string *artifact;
};

toy::TemporaryFolder *LevinRun::folder;
std::string *LevinRun::artifact;

std::string greedyText(const std::vector<int32_t> &prompt, size_t count) {
  return fmt::format("{}\n", fmt::join(toy::greedy(prompt, count), " "));
}

TEST_F(LevinRun, GeneratesIdsInAnyPieces) {
  std::string options = "generate ARTIFACT -q --ignore-eos --print-ids -n 6 ";
  std::string want = greedyText({1, 2, 3, 4, 5}, 6) + greedyText({7}, 6);
  EXPECT_EQ(run(options + "--ids 1,2,3,4,5 --ids 7").out, want);
  EXPECT_EQ(run(options + "--ids 1,2,3,4,5 --ids 7 --chunk 2").out, want);
  EXPECT_EQ(run(options + "--ids '1 2 3 4 5' --ids 7 --chunk 1,3 --threads 2").out, want);
  Outcome json = run("generate ARTIFACT --json --ignore-eos -n 6 --ids 7");
  Json parsed = Json::parse(json.out, nullptr, false);
  EXPECT_EQ(parsed["results"][0]["ids"], toy::greedy({7}, 6));
  EXPECT_EQ(parsed["results"][0]["finish"], "length");
}

TEST_F(LevinRun, StoresLogitsOfAllPositions) {
  std::string path = folder->path() + "/logits.safetensors";
  Outcome outcome = run("generate ARTIFACT -q -n 0 --ids 1,2,3 --ids 4 --chunk 2 --logits " + path);
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  auto file = weights::Safetensors::open(path);
  ASSERT_TRUE(file.ok());
  const weights::TensorInfo *first = file->find("logits_0");
  ASSERT_TRUE(first && file->find("logits_1"));
  EXPECT_EQ(first->shape, (std::vector<uint64_t>{3, toy::vocabulary}));
  std::vector<float> logits(first->elements());
  ASSERT_TRUE(file->read(*first, std::as_writable_bytes(std::span(logits))).ok());
  const int32_t ids[] = {1, 2, 3};
  std::vector<float> want = toy::reference(ids);
  for (size_t i = 0; i < want.size(); ++i)
    EXPECT_NEAR(logits[i], want[i], 1e-5);
}

TEST_F(LevinRun, ScoresAndCalls) {
  Outcome whole = run("score ARTIFACT -q --ids 1,2,3,4,5,6 --json");
  Outcome pieces = run("score ARTIFACT -q --ids 1,2,3,4,5,6 --json --chunk 2");
  Json a = Json::parse(whole.out, nullptr, false), b = Json::parse(pieces.out, nullptr, false);
  EXPECT_EQ(a["tokens"], 5);
  EXPECT_NEAR(a["mean_loss"].get<double>(), b["mean_loss"].get<double>(), 1e-5);
  EXPECT_NE(run("call ARTIFACT").out.find("affine(x: f32[24]) -> (y: f32[24])"), std::string::npos);
  std::string ones = "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1";
  std::string path = folder->path() + "/y.npy";
  EXPECT_EQ(run("call ARTIFACT -q --entry affine --input x=" + ones + " --output y=@" + path).exit,
            0);
  Outcome again = run("call ARTIFACT -q --entry affine --input x=@" + path);
  EXPECT_EQ(again.exit, 0) << again.err;
  EXPECT_NE(again.out.find("y: f32[24] ="), std::string::npos);
}

TEST_F(LevinRun, RefusesWithNumbers) {
  expectError("generate ARTIFACT --prompt x", 2010, "tokenizer.json");
  expectError("generate ARTIFACT --ids 1,11 --print-ids", 2008, "ids from 0 to 10");
  expectError("generate ARTIFACT --ids 1,-1 --print-ids", 2008);
  expectError("generate ARTIFACT --ids '' --print-ids", 2002, "is empty");
  expectError("generate ARTIFACT --ids 1,x --print-ids", 2002, "'x'");
  expectError("generate ARTIFACT --ids 1,,2 --print-ids", 2002, "',,2'");
  expectError("generate ARTIFACT --ids 1 --print-ids --chunk 0", 2002, "at least one token");
  expectError("generate ARTIFACT --ids 1 --print-ids --temperature -1", 2002);
  expectError("generate ARTIFACT --ids 1 -n 0 --logits /nonexistent/x", 2004);
  expectError("generate /nonexistent.lvn --ids 1", 3001);
  expectError("generate ARTIFACT --ids 1 --weights /nonexistent", 1016);
  expectError("generate ARTIFACT --ids 1 --prnt-ids", 2001, "did you mean '--print-ids'");
  expectError("genrte", 2001, "did you mean 'generate'");
  expectError("score ARTIFACT --ids 1", 2002, "too short");
  expectError("score ARTIFACT --ids $(seq -s, 1 10 | head -c 20),$(printf '1,%.0s' $(seq 2100))1",
              4002);
  expectError("call ARTIFACT --entry affin", 2007);
  expectError("call ARTIFACT --entry affine --input z=1", 2007);
  expectError("call ARTIFACT --entry affine --input x=1", 2002, "24");
  expectError("call ARTIFACT --entry affine --input x=@/nonexistent.npy", 2003);
  expectError("check ARTIFACT", 2010);
  expectError("verify ARTIFACT", 2010, "golden");
  expectError("doctor >/dev/full", 2004);
  expectError("doctor >&-", 2004);
  expectError("tokenize " LEVIN_SOURCE_DIR "/models/tiny-python --decode 1,2000", 2008);
  expectError("tokenize " LEVIN_SOURCE_DIR "/models/tiny-python <&-", 2003);
  EXPECT_EQ(run("generate ARTIFACT --ids 1 --print-ids --json --ids x").err.substr(0, 10),
            R"({"error":")");
}

TEST_F(LevinRun, TokenizesWithoutWeights) {
  const std::string tiny = LEVIN_SOURCE_DIR "/models/tiny-python";
  EXPECT_EQ(run("tokenize " + tiny + " --text 'def f(x):'").out, "317 289 10 90 303\n");
  EXPECT_EQ(run("tokenize " + tiny + " --decode '317 289 10 90 303'").out, "def f(x):\n");
  EXPECT_EQ(run("render " + tiny + " --user U --chat-template chatml").out,
            "<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_NE(run("doctor").out.find("processor"), std::string::npos);
}

} // namespace
